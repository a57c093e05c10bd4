"""Report for the people of a loop: how many answers each gave, and what became of the model meanwhile."""

from __future__ import annotations

from backend.report.parts import Report, as_json
from labelloop.answers.measures import metric_of
from labelloop.errors import UsageError
from labelloop.store.database import Conn
from labelloop.store.questions import guidance, people
from labelloop.store.tables import loops


def people_report(conn: Conn, loop: str, caller: str) -> Report:
    """Return {"loop", "answers", "metric", "was", "now", "people"}; shares are 0 to 1, or None until two models were
    measured.

    Each of `people` has "name", "answered", "was", "now" and "you". Their "was" is the accuracy of the model in force
    before the person's first answer, or the earliest that was measured. Their "now" is that of the present model. It is
    the mean item score if "metric" is "score". Each model was measured on the held-out answers of its time. The
    person is "you" if `caller`, the name of the login, is the person's name or address. Raises UsageError if there is
    no such loop.
    """
    names = loops.names(conn, archived=True)
    if loop not in names:  # compared in Python, because Postgres refuses a text that holds a NUL
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    done, first = guidance.progress(conn, loop), guidance.first_answers(conn, loop)
    found = [
        {
            "name": person.reviewer,
            "answered": person.answered,
            "you": bool(caller)
            and caller.casefold() in {(is_ or "").casefold() for is_ in (person.email, person.name)},
            **_change(done.since(first.get(person.label_studio_user_id or 0))),
        }
        for person in people.work(conn, loop)
        if person.answered
    ]
    found.sort(key=lambda person: not person["you"])
    spec = loops.get(conn, loop)
    assert spec is not None
    head = {"loop": loop, "answers": done.answers, "metric": metric_of(spec.config.answer)}
    return as_json({**head, **_change(done.since(None)), "people": found}, {})


def _change(found: tuple[float, float] | None) -> Report:
    was, now = found or (None, None)
    return {"was": was, "now": now}

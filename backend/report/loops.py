"""Reports of loops: the overview of all, and everything about one."""

from __future__ import annotations

from datetime import UTC, datetime

from backend.report.days import days
from backend.report.error_rate import error_rate_report
from backend.report.estimates.ended import ended_promises
from backend.report.estimates.judge import judge_standing
from backend.report.estimates.opinions import headline, person_line
from backend.report.estimates.progress import progress_headline
from backend.report.parts import (
    SHOWN_ITEMS,
    Report,
    accuracy_of,
    as_json,
    described,
    learning_curve,
    named,
    promotion_line,
    run_line,
    version_line,
)
from backend.report.shown import STATES_WITHOUT_ALERT, needs, task_url, urgency
from backend.report.steps import MOST_ON_A_PAGE, step_reports
from backend.train.drifted import Watch, watch
from labelloop.answers.measures import metric_of
from labelloop.errors import UsageError
from labelloop.spec.loop import LoopSpec
from labelloop.store.alerts import rows as alerts
from labelloop.store.database import Conn
from labelloop.store.media import holding
from labelloop.store.questions import loops as loop_questions
from labelloop.store.questions import new_answers, people
from labelloop.store.tables import descriptions, loops, outputs, run_items, runs, unreadable
from labelloop.store.tables import versions as version_store
from labelloop.store.tables.unreadable import UnreadableAnswer
from labelloop.versions.falls import SIZES, held_out_needed


def overview_report(conn: Conn, *, archived: bool = False) -> Report:
    """Return {"loops": summaries, "archived": names of the archived loops}, the most urgent loop first.

    A summary has the numbers of outputs by state, the champion with its accuracy, and what the loop needs from a
    person; `idle` is a loop that needs nothing. `archived`: archived loops are among the summaries too.
    """
    active = loops.names(conn)
    known = loops.names(conn, archived=True)
    specs = [spec for name in (known if archived else active) if (spec := loops.get(conn, name)) is not None]
    found = [_summary(conn, spec, judge_standing(conn, spec)) for spec in specs]
    found.sort(key=lambda loop: (min(map(urgency, loop["needs_you"]), default=99), loop["loop"]))
    return as_json(
        {"loops": found, "archived": [name for name in known if name not in active]}, descriptions.newest(conn)
    )


def loop_report(conn: Conn, loop: str, *, label_studio_url: str = "") -> Report:
    """Return the report of one loop.

    It has the loop's summary, the error rate of its pipeline and of each step, runs, versions and the learning curve.
    `progress` is one sentence about what more answers would bring. It also has changes of champion, reviewers, figures
    by day, and unreadable answers (at most SHOWN_ITEMS). `fall` is the fall of the champion's accuracy that would be
    found, or None if none is looked for. `label_studio_url` is the address at which people open Label Studio, if the
    services use another one. Raises UsageError if there is no such loop.
    """
    names = loops.names(conn, archived=True)
    # The name is compared in Python, because Postgres refuses a text that holds a NUL.
    spec = loops.get(conn, loop) if loop in names else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    called, reviewers, judge = descriptions.newest(conn, loop), people.names(conn, loop), judge_standing(conn, spec)
    return as_json(
        {
            **_summary(conn, spec, judge),
            "error_rate": error_rate_report(conn, spec),
            "judge": judge["headline"] if judge is not None else None,
            "steps": step_reports(conn, spec, MOST_ON_A_PAGE),
            "targets": [target.model_dump() for target in spec.targets],
            "runs": [run_line(run, reviewers) for run in runs.latest(conn, loop, 50)],
            "versions": [
                {**version_line(version), **described(called.get(version.id))}
                for version in version_store.list_(conn, loop)
            ],
            "curve": learning_curve(conn, loop, metric_of(spec.config.answer)),
            "progress": progress_headline(conn, spec),
            "fall": _findable(watch(conn, spec)) if spec.retrain.drift and spec.learner.is_trained else None,
            "promotions": [promotion_line(row) for row in version_store.promotions(conn, loop)],
            "people": [person_line(row) for row in people.work(conn, loop)],
            "opinions": headline(conn, spec),
            "unreadable_answers": [
                _unreadable(row, label_studio_url) for row in unreadable.list_(conn, loop, SHOWN_ITEMS)
            ],
            "days": days(conn, loop, spec.config, datetime.now(UTC)),
        },
        called,
    )


def _summary(conn: Conn, spec: LoopSpec, judge: Report | None) -> Report:
    loop = spec.name
    states = outputs.state_counts(conn, loop)
    champion = version_store.champion(conn, loop)
    latest = [run_line(run) for run in runs.latest(conn, loop, 5)]
    found: Report = {
        "loop": loop,
        "resting": loops.resting(conn).get(loop),
        "outputs": sum(states.values()),
        "waiting": states["waiting"] + states["pushing"],
        "in_review": states["in_review"],
        "unreadable": unreadable.outputs(conn, loop),
        "unreadable_left": next((row.stuck for row in unreadable.list_(conn, loop, 1)), 0),
        "alerts": sum(count.n for count in alerts.open_counts(conn, loop)),
        "answered": states["answered"],
        "passed": states["passed"],
        "accepted": states["accepted"],
        "set_aside": states["quarantined"] + states["withdrawn"],
        "quarantined": states["quarantined"],
        "media_held": holding.held(conn, loop),
        "response": loop_questions.response_times(conn, loop),
        "agreement": loop_questions.agreement(conn, loop),
        "champion": {
            **named(None if champion is None else champion.id),
            **{key: champion and getattr(champion, key) for key in ("by", "why", "promoted_at")},
            "accuracy": accuracy_of(conn, loop, None if champion is None else champion.id),
        },
        "metric": metric_of(spec.config.answer),
        "new_answers": new_answers.count(conn, loop),
        "retrain_after": spec.retrain.after,
        "without_learner": spec.without_learner,
        "ended_promises": ended_promises(conn, spec, judge),
        "held_out_answers": run_items.held_out_answers(conn, loop),
        "min_holdout": spec.gate.min_holdout,
        "latest_run": latest[0] if latest else None,
    }
    wanted = [] if found["resting"] else needs(found, latest)
    return {**found, "needs_you": wanted, "idle": all(need["kind"] in STATES_WITHOUT_ALERT for need in wanted)}


def _findable(watched: Watch | None) -> Report | None:
    """Return the fall of the champion's accuracy that would be found; None if the champion was not judged."""
    if watched is None:
        return None
    judged_on, found = len(watched.before), watched.findable
    if found is None:
        return {"points": None, "answers": None, "judged_on": judged_on, "words": _not_findable(watched)}
    words = (
        f"A fall of its accuracy by {100 * found.points:.0f} points would be found within about {found.answers} "
        f"answers that chance chooses, in 80 % of cases. It was judged on {judged_on} held-out answers."
    )
    return {"points": found.points, "answers": found.answers, "judged_on": judged_on, "words": words}


def _not_findable(watched: Watch) -> str:
    """Return why no fall would be found in reasonable time."""
    judged_on, accuracy = len(watched.before), watched.accuracy
    if accuracy is not None and accuracy <= SIZES[0]:
        return (
            f"Its accuracy on {judged_on} held-out answers was {100 * accuracy:.3g} %: "
            f"it cannot fall by more than {100 * SIZES[0]:.0f} points, and a smaller fall may not be noticed."
        )
    needed = None if accuracy is None else held_out_needed(accuracy, watched.chance)
    enough = "more" if needed is None else f"about {needed} with the same accuracy"
    return (
        f"It was judged on {judged_on} held-out answers, too few to notice a fall of its accuracy: "
        f"a version that is judged on {enough} can be watched."
    )


def _unreadable(row: UnreadableAnswer, label_studio_url: str) -> Report:
    kept = ("key", "reviewer", "reason", "comment", "again")
    return {
        **{key: getattr(row, key) for key in kept},
        "at": row.updated_at,
        "task": task_url(label_studio_url or row.label_studio_url, row.project_id, row.label_studio_id),
    }

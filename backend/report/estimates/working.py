"""Report on the people at work: load, speed, accuracy, agreement, what changes within a session, and flags."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from backend.report.estimates.assigned import Assigned, assigned_lines
from backend.report.parts import Report, as_json
from backend.report.words import middle, part, when
from labelloop.answers.dawid_skene import KNOWN
from labelloop.answers.measures import metric_of
from labelloop.answers.trust import flags, measures
from labelloop.answers.trust.flags import Flag, Reason, Watched
from labelloop.answers.trust.said import Said, by_person
from labelloop.errors import UsageError
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.people import decisions, evidence, who
from labelloop.store.people.evidence import Confusion
from labelloop.store.people.who import Somebody
from labelloop.store.tables import loops

MOST_CELLS = 12
"""Cells of a confusion matrix that the report names, the most frequent mistakes."""


def working_report(conn: Conn, loop: str, now: datetime, person: str | None = None) -> Report:
    """Return {"loop", "resting", "answers", "overlap", "comparable", "enough", "false_alarm", "people", "sentences"}.

    "resting" is None but for an archived loop: then it says since when, and by whom.
    Each of "people" has "name", "login", "id", "status", "flags", "known", "load", "speed", "gold", "agreement",
    "by_label", "wrong_prelabels", "confusion", "fatigue", "distrusted", "assigned", "pause", and as "lines" all of it
    in words. A share has "n", "of", "value", "low" and "high", and its value is None if "of" is below "least". The
    value of "assigned" is None for people whom loop.yaml does not name, and that of "pause" if none is due. Answers are
    "comparable" if they are correct or incorrect, as a label is: otherwise nobody is compared with gold or with others.
    `person`: only this one, as `labelloop people` shows it.

    Raises UsageError if there is no such loop or person.
    """
    names = loops.names(conn, archived=True)
    if loop not in names:  # compared in Python, because Postgres refuses a text that holds a NUL
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    spec = loops.get(conn, loop)
    assert spec is not None
    only = None if person is None else who.named(conn, loop, person)
    everybody = who.everybody(conn, loop)
    of: dict[Hashable, UUID] = {row: one.ids[0] for one in everybody for row in one.ids}
    rows = [row._replace(person=of[row.person]) for row in evidence.said(conn, loop) if row.person in of]
    comparable = metric_of(spec.config.answer) == "accuracy"
    addresses = {address.lower() for address in spec.adjudicators}
    final = {one.ids[0] for one in everybody if (one.login or "").lower() in addresses}
    # An adjudicator sees what people differ on alone, with their answers: that measures nobody.
    own = [row if comparable else _without_labels(row) for row in rows]
    watched = flags.watch([row for row in own if row.person not in final], spec.overlap)
    answers = by_person(own)
    matrices, made = evidence.confusions(conn, loop), decisions.list_(conn, loop)
    assigned, people = Assigned(conn, spec, now), []
    for one in everybody:
        distrusted = [row for row in made if row.ended_at is None and row.reviewer_id in one.ids]
        mine, has = answers.get(one.ids[0], []), assigned.to(one.ids)
        if (mine or distrusted or has) and (only is None or one.ids == only.ids):
            known = watched.get(one.ids[0]) or Watched((), (), ())
            matrix = next((matrices[id_] for id_ in one.ids if id_ in matrices), None)
            about = _person(one, mine, known, len(rows), now)
            if one.ids[0] in final:
                about["status"] = "adjudicator"
            more = {"confusion": _confusion(matrix), "distrusted": distrusted, "assigned": has}
            people.append({**about, **more, "pause": assigned.pause(mine, about["fatigue"]["slower"])})
    people.sort(key=lambda one: (one["status"] != "look at", -one["load"]["answers"], one["name"]))
    resting = loops.resting(conn).get(loop)
    head = {"loop": loop, "resting": resting, "answers": len(rows), "overlap": spec.overlap, "comparable": comparable}
    sentences = [*_sentences(spec, comparable, rows), *assigned.sentences()]
    sentences += [f"{one['name']} {one['pause']}." for one in people if one["pause"]]
    told = {"enough": flags.ENOUGH, "false_alarm": flags.FALSE_ALARM, "sentences": sentences}
    found = as_json({**head, **told, "people": people})
    for one in found["people"]:
        one["lines"] = person_lines(one)
    return found


def _person(one: Somebody, rows: Sequence[Said], found: Watched, total: int, now: datetime) -> dict[str, Any]:
    sittings = measures.sessions(rows)
    known = [*found.gold, *found.others]
    lately, weekly = measures.per_week(rows, now)
    wrong = [row for row in found.gold if row.said.kept is not None and row.said.shown not in (None, row.truth)]
    return {
        "name": one.name,
        "login": one.login,
        "id": one.ids[0],
        "status": found.status,
        "flags": [{"reason": flag.reason, "at": flag.at, "sentence": _why(flag)} for flag in found.flags],
        "known": found.known,
        "load": {
            "answers": len(rows),
            "share": len(rows) / total if total else 0.0,
            "last_week": lately,
            "per_week": weekly,
            "sessions": len(sittings),
            "at_work": bool(rows) and now - rows[-1].at < measures.GAP,
        },
        "speed": measures.median([row.seconds for row in rows if row.seconds is not None]),
        "gold": measures.part(sum(not row.wrong for row in found.gold), len(found.gold)),
        "agreement": measures.part(sum(not row.wrong for row in found.others), len(found.others)),
        "by_label": measures.by_label(found.others),
        "wrong_prelabels": measures.part(sum(bool(row.said.kept) for row in wrong), len(wrong)),
        "fatigue": {
            "slower": measures.slower(sittings),
            "less_correct": measures.less_correct(sittings, known),
            "hours": measures.by_hour(sittings, known),
        },
    }


def _without_labels(row: Said) -> Said:
    """Return an answer that is compared with nothing."""
    return row._replace(gold=None, shown=None, kept=None, output=(row.person, row.output))


def _confusion(found: Confusion | None) -> list[dict[str, Any]] | None:
    """Return the mistakes of a person by the estimate of people's quality, the most frequent first, with intervals.

    The estimate counts as fewer answers than there are, because the correct labels are estimated too.
    """
    if found is None:
        return None
    cells: list[dict[str, Any]] = []
    for i, truth in enumerate(found.labels):
        answers = KNOWN * found.shared * found.shares[i]
        for j, given in enumerate(found.labels):
            if i != j:
                share = found.rows[i][j]
                cells.append({"truth": truth, "given": given, **_interval(share, answers), "answers": answers})
    cells.sort(key=lambda cell: -found.shares[found.labels.index(cell["truth"])] * (cell["value"] or 0.0))
    return cells[:MOST_CELLS]


def _interval(share: float, answers: float) -> dict[str, float | None]:
    """Return the share with Jeffreys' interval; None with too few answers."""
    from labelloop.answers.error_rate import jeffreys

    if answers < measures.LEAST:
        return {"value": None, "low": None, "high": None}
    low, high = jeffreys(share, answers)
    return {"value": share, "low": low, "high": high}


def _why(flag: Flag) -> str:
    """Return the flag in words, with its evidence."""
    n = f"{flag.events:,} of {flag.of:,}"
    most = "" if flag.claimed is None else f"{100 * flag.claimed:.0f} %"
    match flag.reason:
        case Reason.GOLD:
            return f"{n} answers to gold are incorrect; at most {most} are allowed."
        case Reason.OTHERS:
            return f"{n} answers differ from what all others said; {most} or more would be too many."
        case Reason.COPIES:
            return f"{n} incorrect prelabels were kept; at most {most} are allowed."
        case Reason.HOLDOUT:
            there = "" if flag.elsewhere is None else f"{flag.elsewhere[0]:,} of {flag.elsewhere[1]:,}"
            return f"{n} answers differ from the shown label on the hold-out set, and {there} elsewhere."
    return f"{n} answers took less time than the fastest tenth of the others'."


def _sentences(spec: LoopSpec, comparable: bool, rows: Sequence[Said]) -> list[str]:
    if not rows:
        return ["Nobody has answered yet."]
    found = []
    if not comparable:
        found.append("Answers of this form are more or less correct: only load and speed are measured.")
    else:
        if not any(row.gold is not None for row in rows):
            found.append("No gold was answered: submit outputs with their known answer, so that people are measured.")
        if spec.overlap < 2:
            found.append("Everybody answers other outputs (overlap: 1), so people are not compared with each other.")
    return found


def person_lines(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return everything about one person as pairs of a name and its value, for the page and the command line."""
    load, tired = one["load"], one["fatigue"]
    lines = [
        ("status", one["status"]),
        *(("look at", flag["sentence"]) for flag in one["flags"]),
        *(("distrusted", distrust_words(row)) for row in one["distrusted"]),
        *assigned_lines(one),
        ("answers", f"{load['answers']:,}, {100 * load['share']:.0f} % of all; {load['last_week']:,} in 7 days"),
        (
            "answers a week, mean",
            f"{load['per_week']:.1f}; {load['sessions']:,} {'session' if load['sessions'] == 1 else 'sessions'} in all",
        ),
        ("time of an answer, median", middle(one["speed"])),
        ("correct on gold", part(one["gold"])),
        ("same as the others", part(one["agreement"])),
        *((f"same, where the others say {label}", part(share)) for label, share in one["by_label"].items()),
        ("wrong prelabels kept on gold", part(one["wrong_prelabels"])),
        ("slower after an hour of work", middle(tired["slower"], " %", 100.0, 1.0)),
        ("change of the accuracy after an hour, points", middle(tired["less_correct"], "", 100.0)),
    ]
    for cell in one["confusion"] or ():
        if cell["value"] is not None:
            ends = f"{100 * cell['low']:.0f} to {100 * cell['high']:.0f}"
            words = f"{100 * cell['value']:.0f} % ({ends}), estimated"
            lines.append((f"says {cell['given']} where {cell['truth']} is correct", words))
    return lines


def for_the_person(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person may see about the own work: measures, and no flag."""
    hidden = ("status", "look at", "distrusted")
    return {**one, "flags": [], "lines": [line for line in one["lines"] if line[0] not in hidden]}


def distrust_words(row: Mapping[str, Any]) -> str:
    """Return a decision that answers do not count in words."""
    upto = "" if row["until"] is None else f" to {when(row['until'])}"
    return f"answers from {when(row['since'])}{upto} do not count: {row['why']} ({row['by']}, {when(row['at'])})"

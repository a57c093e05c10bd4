"""Reports: what is known of loops, runs and versions, as plain dicts of JSON's own types.

The one source of the pages, of HTTP and of the command line. Shares are of 1, times are ISO 8601 in UTC, versions are
whole ids (null: the pipeline's own outputs) with a `name` for people, and what they `called` it (null: nothing). Runs
of an older labelloop have fewer scores: what was not measured is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backend.report.days import days
from backend.report.pairs import paired
from backend.report.shown import QUIET, excerpts, needs, refusal, task_url, urgency, verdict
from backend.report.words import with_names
from labelloop.errors import UsageError
from labelloop.store.database import Conn
from labelloop.store.questions import loops as loop_questions
from labelloop.store.questions import people
from labelloop.store.questions import runs as run_questions
from labelloop.store.questions import versions as version_questions
from labelloop.store.questions.runs import Disagreement
from labelloop.store.tables import descriptions, loops, outputs, runs, unreadable, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.descriptions import Description
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import PIPELINE, JudgedVersion, Promotion, find, short

SHOWN_ITEMS = 100
"""Items on which two models disagree, in one report."""
Report = dict[str, Any]


def overview(conn: Conn, *, archived: bool = False) -> Report:
    """{"loops": [...], "archived": [names]}: of each loop what waits, who serves and how well, and what needs a person.

    What needs somebody most comes first; `idle` is a loop that needs nobody. With `archived` those are among the loops
    too.
    """
    at_work = loops.names(conn)
    known = loops.names(conn, archived=True)
    resting = [name for name in known if name not in at_work]
    found = [_summary(conn, name) for name in (known if archived else at_work)]
    found.sort(key=lambda loop: (min(map(urgency, loop["needs_you"]), default=99), loop["loop"]))
    return _report({"loops": found, "archived": resting}, descriptions.newest(conn))


def loop_report(conn: Conn, loop: str, *, label_studio_url: str = "") -> Report:
    """One loop: its summary, runs, versions, learning curve, changes of champion, reviewers, figures by day, and the
    answers that nobody can read (at most SHOWN_ITEMS).

    `label_studio_url` is where people open Label Studio, if that is another address than ours. Raises UsageError where
    there is no such loop.
    """
    names = loops.names(conn, archived=True)
    # Looked for here: Postgres takes no text with a NUL in it.
    spec = loops.get(conn, loop) if loop in names else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    called, whose = descriptions.newest(conn, loop), people.names(conn, loop)
    return _report(
        {
            **_summary(conn, loop),
            "targets": [target.model_dump() for target in spec.targets],
            "runs": [_run_line(run, whose) for run in runs.latest(conn, loop, 50)],
            "versions": [
                {**_version_line(version), **_described(called.get(version.id))}
                for version in version_store.list_(conn, loop)
            ],
            "curve": _curve(conn, loop),
            "promotions": [_promotion(row) for row in version_store.promotions(conn, loop)],
            "people": people.work(conn, loop),
            "unreadable_answers": [
                _unreadable(row, label_studio_url) for row in unreadable.list_(conn, loop, SHOWN_ITEMS)
            ],
            "days": days(conn, loop, datetime.now(UTC)),
        },
        called,
    )


def run_report(conn: Conn, run_id: UUID | str, *, label_studio_url: str = "") -> Report:
    """One run: the verdict in words, then all that it rests on. `run_id` may be the first characters of one.

    `label_studio_url` is where people open Label Studio, if that is another address than ours. Raises UsageError for a
    run that is not there.
    """
    run = _find_run(conn, run_id)
    scores: Mapping[str, Any] = run.evaluation
    champion, parts = version_store.champion(conn, run.loop), run_questions.parts(conn, run.id)
    rows = run_questions.disagreements(conn, run.id, SHOWN_ITEMS)
    serves = None if champion is None else champion.id
    decisions, again = run_questions.decisions(conn, run.id), run_questions.judged_again_by(conn, run.id)
    names = people.names(conn, run.loop)
    return _report(
        {
            **_run_line(run, names),
            **_picked(run, "seed", "heartbeat_at", "error", "log", "stop_asked_by", "tried", "progress"),
            "cut": run.feedback_upto,
            "verdict": verdict(run, again),
            "decisions": decisions,
            "refused_by": refusal(run, decisions),
            "judges": run.judges,
            "judged_again": again,
            "taught": parts.taught,
            "held_out": parts.held_out,
            "champion": _side(run.champion_id, scores, "champion"),
            "challenger": None if run.version_id is None else _side(run.version_id, scores, "challenger"),
            **{key: scores.get(key) for key in ("better", "worse", "p", "gain", "detectable", "reuse", "confusion")},
            "metric": scores.get("metric", "accuracy") if scores else None,
            "slices": _slices(scores.get("slices"), names),
            "calibration": scores.get("calibration"),
            "speed": scores.get("speed"),
            "size_bytes": scores.get("size_bytes"),
            "reviewers": scores.get("reviewers") or run_questions.held_out_reviewers(conn, run.id),
            "identity": scores.get("identity"),
            "shadow": run_questions.shadow(conn, run.id) if run.status == "shadow" else None,
            "disagreements": {
                "total": rows[0].total if rows else 0,
                "items": [_item(row, label_studio_url) for row in rows],
            },
            "curve": _curve(conn, run.loop),
            "serves": _named(serves),
            "epoch": version_store.epoch(conn, run.loop),
        },
        descriptions.newest(conn, run.loop),
    )


def progress(conn: Conn, run_id: UUID | str) -> Report:
    """How far a run is: {"status", "progress", "stop_asked_by"}; cheap enough to be asked every other second."""
    run = _find_run(conn, run_id)
    return _report(_picked(run, "id", "status", "progress", "stop_asked_by"))


def version_report(conn: Conn, version_id: str) -> Report:
    """One version: where it stands, how well it did, the runs that made and judged it, when it served.

    `version_id` may be the first characters of one. Raises UsageError where it names none, or several.
    """
    row = version_store.get(conn, find(version_id, version_store.all_ids(conn)))
    assert row is not None
    judging, names = version_questions.runs_of(conn, row.id), people.names(conn, row.loop)
    history, newest = descriptions.history(conn, row.id), verdicts.newest_run(conn, row.id)
    return _report(
        {
            **_version_line(row),
            **_described(history[0].description if history else None),
            "descriptions": [_picked(change, "id", "name", "tags", "note", "by", "at") for change in history],
            "refused_by": None if newest is None else refusal(newest, run_questions.decisions(conn, newest.id)),
            "accuracy": _accuracy(conn, row.loop, row.id),
            "runs": [
                {**_run_line(run, names), "as": "challenger" if run.version_id == row.id else "champion"}
                for run in judging
            ],
            "promotions": [_promotion(p) for p in version_questions.promotions_of(conn, row.id)],
            "epoch": version_store.epoch(conn, row.loop),
        },
        descriptions.newest(conn, row.loop),
    )


def version_id(conn: Conn, wanted: str) -> str:
    """The whole id of the version that `wanted` begins. Raises UsageError where it names none, or several."""
    return find(wanted, version_store.all_ids(conn))


def comparison(conn: Conn, a: str, b: str) -> Report:
    """Two versions on the held-out answers that both were judged on; each may be named by its first characters.

    `pipeline` names the own outputs of the other's pipeline. Raises UsageError for versions of different loops.
    """
    known = version_store.all_ids(conn)
    one, other = (None if name == PIPELINE else str(find(name, known)) for name in (a, b))
    if one == other:
        raise UsageError(f"{short(one)} stands on both sides: name two versions")
    of = [row.loop for name in (one, other) if name is not None and (row := version_store.get(conn, name))]
    if of[0] != of[-1]:
        raise UsageError(f"{short(one)} is of the loop {of[0]} and {short(other)} of {of[-1]}: name two of one")
    spec = loops.get(conn, of[0])
    assert spec is not None
    found = paired(spec.config, version_questions.answers_in_common(conn, of[0], one, other), short(one), short(other))
    return _report({"loop": of[0], "a": _named(one), "b": _named(other), **found}, descriptions.newest(conn, of[0]))


def versions_by_loop(conn: Conn) -> Report:
    """Loop to its versions, newest first: {"version", "name", "stage", "trained_on"}; what can be compared."""
    found = {
        loop: [{**_named(row.id), **_picked(row, "stage", "trained_on")} for row in version_store.list_(conn, loop)]
        for loop in loops.names(conn)
    }
    return _report(found, descriptions.newest(conn))


# -- parts of reports --------------------------------------------------------------------------------------------------


def _summary(conn: Conn, loop: str) -> Report:
    states = outputs.state_counts(conn, loop)
    champion = version_store.champion(conn, loop)
    latest = [_run_line(run) for run in runs.latest(conn, loop, 5)]
    spec = loops.get(conn, loop)
    assert spec is not None
    found: Report = {
        "loop": loop,
        "resting": loops.resting(conn).get(loop),
        "outputs": sum(states.values()),
        "waiting": states["waiting"] + states["pushing"],
        "in_review": states["in_review"],
        "unreadable": unreadable.outputs(conn, loop),
        "unreadable_left": next((row["stuck"] for row in unreadable.list_(conn, loop, 1)), 0),
        "answered": states["answered"],
        "passed": states["passed"],
        "set_aside": states["quarantined"] + states["withdrawn"],
        "quarantined": states["quarantined"],
        "response": loop_questions.response_times(conn, loop),
        "agreement": loop_questions.agreement(conn, loop),
        "champion": {
            **_named(None if champion is None else champion.id),
            **{key: champion and getattr(champion, key) for key in ("by", "why", "promoted_at")},
            "accuracy": _accuracy(conn, loop, None if champion is None else champion.id),
        },
        "new_answers": runs.new_answers(conn, loop),
        "retrain_after": spec.retrain.after,
        "without_learner": spec.without_learner,
        "held_out_answers": loop_questions.held_out_answers(conn, loop),
        "min_holdout": spec.gate.min_holdout,
        "latest_run": latest[0] if latest else None,
    }
    wanted = [] if found["resting"] else needs(found, latest)
    return {**found, "needs_you": wanted, "idle": all(need["kind"] in QUIET for need in wanted)}


def _accuracy(conn: Conn, loop: str, version_id: str | None) -> Report | None:
    """As the newest run measured it that judged this version; None: none has."""
    run = version_questions.newest_judging_run(conn, loop, version_id)
    if run is None:
        return None
    side = "challenger" if version_id is not None and run.version_id == version_id else "champion"
    measured = run.scores.get(side)
    if not measured:
        return None
    return {**measured, "holdout": run.scores.get("holdout"), "run": run.id, "at": run.finished_at}


def _find_run(conn: Conn, run_id: UUID | str) -> RetrainRun:
    wanted = str(run_id).strip().lower()
    hexadecimal = bool(wanted) and set(wanted) <= set("0123456789abcdef-")
    found = run_questions.ids_beginning_with(conn, wanted) if hexadecimal else []
    if len(found) > 1:
        raise UsageError(f"{wanted!r} begins more than one run; give more of it")
    run = runs.get(conn, found[0]) if found else None
    if run is None:
        raise UsageError(f"no run begins with {str(run_id)[:80]!r}")
    return run


def _side(version_id: str | None, scores: Mapping[str, Any], side: str) -> Report:
    return {**_named(version_id), **dict.fromkeys(("correct", "accuracy", "low", "high")), **(scores.get(side) or {})}


def _run_line(run: RetrainRun, names: Mapping[str, str] | None = None) -> Report:
    """`names`: what verdicts call a reviewer to the name."""
    scores = run.evaluation
    kept = ("id", "loop", "why", "status", "requested_at", "started_at", "finished_at", "error", "progress")
    return {
        **_picked(run, *kept),
        "name": str(run.id)[:8],
        "version": None if run.version_id is None else _named(run.version_id),
        "champion": _named(run.champion_id),
        "reasons": [with_names(reason, names or {}) for reason in run.reasons],
        "holdout": scores.get("holdout"),
        "trained_on": scores.get("trained_on"),
        "gain": scores.get("gain"),
    }


def _version_line(row: JudgedVersion) -> Report:
    kept = ("loop", "stage", "learner", "classes", "size_bytes", "trained_on", "created_at", "scores", "reasons")
    return {**_named(row.id), **_picked(row, *kept)}


def _described(found: Description | None) -> Report:
    return {"tags": [] if found is None else found.tags, "note": None if found is None else found.note}


def _slices(found: Sequence[Mapping[str, Any]] | None, names: Mapping[str, str]) -> list[Report] | None:
    """With `shown`, the value as people read it: of a reviewer the name."""
    if found is None:
        return None
    return [{**s, "shown": names.get(s["value"], s["value"]) if s["by"] == "reviewer" else s["value"]} for s in found]


def _curve(conn: Conn, loop: str) -> list[Report]:
    """Every version that was judged when it was made, oldest first: taught so many answers, so often right."""
    return [
        {
            **_named(row.id),
            "stage": row.stage,
            "trained_on": row.trained_on,
            "holdout": row.scores.get("holdout"),
            "at": row.created_at,
            **{key: row.scores["challenger"].get(key) for key in ("accuracy", "low", "high")},
        }
        for row in reversed(version_store.list_(conn, loop))
        if row.scores and row.scores.get("challenger")
    ]


def _promotion(row: Promotion) -> Report:
    kept = _picked(row, "epoch", "by", "why", "at")
    return {**kept, "version": _named(row.version_id), "previous": _named(row.previous_id)}


def _item(row: Disagreement, label_studio_url: str) -> Report:
    correct = {row.challenger_label: "challenger", row.champion_label: "champion"}
    return {
        "key": row.key,
        "champion_label": row.champion_label,
        "champion_confidence": row.champion_confidence,
        "challenger_label": row.challenger_label,
        "challenger_confidence": row.challenger_confidence,
        "answer": row.label,
        "right": correct.get(row.label),
        "task": task_url(label_studio_url or row.label_studio_url, row.project_id, row.label_studio_id),
        "data": excerpts(row.data),
    }


def _unreadable(row: Mapping[str, Any], label_studio_url: str) -> Report:
    kept = ("key", "reviewer", "reason", "comment", "again")
    return {
        **{key: row[key] for key in kept},
        "at": row["updated_at"],
        "task": task_url(label_studio_url or row["label_studio_url"], row["project_id"], row["label_studio_id"]),
    }


def _picked(row: object, *names: str) -> Report:
    """Return these fields of a row."""
    return {name: getattr(row, name) for name in names}


def _named(version_id: str | None) -> Report:
    return {"version": version_id, "name": short(version_id), "called": None}


def _report(parts: Mapping[str, Any], called: Mapping[str, Description] | None = None) -> Report:
    """The same in JSON's own types, each version with what people call it. `called`: version to its description."""
    plain: Report = _plain(parts, called or {})
    return plain


def _plain(value: Any, called: Mapping[str, Description]) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), called) for field in fields(value)}
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item, called) for key, item in value.items()}
        if "called" in plain and plain["version"] in called:
            plain["called"] = called[plain["version"]].name
        return plain
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return str(value)  # a StrEnum is none of JSON's own types
    if isinstance(value, Sequence):
        return [_plain(item, called) for item in value]
    return value

"""Reports of versions: everything about one, and the comparison of two."""

from __future__ import annotations

from backend.report.pairs import paired
from backend.report.parts import (
    Report,
    accuracy_of,
    as_json,
    described,
    named,
    picked,
    promotion_line,
    run_line,
    version_line,
)
from backend.report.shown import refusal
from labelloop.answers.measures import metric_of
from labelloop.errors import UsageError
from labelloop.labeling.former import known_before
from labelloop.store.database import Conn
from labelloop.store.people import decisions
from labelloop.store.questions import people
from labelloop.store.questions import runs as run_questions
from labelloop.store.questions import versions as version_questions
from labelloop.store.tables import descriptions, loops, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import PIPELINE, find, short


def version_report(conn: Conn, version_id: str) -> Report:
    """Return the report of one version: stage, accuracy, descriptions, the runs that made or judged it, promotions.

    `version_id` may be the first characters of an id. Raises UsageError if it matches no version, or several.
    """
    row = version_store.get(conn, find(version_id, version_store.all_ids(conn)))
    assert row is not None
    spec = loops.get(conn, row.loop)
    assert spec is not None
    judging, names = version_questions.runs_of(conn, row.id), people.names(conn, row.loop)
    bad = decisions.distrusted_in(conn, row.id)
    history, newest = descriptions.history(conn, row.id), verdicts.newest_run(conn, row.id)
    return as_json(
        {
            **version_line(row),
            **described(history[0].description if history else None),
            "descriptions": [picked(change, "id", "name", "tags", "note", "by", "at") for change in history],
            "refused_by": None if newest is None else refusal(newest, run_questions.decisions(conn, newest.id)),
            "accuracy": accuracy_of(conn, row.loop, row.id),
            "before": known_before(row.classes, spec.former_labels),
            "distrusted": None if bad is None else picked(bad, "taught", "judged"),
            "metric": metric_of(spec.config.answer),
            "runs": [
                {**run_line(run, names), "as": "challenger" if run.version_id == row.id else "champion"}
                for run in judging
            ],
            "promotions": [promotion_line(p) for p in version_questions.promotions_of(conn, row.id)],
            "epoch": version_store.epoch(conn, row.loop),
        },
        descriptions.newest(conn, row.loop),
    )


def full_version_id(conn: Conn, wanted: str) -> str:
    """Return the id that begins with `wanted`. Raises UsageError if it matches no version, or several."""
    return find(wanted, version_store.all_ids(conn))


def comparison(conn: Conn, a: str, b: str) -> Report:
    """Compare two versions on the held-out answers that both were judged on.

    Each may be named by its first characters; `pipeline` is the pipeline's own outputs in the loop of the other. Raises
    UsageError for versions of different loops.
    """
    known = version_store.all_ids(conn)
    one, other = (None if name == PIPELINE else str(find(name, known)) for name in (a, b))
    if one == other:
        raise UsageError(f"{short(one)} is on both sides; name two versions")
    loop, *others = [row.loop for name in (one, other) if name is not None and (row := version_store.get(conn, name))]
    if others and others[0] != loop:
        raise UsageError(f"{short(one)} is a version of {loop}, {short(other)} of {others[0]}; name two of one loop")
    spec = loops.get(conn, loop)
    assert spec is not None
    found = paired(spec.config, version_questions.answers_in_common(conn, loop, one, other), short(one), short(other))
    return as_json({"loop": loop, "a": named(one), "b": named(other), **found}, descriptions.newest(conn, loop))


def versions_by_loop(conn: Conn) -> Report:
    """Map each loop to its versions, newest first: {"version", "name", "called", "stage", "trained_on"}."""
    found = {
        loop: [{**named(row.id), **picked(row, "stage", "trained_on")} for row in version_store.list_(conn, loop)]
        for loop in loops.names(conn)
    }
    return as_json(found, descriptions.newest(conn))

"""Judge a version again: it passed the gate while the champion changed, or was refused on fewer answers than there are.

This is a run of its own, so that each verdict stays on record. Nothing is trained: the version's file is loaded, and
both models predict the held-out items that are answered by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.errors import Failed
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import jobs, run_items, runs, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import AnsweredItem, TrainingItem
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import short

MIN_MORE = 10
"""Smallest number of new held-out answers for another verdict on a refused version."""
MORE = 0.25
"""The same, as a share of those that it was judged on."""


@dataclass(frozen=True, slots=True)
class Judging:
    """The version that a run judges again."""

    version_id: str
    run_id: UUID
    """The run that made it."""
    trained_on: int
    answers_upto: int
    """The seq of the newest answer that it may be judged on."""
    identity: Mapping[str, Any] | None
    """Identity of the run that made it, which a replay needs; None for runs of an older labelloop."""


def ask_again(conn: Conn, run: RetrainRun, version_id: str, champion_id: str | None) -> UUID | None:
    """Request another verdict on the version of `run`, which was judged against another champion than `champion_id`.

    Returns the new run's id; None if the version serves now, or another verdict is open already. Part of the caller's
    transaction.
    """
    if version_id == champion_id:
        return None
    why = f"run {str(run.id)[:8]} passed the gate against {short(run.champion_id)}; {short(champion_id)} serves now"
    made = runs.request_again(conn, run.loop, run.id, why, seed=run.seed)
    jobs.ask(conn, jobs.RETRAIN, run.loop)
    return made


def ask_on_more_answers(conn: Conn, spec: LoopSpec) -> UUID | None:
    """Request another verdict on a refused version that was ahead, if enough held-out answers are new; its run's id.

    Only for the rule of the expected loss: the paired tests pay for each verdict with a part of alpha. The version that
    most is lost without comes first. None if there is none, if a run is open, or if a version waits for a decision.
    """
    if spec.gate.rule_in_force != "expected_loss" or runs.open_runs(conn, spec.name):
        return None
    champion = version_store.champion(conn, spec.name)
    champion_id, epoch = None if champion is None else champion.id, version_store.epoch(conn, spec.name)
    largest = spec.gate.max_size_mb
    refused = [
        one
        for one in verdicts.refused_ahead(conn, spec.name, champion_id, epoch)
        if largest is None or one.size_bytes <= 1e6 * largest
    ]
    if not refused or verdicts.undecided(conn, spec.name):
        return None
    since = run_items.held_out_since(conn, spec.name, min(one.upto for one in refused))
    new = {one: sum(seq > one.upto for seq in since) for one in refused}
    grown = [one for one in refused if enough_more(one.answers, new[one])]
    if not grown or run_items.held_out_answers(conn, spec.name) < spec.gate.min_holdout:
        return None
    best = max(grown, key=lambda one: (one.waiting, one.gain, one.run_id))
    why = (
        f"version {short(best.version_id)} was ahead by {100 * best.gain:.1f} points on {best.answers} held-out "
        f"answers; {new[best]} are new"
    )
    made = runs.request_again(conn, spec.name, best.run_id, why, seed=best.seed)
    jobs.ask(conn, jobs.RETRAIN, spec.name)
    return made


def judged_before(conn: Conn, run: RetrainRun) -> tuple[Judging, list[TrainingItem], list[AnsweredItem]]:
    """Return the version that `run` judges again, what it was trained on, and the held-out answers by now.

    Raises Failed if the earlier run is not on record or made no version.
    """
    before = None if run.judges is None else runs.get(conn, run.judges)
    version = None if before is None or before.version_id is None else version_store.get(conn, before.version_id)
    if before is None or version is None:
        raise Failed(f"run {run.judges} has no version that could be judged again")
    upto = run_items.newest_answer(conn, run.loop)
    judging = Judging(version.id, before.id, version.trained_on, upto, before.evaluation.get("identity"))
    rows = run_items.answered(conn, run.loop, upto)
    return judging, run_items.trained_on(conn, before.id), [row for row in rows if row.holdout]


def enough_more(before: int, new: int) -> bool:
    """Whether a version that was refused on `before` held-out answers gets another verdict after `new` more."""
    return new >= max(MIN_MORE, MORE * before)

"""Shadow: a challenger that passed the gate says beside the champion what it would, and is judged on real answers."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from backend import models
from backend.decide.judge import gate, incumbent, judged, text_field
from backend.decide.promote import close, switch
from backend.learners import Learner
from backend.score.prelabel import champion_and_ranker
from backend.score.scoring import predict_readable
from labelloop.errors import Failed, Retriable
from labelloop.gate import Reuse
from labelloop.pictures.kept import with_pictures_in
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import jobs, loops, pool, shadow, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import ItemToLabel
from labelloop.versions.runs import RetrainRun, RunStatus
from labelloop.versions.version import VersionPair

CHUNK = 200
"""Outputs that both say at a time, in one transaction."""
logger = logging.getLogger(__name__)
Verdict = tuple[str | None, float | None]


def in_shadow(
    database: Database,
    loop: str,
    models_dir: Path | None,
    stop: threading.Event | None = None,
    settings: Settings | None = None,
) -> None:
    """Let the version in shadow and the champion say what came in, then judge it, if enough of that is answered.

    Twice is once. Where a file cannot be loaded the run ends as refused: what cannot predict cannot serve.
    """
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        run = next((run for run in verdicts.undecided(conn, loop) if run.status == RunStatus.SHADOW), None)
    if spec is None or run is None:
        return
    try:
        try:
            if said := _say(database, settings, spec, run, models_dir, stop or threading.Event()):
                logger.info("loop %s: run %s in shadow, %d outputs said", loop, run.id, said)
        except Retriable as exc:  # a remote model that is away must not keep the shadow from its end
            logger.warning("loop %s: run %s in shadow: %s", loop, run.id, exc)
        _judge(database, spec, run, models_dir)
    except Failed as exc:
        with database.transaction() as conn:
            verdicts.hold(conn, loop)
            close(conn, run, f"in shadow it could not go on: {exc}: refused")


def _say(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    run: RetrainRun,
    models_dir: Path | None,
    stop: threading.Event,
) -> int:
    """Have both say what came in and nobody has answered; returns of how many outputs."""
    challenger: Learner | None = None
    champion: Learner | None = None
    done = 0
    while not stop.is_set():
        with database.transaction() as conn:
            room = spec.gate.shadow.outputs - shadow.said(conn, run.id)
            rows = shadow.unsaid(conn, run.id, _next(conn, spec.name, room), min(CHUNK, room)) if room > 0 else []
        if not rows:
            break
        rows = with_pictures_in(database, settings, spec, rows)
        if challenger is None:
            challenger = models.load(models_dir, run.made)
            champion = None if run.champion_id is None else models.load(models_dir, run.champion_id)
        theirs = _verdicts(challenger, rows)
        if champion is None:
            ours: list[Verdict] = [(row.pipeline_label, row.pipeline_confidence) for row in rows]
        else:
            ours = _verdicts(champion, rows)
        with database.transaction() as conn:
            done += shadow.write(
                conn, run.id, [shadow.Said(r.output_id, *a, *b) for r, a, b in zip(rows, ours, theirs, strict=True)]
            )
    return done


def _next(conn: Conn, loop: str, n: int) -> list[UUID]:
    """What people have, and what they get next: of each lane the most useful `n`, one after the other."""
    best = pool.best(conn, loop, n, VersionPair.of(*champion_and_ranker(conn, loop)))
    places: Counter[str] = Counter()
    ranked = []
    for row in best:
        ranked.append((places[row.lane], row.output_id))
        places[row.lane] += 1
    return [*shadow.open_outputs(conn, loop), *(output_id for _, output_id in sorted(ranked))]


def _verdicts(learner: Learner, rows: Sequence[ItemToLabel]) -> list[Verdict]:
    found: list[Verdict] = [(None, None)] * len(rows)
    positions, said = predict_readable(learner, [row.data for row in rows])
    for position, label, confidence in zip(positions, said.labels, said.confidences.tolist(), strict=True):
        found[position] = label, confidence
    return found


def _judge(database: Database, spec: LoopSpec, run: RetrainRun, models_dir: Path | None) -> None:
    """The gate once more, on real answers: once only, as soon as enough are there, or the time is up."""
    rules = spec.gate.shadow
    with database.transaction() as conn:
        rows = shadow.answered(conn, run.id, text_field(spec))
        days = shadow.days(conn, run.id)
    if len(rows) < rules.answers:
        if days > rules.days:
            with database.transaction() as conn:
                verdicts.hold(conn, spec.name)
                close(conn, run, f"in shadow for {rules.days:g} days {len(rows)} answers came, {rules.answers} are "
                                 "wanted (gate.shadow): refused")  # fmt: skip
        return
    decision = gate(spec, rules.answers).judge(
        [judged(spec, row) for row in rows], incumbent(run), reuse=Reuse.of(spec.gate.alpha), seed=run.seed
    )
    first = f"in shadow, on answers to what came in: {decision.reasons[0]}"
    if decision.promote:
        models.load(models_dir, run.made)
    with database.transaction() as conn:
        verdicts.hold(conn, spec.name)
        scores = decision.evaluation(run.evaluation["trained_on"])
        _apply(conn, spec, run, decision.promote, [first, *decision.reasons[1:]], scores)


def _apply(
    conn: Conn, spec: LoopSpec, run: RetrainRun, passed: bool, reasons: Sequence[str], scores: dict[str, Any]
) -> None:
    if not passed:
        status = RunStatus.REFUSED
    elif spec.gate.shadow.then == "ask":
        status, reasons = RunStatus.ASKING, [f"{reasons[0]}, if a person says so", *reasons[1:]]
    else:
        status = RunStatus.PROMOTED
    if not verdicts.decide(conn, run.id, status, *reasons, shadow=scores):
        return  # somebody has decided meanwhile
    if status == RunStatus.REFUSED:
        version_store.refuse(conn, run.made)
        verdicts.record(conn, run.id, "refuse", "gate", reasons[0])
    elif status == RunStatus.PROMOTED:
        epoch = version_store.epoch(conn, spec.name)
        switch(conn, spec.name, run.made, by="gate", why=reasons[0], epoch=epoch)
        verdicts.record(conn, run.id, "promote", "gate", reasons[0])
    logger.info("loop %s: run %s %s after its shadow", spec.name, run.id, status)


def ask_for_shadows(database: Database) -> None:
    """A pass for every loop with a version in shadow: outputs come in, and answers."""
    with database.transaction() as conn:
        for loop in shadow.loops(conn):
            jobs.ask(conn, jobs.SHADOW, loop)

"""Shadow: a challenger that passed the gate predicts beside the champion, and is judged on the answers that follow."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from backend import models
from backend.decide.judge import gate, incumbent, judged, text_field
from backend.decide.promote import close, switch, withdrawn
from backend.encode.inputs import with_inputs_in
from backend.encode.kept import Encoding
from backend.learners import Learner
from backend.score.prelabel import champion_and_ranker
from backend.score.scoring import predict_readable
from labelloop.errors import Failed, Retriable
from labelloop.gate import Reuse
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import jobs, loops, pool, shadow, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import ItemToLabel, JudgedItem
from labelloop.versions.runs import RetrainRun, RunStatus
from labelloop.versions.version import VersionPair

CHUNK = 200
"""Outputs that both models predict in one transaction."""
logger = logging.getLogger(__name__)
Verdict = tuple[str | None, float | None]


def in_shadow(
    database: Database,
    loop: str,
    models_dir: Path | None,
    stop: threading.Event | None = None,
    settings: Settings | None = None,
    encoding: Encoding | None = None,
) -> None:
    """Predict new outputs with the version in shadow and with the champion; judge it once enough of them are answered.

    A second call changes nothing. If a file cannot be loaded, the run ends as refused: the version could not serve.
    """
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        run = next((run for run in verdicts.undecided(conn, loop) if run.status == RunStatus.SHADOW), None)
    if spec is None or run is None:
        return
    try:
        try:
            if n := _predict(database, settings, spec, run, models_dir, stop or threading.Event(), encoding):
                logger.info("loop %s: run %s in shadow, %d outputs predicted", loop, run.id, n)
        except Retriable as exc:  # an unreachable remote model must not prevent the end of the shadow
            logger.warning("loop %s: run %s in shadow: %s", loop, run.id, exc)
        _judge(database, spec, run, models_dir)
    except Failed as exc:
        with database.transaction() as conn:
            verdicts.hold(conn, loop)
            close(conn, run, f"in shadow it failed: {exc}: refused")


def _predict(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    run: RetrainRun,
    models_dir: Path | None,
    stop: threading.Event,
    encoding: Encoding | None,
) -> int:
    """Predict the outputs that nobody has answered yet with both models; return the number of outputs."""
    challenger: Learner | None = None
    champion: Learner | None = None
    done = 0
    while not stop.is_set():
        with database.transaction() as conn:
            room = spec.gate.shadow.outputs - shadow.said(conn, run.id)
            rows = shadow.unsaid(conn, run.id, _next(conn, spec.name, room), min(CHUNK, room)) if room > 0 else []
        if not rows:
            break
        rows = with_inputs_in(database, settings, spec, rows, encoding)
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
    """Return the outputs of open tasks, then the most useful `n` outputs, taken from the lanes in turn."""
    best = pool.best(conn, loop, n, VersionPair.of(*champion_and_ranker(conn, loop)))
    places: Counter[str] = Counter()
    ranked = []
    for row in best:
        ranked.append((places[row.lane], row.output_id))
        places[row.lane] += 1
    return [*shadow.open_outputs(conn, loop), *(output_id for _, output_id in sorted(ranked))]


def _verdicts(learner: Learner, rows: Sequence[ItemToLabel]) -> list[Verdict]:
    found: list[Verdict] = [(None, None)] * len(rows)
    positions, predicted = predict_readable(learner, [row.data for row in rows])
    pairs = zip(positions, predicted.labels, predicted.confidences.tolist(), strict=True)
    for position, label, confidence in pairs:
        found[position] = label, confidence
    return found


def _today(spec: LoopSpec, row: JudgedItem) -> JudgedItem:
    """Return the item with predictions in the labels of today, which may have changed since they were made."""
    today = spec.config.answer.today
    return replace(row, champion_label=today(row.champion_label), challenger_label=today(row.challenger_label))


def _judge(database: Database, spec: LoopSpec, run: RetrainRun, models_dir: Path | None) -> None:
    """Apply the gate to the answers in shadow: once, when there are enough of them or the time is over."""
    rules = spec.gate.shadow
    with database.transaction() as conn:
        rows = [_today(spec, row) for row in shadow.answered(conn, run.id, text_field(spec))]
        days = shadow.days(conn, run.id)
    if len(rows) < rules.answers:
        if days > rules.days:
            with database.transaction() as conn:
                verdicts.hold(conn, spec.name)
                close(conn, run, f"{len(rows)} answers in {rules.days:g} days in shadow, at least {rules.answers} are "
                                 "needed (gate.shadow): refused")  # fmt: skip
        return
    decision = gate(spec, rules.answers).judge(
        [judged(spec, row) for row in rows], incumbent(run), reuse=Reuse.of(spec.gate.level), seed=run.seed
    )
    first = f"in shadow, on new outputs: {decision.reasons[0]}"
    if decision.promote:
        models.load(models_dir, run.made)
    with database.transaction() as conn:
        verdicts.hold(conn, spec.name)
        evaluation = decision.evaluation(run.evaluation["trained_on"])
        _apply(conn, spec, run, decision.promote, [first, *decision.reasons[1:]], evaluation)


def _apply(
    conn: Conn, spec: LoopSpec, run: RetrainRun, passed: bool, reasons: Sequence[str], evaluation: dict[str, Any]
) -> None:
    if not passed:
        status = RunStatus.REFUSED
    elif (why := withdrawn(conn, run.made)) or spec.gate.shadow.then == "ask":
        because = f", because {why}" if why else ""
        status, reasons = RunStatus.ASKING, [f"{reasons[0]}, if a person decides so{because}", *reasons[1:]]
    else:
        status = RunStatus.PROMOTED
    if not verdicts.decide(conn, run.id, status, *reasons, shadow=evaluation):
        return  # a person has decided meanwhile
    if status == RunStatus.REFUSED:
        version_store.refuse(conn, run.made)
        verdicts.record(conn, run.id, "refuse", "gate", reasons[0])
    elif status == RunStatus.PROMOTED:
        epoch = version_store.epoch(conn, spec.name)
        switch(conn, spec.name, run.made, by="gate", why=reasons[0], epoch=epoch)
        verdicts.record(conn, run.id, "promote", "gate", reasons[0])
    logger.info("loop %s: run %s %s after its shadow", spec.name, run.id, status)


def ask_for_shadows(database: Database) -> None:
    """Request a shadow job for every loop with a version in shadow, for its new outputs and answers."""
    with database.transaction() as conn:
        for loop in shadow.loops(conn):
            jobs.ask(conn, jobs.SHADOW, loop)

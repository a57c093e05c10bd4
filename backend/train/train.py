"""The training child: `python -m backend.train.train`, with an order (backend/train/child.py) on standard input.

It reads the cut, fits, predicts the hold-out and keeps the file. It never touches the run's status nor the champion;
how far it is and what it made are lines of JSON on standard output. What it may use is limited, and it ends when its
standard input does, so a worker that is killed leaves no child behind.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from threadpoolctl import threadpool_limits

from backend import models
from backend.decide.again import Judging, judged_before
from backend.learners import Learner, load_sklearn
from backend.learners.of_spec import field_of, learner_of
from backend.train.cut import divide, readable
from backend.train.identity import identity
from backend.train.replay import teach_again
from backend.train.retrying import retrying
from backend.train.search import TIME_SHARE, search
from backend.train.teach import teach
from labelloop.errors import Failed, LabelloopError
from labelloop.pictures.kept import with_pictures_in
from labelloop.process import log
from labelloop.process.settings import Settings
from labelloop.spec.learners import facts_of
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.tables import loops, run_items, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import AnsweredItem, ItemToLabel
from labelloop.versions.runs import RetrainRun

Told = Callable[[str, int, int], None]
"""A step, and how many of how many steps are done."""
logger = logging.getLogger(__name__)
STEPS = ("reading the answers", "searching parameters", "fitting", "storing", "judging")
SAID = 3
"""Times that a model says the hold-out, to measure how quick it is, unless that takes longer than SAID_S."""
SAID_S = 0.25


def main() -> int:
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is a log line, not our answer
    order = os.read(0, 4096)
    if not order:
        return 0
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    _load()  # before its memory and its time are limited
    said = json.loads(order)
    limits = Retrain.model_validate(said["limits"])

    def say(what: dict[str, Any]) -> None:
        os.write(answer, json.dumps(what, ensure_ascii=False).encode(errors="replace") + b"\n")

    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    try:
        _limit(limits)
        with Database(settings.database_url, size=1) as database:
            if said["replay"]:
                outcome = teach_again(database, settings.models_dir, UUID(said["run"]), limits.threads)
            else:
                outcome = train(
                    database,
                    settings.models_dir,
                    UUID(said["run"]),
                    lambda step, done, of: say({"step": step, "done": done, "of": of}),
                    settings,
                )
    except LabelloopError as exc:
        outcome = {"error": str(exc)}
    except MemoryError:
        logger.exception("out of memory")
        outcome = {"error": f"out of memory: training may use {limits.memory_gb:g} GiB"}
    except Exception as exc:
        logger.exception("training failed")
        outcome = {"error": f"training failed: {type(exc).__name__}: {exc}"}
    say(outcome)
    return 0


def _load() -> None:
    """Import what any training needs."""
    load_sklearn()
    for name in ("skops.io", "backend.learners.calibrate"):
        import_module(name)


def _limit(limits: Retrain) -> None:
    """Memory, and the processor time that its threads can use in its minutes: more only more threads would take."""
    memory = int(limits.memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(used.ru_utime + used.ru_stime + limits.minutes * 60 * limits.threads) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def train(
    database: Database,
    models_dir: Path | None,
    run_id: UUID,
    told: Told = lambda *_: None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Fit the challenger of a run and let both models say what the held-out items are. Twice gives the same bytes."""

    def gather() -> tuple[RetrainRun, LoopSpec, list[AnsweredItem] | tuple[Judging, list[ItemToLabel]]]:
        with database.transaction() as conn:
            run = runs.get(conn, run_id)
            spec = None if run is None else loops.get(conn, run.loop)
            if run is None or spec is None or run.feedback_upto is None:
                raise Failed(f"no run {run_id} that was started")
            if run.judges is None:
                return run, spec, run_items.answered(conn, run.loop, run.feedback_upto)
            return run, spec, judged_before(conn, run)

    run, spec, found = retrying(gather)
    with threadpool_limits(spec.retrain.threads):
        if isinstance(found, tuple):
            version, judged = found
            judged = with_pictures_in(database, settings, spec, judged)
            return _judge_again(database, models_dir, run, version, judged, told)
        return _train(database, models_dir, run, spec, with_pictures_in(database, settings, spec, found), told)


def _train(
    database: Database,
    models_dir: Path | None,
    run: RetrainRun,
    spec: LoopSpec,
    rows: list[AnsweredItem],
    told: Told,
) -> dict[str, Any]:
    def at(step: int, done: int = 0, of: int = 0) -> None:
        words = STEPS[step] + (f", {done + 1} of {of}" if of else "")
        logger.info("%s", words)
        told(words, step, len(STEPS))

    at(0)
    run_id, learner = run.id, learner_of(spec)
    cut = divide(spec, learner, field_of(spec), rows)
    taught, judged, notes = cut.taught, cut.judged, cut.notes
    retrying(lambda: _write_items(database, run_id, [*taught, *judged]))
    if len(taught) < 2 and not facts_of(learner.name).is_frozen:
        return {"refused": "; ".join([f"{len(taught)} answers to learn from, 2 at least: refused", *notes])}
    tried = None
    try:
        if spec.retrain.search:
            at(1)
            limit_s = TIME_SHARE * 60 * spec.retrain.minutes
            learner, tried = search(
                learner, spec.learner.params, taught, run.seed, limit_s, lambda done, of: at(1, done, of)
            )
        at(2)
        learner = teach(learner, taught, run.seed)
    except Failed as exc:
        return {"refused": "; ".join([f"{exc}: refused", *notes])}
    at(3)
    stored = models.store(models_dir, spec.name, learner)
    at(4)
    incumbent, challenger, speed = _both_say(models_dir, run, learner, stored.id, judged)

    def keep() -> None:
        with database.transaction() as conn:
            version_store.insert(
                conn,
                spec.name,
                stored.id,
                learner=learner.name,
                classes=learner.classes,
                size_bytes=stored.size_bytes,
                trained_on=len(taught),
            )
            run_items.write_verdicts(conn, run_id, [row.output_id for row in judged], incumbent, challenger)
            runs.write_tried(conn, run_id, tried)

    retrying(keep)
    return {
        "version": stored.id,
        "trained_on": len(taught),
        "notes": notes,
        "speed": speed,
        "identity": identity(taught, run.seed, spec.retrain.threads),
    }


def _judge_again(
    database: Database,
    models_dir: Path | None,
    run: RetrainRun,
    version: Judging,
    judged: list[ItemToLabel],
    told: Told,
) -> dict[str, Any]:
    """What `train` returns, of the version of an earlier run; only the verdict is new."""
    told(STEPS[4], 4, len(STEPS))
    learner = models.load(models_dir, version.version_id)
    incumbent, challenger, speed = _both_say(models_dir, run, learner, version.version_id, judged)

    def keep() -> None:
        with database.transaction() as conn:
            run_items.write_verdicts(conn, run.id, [row.output_id for row in judged], incumbent, challenger)

    retrying(keep)
    return {
        "version": version.version_id,
        "trained_on": version.trained_on,
        "notes": [],
        "speed": speed,
        "identity": version.identity,
    }


def _both_say(
    models_dir: Path | None,
    run: RetrainRun,
    learner: Learner,
    version_id: str,
    judged: Sequence[AnsweredItem | ItemToLabel],
) -> tuple[run_items.Verdicts, run_items.Verdicts, dict[str, float | None]]:
    """What the champion and the challenger say of the held-out items, and milliseconds an item of each."""
    challenger, challenger_ms = _say(learner, judged)
    champion: run_items.Verdicts
    champion_ms = None
    if run.champion_id is None:
        champion = [(row.pipeline_label, row.pipeline_confidence) for row in judged]
    elif run.champion_id == version_id:  # asked once: its answers may cost money
        champion, champion_ms = challenger, challenger_ms
    else:
        champion, champion_ms = _say(models.load(models_dir, run.champion_id), judged)
    return champion, challenger, {"champion_ms": champion_ms, "challenger_ms": challenger_ms}


def _say(learner: Learner, rows: Sequence[AnsweredItem | ItemToLabel]) -> tuple[run_items.Verdicts, float | None]:
    """The learner's label of each row and how sure it is, and the milliseconds that it took an item.

    None where it cannot read the data, which the gate counts as wrong.
    """
    good, _ = readable(learner, list(rows))
    data = [row.data for row in good]
    taken = []
    for _ in range(SAID):  # the quickest counts: what else the machine does makes it only slower
        began = time.perf_counter()
        said = learner.predict(data)
        taken.append(time.perf_counter() - began)
        if sum(taken) > SAID_S or facts_of(learner.name).is_frozen:  # whose every answer may cost money
            break
    pairs = zip(said.labels, said.confidences.tolist(), strict=True)
    found = {row.output_id: pair for row, pair in zip(good, pairs, strict=True)}
    verdicts = [found.get(row.output_id, (None, None)) for row in rows]
    return verdicts, 1000 * min(taken) / len(good) if good else None


def _write_items(database: Database, run_id: UUID, rows: list[AnsweredItem]) -> None:
    with database.transaction() as conn:
        run_items.clear(conn, run_id)
        run_items.write(conn, run_id, rows)


def _end_with_the_worker() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

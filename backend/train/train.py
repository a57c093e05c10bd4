"""The training child: `python -m backend.train.train`, with an order (backend/train/child.py) on standard input.

It reads the run's answers, fits a learner, predicts the hold-out set and stores the model file. It writes its progress
and its outcome to standard output, as lines of JSON. It never changes the run's status or the champion. Its memory and
processor time are limited. It exits when its standard input ends, so a worker that was terminated leaves no child.
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
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from threadpoolctl import threadpool_limits

from backend import models
from backend.decide.again import Judging, judged_before
from backend.encode.inputs import with_inputs_in
from backend.learners import Learner, load_sklearn
from backend.learners.of_spec import field_of, learner_of
from backend.train.again import judge_again
from backend.train.beside import beside_answers
from backend.train.cut import divide, held_out_now
from backend.train.fitting import fit_and_calibrate
from backend.train.identity import identity
from backend.train.out_of_fold import end_of_folds, out_of_fold
from backend.train.predicting import predictions_of_both
from backend.train.replay import train_again
from backend.train.retrying import retrying
from backend.train.search import TIME_SHARE, search
from labelloop.errors import Failed, LabelloopError
from labelloop.process import log
from labelloop.process.settings import Settings
from labelloop.spec.learners import facts_of
from labelloop.spec.loop import LoopSpec
from labelloop.spec.opinions import CROWDLAB
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.promises import taught
from labelloop.store.tables import loops, run_items, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import AcceptedItem, AnsweredItem, TrainingItem
from labelloop.versions.runs import RetrainRun

Judgement = tuple[Judging, list[TrainingItem], list[AnsweredItem]]
"""The version that a run judges again, what it was trained on, and the held-out answers by now."""
Report = Callable[[str, int, int], None]
"""Called with the name of a step, the number of steps done, and the number of all steps."""
logger = logging.getLogger(__name__)
STEPS = ("reading the answers", "searching parameters", "fitting", "cross-validating", "storing", "judging")


def main() -> int:
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is a log line, not an answer to the worker
    line = os.read(0, 4096)
    if not line:
        return 0
    threading.Thread(target=_exit_with_the_worker, daemon=True).start()
    _load()  # before memory and time are limited
    order = json.loads(line)
    limits = Retrain.model_validate(order["limits"])

    def write(what: dict[str, Any]) -> None:
        os.write(answer, json.dumps(what, ensure_ascii=False).encode(errors="replace") + b"\n")

    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    try:
        _limit(limits)
        with Database(settings.database_url, size=1, actor="training") as database:
            if order["replay"]:
                outcome = train_again(database, settings.models_dir, UUID(order["run"]), limits.threads)
            else:
                outcome = train(
                    database,
                    settings.models_dir,
                    UUID(order["run"]),
                    lambda step, done, of: write({"step": step, "done": done, "of": of}),
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
    write(outcome)
    return 0


def _load() -> None:
    """Import what any training needs."""
    load_sklearn()
    for name in ("skops.io", "backend.learners.calibrate"):
        import_module(name)


def _limit(limits: Retrain) -> None:
    """Limit memory and processor time: the run's minutes times its threads, so only extra threads can exceed it."""
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
    report: Report = lambda *_: None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Fit the challenger of a run and store both models' predictions for the held-out items.

    Returns {"version", "trained_on", "notes", ..} or {"refused": reason}. A second call gives the same bytes.
    """

    def gather() -> tuple[RetrainRun, LoopSpec, list[AnsweredItem] | Judgement]:
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
            version, trained_on, judged = found
            # Before copies are looked for: pictures are compared by their content.
            judged = retrying(partial(with_inputs_in, database, settings, spec, judged))
            trained_on = retrying(partial(with_inputs_in, database, settings, spec, trained_on))
            judged, notes = held_out_now(spec, field_of(spec), judged, trained_on)
            report(STEPS[5], 5, len(STEPS))
            return judge_again(database, models_dir, run, version, judged, notes, spec.config.answer)
        found = retrying(partial(with_inputs_in, database, settings, spec, found))
        return _train(database, settings, models_dir, run, spec, found, report)


def _train(
    database: Database,
    settings: Settings | None,
    models_dir: Path | None,
    run: RetrainRun,
    spec: LoopSpec,
    answers: list[AnsweredItem],
    report: Report,
) -> dict[str, Any]:
    _report_step(report, 0)
    learner = learner_of(spec)
    cut = divide(spec, learner, field_of(spec), answers)
    beside = beside_answers(database, settings, spec, learner, run, cut)
    accepted = [] if beside is None else beside.rows
    retrying(lambda: _write_items(database, run.id, [*cut.training, *cut.held_out], accepted))
    if len(cut.training) < 2 and not facts_of(learner.name).is_frozen:
        return _refused(f"{len(cut.training)} answers to train on, at least 2 are needed", cut.notes)

    rows: list[AnsweredItem | AcceptedItem] = sorted([*cut.training, *accepted], key=lambda row: row.key)
    try:
        learner, tried, unseen = _fit(spec, learner, rows, run.seed, report)
    except Failed as exc:
        return _refused(str(exc), cut.notes)
    _report_step(report, 4)
    stored = models.store(models_dir, spec.name, learner)
    _report_step(report, 5)
    incumbent, challenger, speed = predictions_of_both(
        models_dir, run, learner, stored.id, cut.held_out, spec.config.answer
    )

    def keep() -> None:
        with database.transaction() as conn:
            version_store.insert(
                conn,
                spec.name,
                stored.id,
                learner=learner.name,
                classes=learner.classes,
                size_bytes=stored.size_bytes,
                trained_on=len(cut.training),
                accepted=len(accepted),
            )
            run_items.write_verdicts(conn, run.id, [row.output_id for row in cut.held_out], incumbent, challenger)
            run_items.write_out_of_fold(conn, run.id, unseen)
            runs.write_tried(conn, run.id, tried)

    retrying(keep)
    return {
        "version": stored.id,
        "trained_on": len(cut.training),
        "notes": [
            *([] if beside is None else [beside.note]),
            *cut.notes,
            *([tried["said"]] if tried and "said" in tried else []),
        ],
        "speed": speed,
        "identity": identity(rows, run.seed, spec.retrain.threads),
        "accepted": None if beside is None else {"trained_on": len(accepted), "of": beside.of},
    }


def _fit(
    spec: LoopSpec, learner: Learner, rows: Sequence[AnsweredItem | AcceptedItem], seed: int, report: Report
) -> tuple[Learner, dict[str, Any] | None, list[run_items.OutOfFold]]:
    """Return the fitted learner, the parameters tried, and the out-of-fold predictions of the answers. Raises Failed.

    The parameters are None if the loop does not search them. Accepted outputs among the rows only train: parameters,
    calibration and doubts are found by people's answers.
    """
    tried, limit_s, began = None, 60 * spec.retrain.minutes, time.monotonic()
    if spec.retrain.search:
        _report_step(report, 1)
        learner, tried = search(
            learner,
            spec.learner.params,
            [row for row in rows if row.answer_seq is not None],
            seed,
            TIME_SHARE * limit_s,
            lambda done, of: _report_step(report, 1, done, of),
        )
    _report_step(report, 2)
    searched = time.monotonic()
    learner, folds = fit_and_calibrate(learner, rows, seed)
    now = time.monotonic()
    _report_step(report, 3)
    found = out_of_fold(
        learner,
        rows,
        folds,
        seed,
        end_of_folds(began, now, limit_s) if spec.queue.second or spec.consensus == CROWDLAB else None,
        (now - searched) / (1 + len(folds)),
        lambda done, of: _report_step(report, 3, done, of),
    )
    pairs = zip(rows, found, strict=True)
    return learner, tried, [run_items.OutOfFold(row.output_id, *one) for row, one in pairs if one is not None]


def _refused(reason: str, notes: Sequence[str]) -> dict[str, Any]:
    return {"refused": "; ".join([f"{reason}: refused", *notes])}


def _report_step(report: Report, step: int, done: int = 0, of: int = 0) -> None:
    """Log and report a step of STEPS, and how many of its parts are done."""
    words = STEPS[step] + (f", {done + 1} of {of}" if of else "")
    logger.info("%s", words)
    report(words, step, len(STEPS))


def _write_items(database: Database, run_id: UUID, rows: list[AnsweredItem], accepted: Sequence[AcceptedItem]) -> None:
    with database.transaction() as conn:
        run_items.clear(conn, run_id)
        run_items.write(conn, run_id, rows)
        taught.write(conn, run_id, accepted)


def _exit_with_the_worker() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""The backend's worker: `python -m backend.worker`. Trains, prelabels, and repairs what a killed worker left behind."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial

from backend.decide.shadow import ask_for_shadows, in_shadow
from backend.encode.children import Children as Encoders
from backend.report import mlflow_child
from backend.score.engines import named
from backend.score.fill import SLICE_S, fill, mark_of
from backend.score.prelabel import champion_and_ranker, prelabel
from backend.train.certify import certify_all
from backend.train.child import Children
from backend.train.due import ask_for_due
from backend.train.retrain import heal, retrain
from labelloop.process import log, worker
from labelloop.process.settings import Settings
from labelloop.process.worker import Check, Duties, in_thread
from labelloop.store.database import Database
from labelloop.store.mlflow import assessments, exports
from labelloop.store.sentences import vectors as sentence_vectors
from labelloop.store.sentences import waiting
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import jobs, loops, prelabels
from labelloop.versions.version import VersionPair

CONCURRENCY = 4
"""While one loop trains, others can be prelabelled and encoded; each job of a loop has its own lock."""
CHECK_EVERY_S, SLOW_CHECK_EVERY_S, DRIFT_EVERY_S = 5.0, 30.0, 300.0
"""Seconds between two checks for lost runs, for prelabels and due runs, and for drift, which reads all outputs."""
VECTORS_EVERY_S = 300.0
"""Seconds between two looks for a loop's missing sentence vectors, which read all its waiting outputs."""
AT_WORK_S = 300.0
"""Seconds after an answer was read for which people count as at work: encoding then rests between two parts."""
ASSESS_EVERY_S = 10.0
"""Seconds between two checks for answers that belong on an MLflow trace, where they should be within a minute."""
ASK_AGAIN_AFTER_S = 60.0
"""Seconds before prelabels that failed (a damaged file), or exports to an MLflow that is away, are asked for again."""


def duties(database: Database, settings: Settings, children: Children, stop: threading.Event) -> Duties:
    """Return what the worker does. `stop` tells the jobs to kill their children and give their runs back."""

    def retrain_and_export(loop: str) -> None:
        retrain(database, settings, loop, stop, children)
        if settings.mlflow_tracking_uri:
            with database.transaction() as conn:
                jobs.ask(conn, jobs.EXPORT, loop)

    def people_work() -> bool:
        with database.transaction() as conn:
            return annotation_store.any_within(conn, AT_WORK_S)

    encoders = Encoders(stop, at_work=people_work)
    encoding = partial(encoders.of, idle=False)  # scores are waited for

    def prelabel_loop(loop: str) -> None:
        on, cluster = named(settings.rescore_on)
        prelabel(
            database, loop, settings.models_dir, stop, on=on, cluster=cluster, settings=settings, encoding=encoding
        )

    def embed(loop: str) -> None:
        on, cluster = named(settings.rescore_on)
        fill(database, loop, stop, encoders.of, on=on, cluster=cluster, slice_s=SLICE_S)

    def export(loop: str) -> None:
        if settings.mlflow_tracking_uri:
            mlflow_child.run("backend.report.mlflow_export", settings, loop, stop)

    def assess(loop: str) -> None:
        if not settings.mlflow_tracking_uri:
            return
        with database.transaction() as conn:
            is_due = loop in assessments.due(conn)
        if is_due:
            mlflow_child.run("backend.report.assessments", settings, loop, stop)

    def run_shadow(loop: str) -> None:
        in_shadow(database, loop, settings.models_dir, stop, settings, encoding)

    return Duties(
        queue=jobs.BACKEND_QUEUE,
        jobs={
            jobs.RETRAIN: retrain_and_export,
            jobs.PRELABEL: prelabel_loop,
            jobs.EXPORT: export,
            jobs.ASSESS: assess,
            jobs.SHADOW: run_shadow,
            jobs.EMBED: embed,
        },
        checks=checks(database, settings, encoders),
        concurrency=CONCURRENCY,
        on_stop=stop.set,
        on_end=encoders.end,
    )


def checks(database: Database, settings: Settings, encoders: Encoders) -> list[Check]:
    """Return the periodic checks, in their order."""
    prelabels_asked: dict[str, float] = {}
    exports_asked: dict[str, float] = {}

    def missing_prelabels() -> None:
        ask_for_prelabels(database, prelabels_asked, time.monotonic())

    vectors_asked: dict[str, float] = {}

    def missing_vectors() -> None:
        ask_for_vectors(database, vectors_asked, time.monotonic())

    def missing_exports() -> None:
        ask_for_exports(database, exports_asked, time.monotonic())

    drift_checked_at = -math.inf

    certified_at = -math.inf

    def certificates() -> None:
        nonlocal certified_at
        drift = time.monotonic() - certified_at >= DRIFT_EVERY_S
        if drift:
            certified_at = time.monotonic()
        certify_all(database, drift=drift)

    def due_runs() -> None:
        nonlocal drift_checked_at
        drift = time.monotonic() - drift_checked_at >= DRIFT_EVERY_S
        if drift:
            drift_checked_at = time.monotonic()
        ask_for_due(database, datetime.now(UTC), drift=drift)

    found = [
        Check("runs whose worker died", CHECK_EVERY_S, in_thread(heal, database)),
        Check("versions in shadow", CHECK_EVERY_S, in_thread(ask_for_shadows, database)),
        Check("missing prelabels", SLOW_CHECK_EVERY_S, in_thread(missing_prelabels)),
        Check("missing sentence vectors", SLOW_CHECK_EVERY_S, in_thread(missing_vectors)),
        Check("unused encoders", SLOW_CHECK_EVERY_S, in_thread(encoders.end_unused)),
    ]
    if settings.mlflow_tracking_uri:
        found.append(Check("missing exports", SLOW_CHECK_EVERY_S, in_thread(missing_exports)))
        found.append(Check("answers for MLflow", ASSESS_EVERY_S, in_thread(ask_for_assessments, database)))
    found.append(Check("certificates", SLOW_CHECK_EVERY_S, in_thread(certificates)))
    found.append(Check("due runs and drift", SLOW_CHECK_EVERY_S, in_thread(due_runs)))
    return found


def ask_for_prelabels(database: Database, asked: dict[str, float], now: float) -> None:
    """Ask for prelabels of outputs that missed them: they were on their way to Label Studio during the last run."""
    with database.transaction() as conn:
        for loop in loops.names(conn):
            if now - asked.get(loop, -ASK_AGAIN_AFTER_S) >= ASK_AGAIN_AFTER_S and prelabels.any_stale(
                conn, loop, VersionPair.of(*champion_and_ranker(conn, loop))
            ):
                asked[loop] = now
                jobs.ask(conn, jobs.PRELABEL, loop)


def ask_for_vectors(database: Database, asked: dict[str, float], now: float) -> None:
    """Ask for sentence vectors that waiting outputs lack: the learner or its encoder has changed, or a job failed."""
    with database.transaction() as conn:
        for loop in loops.names(conn):
            spec = loops.at_work(conn, loop)
            if spec is None or spec.learner.encoder is None or spec.field is None:
                continue
            if now - asked.get(loop, -VECTORS_EVERY_S) < VECTORS_EVERY_S:
                continue
            asked[loop] = now
            used = sentence_vectors.used(conn, loop)
            if (
                used is None
                or used.name != spec.learner.encoder
                or waiting.without_vector(conn, loop, mark_of(used.encoder, spec.field), 1)
            ):
                jobs.ask(conn, jobs.EMBED, loop)


def ask_for_exports(database: Database, asked: dict[str, float], now: float) -> None:
    """Ask for exports that MLflow lacks: it was away, a person has decided, or its address was named just now."""
    with database.transaction() as conn:
        for loop in loops.names(conn):
            if now - asked.get(loop, -ASK_AGAIN_AFTER_S) >= ASK_AGAIN_AFTER_S and exports.any_pending(conn, loop):
                asked[loop] = now
                jobs.ask(conn, jobs.EXPORT, loop)


def ask_for_assessments(database: Database) -> None:
    """Look for answers on outputs from MLflow, and ask for those that are due to be written to their traces."""
    with database.transaction() as conn:
        assessments.look_through(conn)
        for loop in assessments.due(conn):
            jobs.ask(conn, jobs.ASSESS, loop)


def main() -> int:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url")
    with Database(settings.database_url, actor="backend worker") as database:
        worker.run(settings, duties(database, settings, Children(settings), threading.Event()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

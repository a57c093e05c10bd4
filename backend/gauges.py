"""Gauges: the serving versions, the runs, and the number of outdated prelabels, read when Prometheus asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.score.prelabel import champion_and_ranker
from backend.serve.champions import Champions
from backend.serve.predict import Predictor
from labelloop.errors import LabelloopError
from labelloop.store.database import Conn, Database
from labelloop.store.questions import gauges
from labelloop.store.tables import prelabels
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import VersionPair, short

REUSED_S = 5.0
"""Seconds for which an answer of Postgres is used again."""


class Gauges(Collector):
    """Gauges of all loops and versions. Safe for threads.

    Series are labelled by loop and version, and no caller can create either, so their number stays small.
    """

    def __init__(self, database: Database, champions: Champions, predictor: Predictor) -> None:
        self._database = database
        self._champions = champions
        self._predictor = predictor
        self._lock = threading.Lock()
        self._found: Sequence[Metric] = ()
        self._asked = -REUSED_S

    def collect(self) -> Iterable[Metric]:
        yield from self._here()
        with self._lock:
            if time.monotonic() - self._asked >= REUSED_S:
                self._found = list(self._postgres())
                self._asked = time.monotonic()
            yield from self._found

    def _here(self) -> Iterator[Metric]:
        troubles = GaugeMetricFamily(
            "labelloop_champion_trouble", "1: the recorded champion does not serve", labels=["loop"]
        )
        unseen = GaugeMetricFamily(
            "labelloop_form_unseen_labels", "Labels of the form that the version was not trained on", labels=["loop"]
        )
        for now in self._champions.serving():
            troubles.add_metric([now.loop], float(now.trouble is not None))
            unseen.add_metric([now.loop], self._predictor.unseen.get(now.loop, 0))
        yield troubles
        yield unseen
        running = GaugeMetricFamily("labelloop_predictions_running", "Requests for predictions, in progress or waiting")
        running.add_metric([], self._predictor.running)
        yield running

    def _postgres(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("labelloop_postgres_up", "1: Postgres answers")
        try:
            with self._database.transaction() as conn:
                found = list(_loops(conn))
        except LabelloopError:
            found = []
        up.add_metric([], float(bool(found)))
        yield up
        yield from found


def _loops(conn: Conn) -> Iterator[Metric]:
    champion = GaugeMetricFamily("labelloop_champion", "The version that serves, by record", labels=["loop", "version"])
    changes = CounterMetricFamily("labelloop_champion_changes", "Promotions and roll-backs", labels=["loop"])
    lag = GaugeMetricFamily(
        "labelloop_prelabel_lag_seconds",
        "Since the champion or the ranker changed, while anything still has the old prelabels",
        labels=["loop"],
    )
    for row in gauges.epochs(conn):
        loop = row.loop
        champion.add_metric([loop, short(row.version_id)], 1)
        changes.add_metric([loop], row.epoch)
        since = version_store.in_force_since(conn, loop)
        behind = since is not None and prelabels.any_stale(conn, loop, VersionPair.of(*champion_and_ranker(conn, loop)))
        lag.add_metric([loop], (datetime.now(UTC) - since).total_seconds() if behind and since is not None else 0)
    yield from (champion, changes, lag)
    yield from _assessments(conn)
    runs = GaugeMetricFamily("labelloop_retrain_runs", "Runs by status", labels=["loop", "status"])
    for count in gauges.runs(conn):
        runs.add_metric([count.loop, count.status], count.n)
    yield runs
    jobs = GaugeMetricFamily("labelloop_jobs", "Jobs that are waiting or in progress", labels=["job", "status"])
    for job in gauges.jobs(conn):
        jobs.add_metric([job.job, job.status], job.n)
    yield jobs


def _assessments(conn: Conn) -> Iterator[Metric]:
    written = CounterMetricFamily("labelloop_assessments_written", "Feedback written to MLflow traces", labels=["loop"])
    left = GaugeMetricFamily(
        "labelloop_assessments", "Outputs whose feedback is not on their MLflow trace", labels=["loop", "state"]
    )
    for row in gauges.assessments(conn):
        written.add_metric([row.loop], row.written)
        left.add_metric([row.loop, "waiting"], row.waiting)
        left.add_metric([row.loop, "given_up"], row.given_up)
    yield from (written, left)

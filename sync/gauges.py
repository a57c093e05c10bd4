"""Gauges: open tasks, deliveries of callbacks and rows of the outbox, read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from labelloop.errors import LabelloopError
from labelloop.store import outbox
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.questions import gauges


class Window(Collector):
    """Open tasks in Label Studio, deliveries of callbacks and rows of the outbox, as stored in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("labelloop_postgres_up", "1 if Postgres answers")
        rows = GaugeMetricFamily("labelloop_outbox_rows", "Rows of the table outbox", labels=["state"])
        tasks = GaugeMetricFamily("labelloop_open_tasks", "Open tasks in Label Studio", labels=["loop"])
        sent = GaugeMetricFamily(
            "labelloop_callback_deliveries", "Deliveries that are pending or dead", labels=["callback", "state"]
        )
        try:
            with self._database.transaction() as conn:
                for row in gauges.open_tasks(conn):
                    tasks.add_metric([row.loop], row.n)
                for one in registered.counts(conn):
                    sent.add_metric([str(one.id), "pending"], one.pending)
                    sent.add_metric([str(one.id), "dead"], one.dead)
                counts = outbox.counts(conn)  # without the loop's name, which is whatever a writer chooses
                rows.add_metric(["waiting"], sum(count.waiting for count in counts))
                rows.add_metric(["refused"], sum(count.refused for count in counts))
            up.add_metric([], 1)
        except LabelloopError:
            up.add_metric([], 0)
        return up, tasks, sent, rows

"""Gauges: open tasks, alerts, budgets, deliveries of callbacks, rows of the outbox; read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from labelloop.errors import LabelloopError
from labelloop.store import budget
from labelloop.store.alerts import faulty as faulty_tasks
from labelloop.store.alerts import rows as alert_rows
from labelloop.store.callbacks import registered
from labelloop.store.database import Conn, Database
from labelloop.store.pipelines import outbox
from labelloop.store.questions import gauges
from labelloop.store.record import publishing
from labelloop.store.tables import loops


class Window(Collector):
    """Open tasks in Label Studio, budgets, deliveries of callbacks and rows of the outbox, as stored in Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("labelloop_postgres_up", "1 if Postgres answers")
        try:
            with self._database.transaction() as conn:
                found = [*_tasks(conn), *_budgets(conn), *_callbacks(conn), *_outbox(conn), *_alerts(conn)]
            up.add_metric([], 1)
        except LabelloopError:
            found = []
            up.add_metric([], 0)
        return up, *found


def _tasks(conn: Conn) -> Iterator[Metric]:
    tasks = GaugeMetricFamily("labelloop_open_tasks", "Open tasks in Label Studio", labels=["loop"])
    for row in gauges.open_tasks(conn):
        tasks.add_metric([row.loop], row.n)
    yield tasks


def _budgets(conn: Conn) -> Iterator[Metric]:
    """Yield the limits that the specs name.

    Pipelines choose sources and labels, so those that no spec names make no series. A spec that this version cannot
    read makes none either: the other numbers must not depend on it.
    """
    parts = ["loop", "part", "name"]
    limit = GaugeMetricFamily("labelloop_budget_limit", "Tasks that a day may have", labels=parts)
    used = GaugeMetricFamily("labelloop_budget_tasks", "Tasks of today (UTC) that count for the limit", labels=parts)
    for loop in loops.with_budget(conn):
        try:
            spec = loops.get(conn, loop)
        except ValueError:
            continue
        spent = None if spec is None else budget.spent(conn, spec)
        for one in [] if spent is None else spent.limits():
            limit.add_metric([loop, one.part, one.name], one.limit)
            used.add_metric([loop, one.part, one.name], one.used)
    yield from (limit, used)


def _callbacks(conn: Conn) -> Iterator[Metric]:
    sent = GaugeMetricFamily(
        "labelloop_callback_deliveries",
        "Deliveries that are pending, failing (pending, and the last try failed) or dead",
        labels=["callback", "state"],
    )
    for one in registered.counts(conn):
        for state, n in (("pending", one.pending), ("failing", one.failing), ("dead", one.dead)):
            sent.add_metric([str(one.id), state], n)
    yield sent


def _alerts(conn: Conn) -> Iterator[Metric]:
    alerts = GaugeMetricFamily("labelloop_open_alerts", "Alerts without a decision", labels=["loop", "kind"])
    for count in alert_rows.open_counts(conn):
        alerts.add_metric([count.loop, count.kind], count.n)
    faulty = GaugeMetricFamily("labelloop_faulty_tasks", "Tasks that Label Studio cannot show", labels=["loop"])
    for loop, n in faulty_tasks.count(conn).items():
        faulty.add_metric([loop], n)
    unpublished = GaugeMetricFamily(
        "labelloop_record_unpublished_seconds",
        "Seconds since a place of the record's head is not reached; none if it is",
        labels=["place"],
    )
    for one in publishing.list_(conn):
        unpublished.add_metric([one.place], one.for_.total_seconds())
    yield from (alerts, faulty, unpublished)


def _outbox(conn: Conn) -> Iterator[Metric]:
    rows = GaugeMetricFamily("labelloop_outbox_rows", "Rows of the table outbox", labels=["state"])
    counts = outbox.counts(conn)  # without the loop's name, which is whatever a writer chooses
    rows.add_metric(["waiting"], sum(count.waiting for count in counts))
    rows.add_metric(["refused"], sum(count.refused for count in counts))
    oldest = GaugeMetricFamily("labelloop_outbox_oldest_seconds", "Age of the row that has waited longest; 0 for none")
    oldest.add_metric([], outbox.oldest_s(conn))
    yield from (rows, oldest)

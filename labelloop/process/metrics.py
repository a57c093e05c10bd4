"""Metrics of a service for Prometheus, and a line in the log for each request.

A request is counted by the name of its route, never by its path, so that a caller cannot create new series. Several
processes of one service count together if PROMETHEUS_MULTIPROC_DIR names a folder that is empty when they start.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROUTES_NOT_LOGGED = frozenset({"health", "healthz", "ready", "readyz", "metrics", "static"})
"""Routes that are called all the time; only their failures are logged."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
logger = logging.getLogger(__name__)


class Metrics:
    """The metrics of one application, in a registry of its own. `collectors` are read each time Prometheus asks."""

    def __init__(self, app: Flask, collectors: Iterable[Collector] = ()) -> None:
        if folder := os.environ.get(SHARED):
            _remove_gauges_of_ended_processes(Path(folder))
        self._own = CollectorRegistry()
        self._collectors = tuple(collectors)
        self._requests = self.counter("labelloop_requests", "Requests that were answered", "route", "status")
        self._seconds = Histogram(
            "labelloop_request_seconds",
            "From the request's head to its answer",
            ("route",),
            buckets=LATENCY_BUCKETS_S,
            registry=self._own,
        )
        self._running = self.gauge("labelloop_requests_running", "Requests that are being answered")
        app.before_request(self._begin)
        app.after_request(self._end)
        app.teardown_request(self._over)

    def counter(self, name: str, words: str, *labels: str) -> Counter:
        """Return a counter of this application. No label may have values that a caller can choose."""
        return Counter(name, words, labels, registry=self._own)

    def gauge(self, name: str, words: str) -> Gauge:
        """Return a gauge of this application. The values of several processes are added up."""
        return Gauge(name, words, multiprocess_mode="livesum", registry=self._own)

    def page(self) -> Response:
        """Return the page that Prometheus reads."""
        counted = self._own
        if os.environ.get(SHARED):
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        collected = CollectorRegistry()
        for collector in self._collectors:
            collected.register(collector)
        return Response(generate_latest(counted) + generate_latest(collected), content_type=CONTENT_TYPE_LATEST)

    def _begin(self) -> None:
        g.began = time.perf_counter()
        g.facts = {}
        self._running.inc()

    def _end(self, response: Response) -> Response:
        took = time.perf_counter() - g.began
        route = (request.endpoint or "none").rpartition(".")[2]
        self._requests.labels(route, str(response.status_code)).inc()
        self._seconds.labels(route).observe(took)
        if route not in ROUTES_NOT_LOGGED or response.status_code >= 400:
            facts: dict[str, Any] = {"route": route, "status": response.status_code, "ms": round(took * 1000, 1)}
            logger.info("request", extra={**facts, **g.facts})
        return response

    def _over(self, _: BaseException | None) -> None:
        self._running.dec()


def _remove_gauges_of_ended_processes(folder: Path) -> None:
    """Remove the gauges of processes that have ended; their counters stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except (ValueError, ProcessLookupError):
            file.unlink(missing_ok=True)
        except PermissionError:
            continue  # it is alive, and somebody else's

"""/predict for one task, idle and while a training run goes on, against a bare route around the same model."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from backend import models
from backend.learners import make
from backend.promote import promote
from benchmarks import training
from benchmarks.goals import BUSY_P50, BUSY_P99, PREDICT_P50, PREDICT_P99, Goal, Measured
from benchmarks.items import digits, digits_loop
from benchmarks.rooms import BACKEND, House, Servers, house
from benchmarks.turns import percentile, ratios
from labelloop.errors import Failed
from labelloop.local.places import free_port
from labelloop.store import projects
from labelloop.store import versions as version_store

LOOP, PROJECT = "served", 7
TAUGHT = 300
Turns = list[tuple[list[float], list[float]]]
"""For each repeat the seconds of our requests, and those of the bare ones."""


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (100, 1) if quick else (600, 4)
    with house(servers) as our:
        version = _champion(our)
        training.prepare(our)
        bare_url = f"http://127.0.0.1:{free_port()}"
        bare_app = f"benchmarks.bare:app({str(our.settings.models_dir)!r}, {version!r})"
        with (
            our.serving(BACKEND, our.settings.backend_url, workers=1),
            our.serving(bare_app, bare_url, workers=1),
        ):
            _turns(our, bare_url, 50)
            idle = [_turns(our, bare_url, n) for _ in range(repeats)]
            with training.training(our):
                busy = [_turns(our, bare_url, n) for _ in range(repeats)]
                done = training.runs_done(our)
    during = f"during {done} runs on {training.ANSWERS} answers"
    return [
        _compared(PREDICT_P50, 0.5, idle, idle, f"{n} requests a repeat"),
        _compared(PREDICT_P99, 0.99, idle, idle, f"{n} requests a repeat"),
        _compared(BUSY_P50, 0.5, busy, idle, f"{during}, in which the bare route takes {_ms(busy, 1, 0.5)}"),
        _compared(BUSY_P99, 0.99, busy, idle, f"{during}, in which the bare route takes {_ms(busy, 1, 0.99)}"),
    ]


def _compared(goal: Goal, share: float, ours: Turns, bare: Turns, facts: str) -> Measured:
    """One ratio a repeat, of the percentile `share`."""
    own, peer = [percentile(a, share) for a, _ in ours], [percentile(b, share) for _, b in bare]
    return Measured(goal, ratios(own, peer), f"{_ms(ours, 0, share)}, bare {_ms(bare, 1, share)}; {facts}")


def _ms(turns: Turns, side: int, share: float) -> str:
    """Median over the repeats; side 0 is ours."""
    return f"{median(percentile(turn[side], share) for turn in turns) * 1000:.1f} ms"


def _champion(our: House) -> str:
    """A loop with a champion, as if it stood in a project of Label Studio."""
    items = digits()
    with our.database.transaction() as conn:
        spec = digits_loop(conn, LOOP, 10, 0)
        projects.intend(conn, LOOP, "http://127.0.0.1", b"")
        projects.made(conn, LOOP, PROJECT, "http://127.0.0.1")
    learner = make(spec.learner.name, {"field": "image"})
    taught = items.pool[:TAUGHT]
    learner.fit([items.data[i] for i in taught], [items.truth[i] for i in taught], np.random.default_rng(0))
    stored = models.store(our.settings.models_dir, LOOP, learner)
    with our.database.transaction() as conn:
        version_store.insert(
            conn, LOOP, stored.id, learner=learner.name, classes=learner.classes, size_bytes=stored.size_bytes,
            trained_on=TAUGHT,
        )  # fmt: skip
    promote(our.database, LOOP, stored.id, "benchmark", "it is the only one", models_dir=our.settings.models_dir)
    return stored.id


def _asker(url: str, headers: Mapping[str, str]) -> Callable[[], float]:
    """Ask for one task's prediction over a connection that stays; seconds."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=30)
    data = {**digits().data[0], "labelloop_label": "3"}
    body = json.dumps({"tasks": [{"id": 1, "data": data}], "project": f"{PROJECT}.1700000000"})
    said = {"Content-Type": "application/json", **headers}

    def ask() -> float:
        began = time.perf_counter()
        connection.request("POST", "/predict", body, said)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise Failed(f"{url}/predict answers {response.status}")
        return time.perf_counter() - began

    return ask


def _turns(our: House, bare_url: str, n: int) -> tuple[list[float], list[float]]:
    """Seconds of `n` requests each, one after the other in turn."""
    word = b64encode(f"{our.settings.backend_user}:{our.settings.backend_password}".encode()).decode()
    ours, bare = _asker(our.settings.backend_url, {"Authorization": f"Basic {word}"}), _asker(bare_url, {})
    times = [(ours(), bare()) for _ in range(n)]
    return [a for a, _ in times], [b for _, b in times]

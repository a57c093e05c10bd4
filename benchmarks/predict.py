"""/predict for one task and for many, idle, while a training run goes on and under load, against a bare route."""

from __future__ import annotations

import http.client
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from backend import models
from backend.decide.promote import promote
from backend.learners import Learner, make
from benchmarks.support import training
from benchmarks.support.goals import (
    BUSY_P50,
    BUSY_P99,
    PREDICT_BESIDE,
    PREDICT_EIGHT,
    PREDICT_HUNDRED,
    PREDICT_P50,
    PREDICT_P99,
    PREDICT_TEXT,
    PREDICT_THOUSAND,
    Goal,
    Measured,
)
from benchmarks.support.items import LABELS, WORDS, digits, digits_loop, submit, texts_spec
from benchmarks.support.items import texts as generated
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import percentile, ratios
from console.local.places import free_port
from console.local.services import BACKEND
from labelloop.errors import Failed
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.tables import projects
from labelloop.store.tables import versions as version_store

TAUGHT = 300
LONG = 100_000
"""Characters of the long text."""
Turns = list[tuple[list[float], list[float]]]
"""For each repeat the seconds of our requests, and those of the bare ones."""
Ask = Callable[[], float]
"""One request; its seconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """A champion that the backend serves in a project of Label Studio, and the tasks that it is asked about."""

    loop: str
    project: ProjectId
    version: str
    data: Sequence[Mapping[str, object]]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (100, 1) if quick else (600, 4)
    with house(servers) as our:
        scans, texts = champion_of_digits(our), _texts(our)
        training.prepare(our)
        with our.serving(BACKEND, our.settings.backend_url), _bare(our, scans) as bare:
            one = partial(_pair, our, bare, scans, 1)
            _turns(one(), 50)
            idle = [_turns(one(), n) for _ in range(repeats)]
            with training.training(our):
                busy = [_turns(one(), n) for _ in range(repeats)]
                done = training.runs_done(our)
            hundred = [_turns(_pair(our, bare, scans, 100), max(5, n // 20)) for _ in range(repeats)]
            thousand = [_turns(_pair(our, bare, scans, 1000), max(3, n // 60)) for _ in range(repeats)]
            beside = [_beside(_pair(our, bare, scans, 1000), one(), max(20, n // 6)) for _ in range(repeats)]
            eight = [[_rate(our, url, scans, n // 2) for url in (None, bare)] for _ in range(repeats)]
            with _bare(our, texts) as bare_texts:
                long = [_turns(_pair(our, bare_texts, texts, 1), max(5, n // 20)) for _ in range(repeats)]
    during = f"during {done} runs on {training.ANSWERS} answers"
    rates = f"{median(a for a, _ in eight):.0f} requests/s, bare {median(b for _, b in eight):.0f}"
    return [
        _compared(PREDICT_P50, 0.5, idle, idle, f"{n} requests a repeat"),
        _compared(PREDICT_P99, 0.99, idle, idle, f"{n} requests a repeat"),
        _compared(BUSY_P50, 0.5, busy, idle, f"{during}, in which the bare route takes {_ms(busy, 1, 0.5)}"),
        _compared(BUSY_P99, 0.99, busy, idle, f"{during}, in which the bare route takes {_ms(busy, 1, 0.99)}"),
        _compared(PREDICT_HUNDRED, 0.5, hundred, hundred, "digits"),
        _compared(PREDICT_THOUSAND, 0.5, thousand, thousand, "digits"),
        _compared(PREDICT_TEXT, 0.5, long, long, "words and runs of letters"),
        _compared(PREDICT_BESIDE, 0.5, beside, beside, "one asker for 1,000 digits at a time"),
        Measured(PREDICT_EIGHT, [a / b for a, b in eight], rates),
    ]


def _compared(goal: Goal, share: float, ours: Turns, bare: Turns, facts: str) -> Measured:
    """One ratio a repeat, of the percentile `share`."""
    own, peer = [percentile(a, share) for a, _ in ours], [percentile(b, share) for _, b in bare]
    return Measured(goal, ratios(own, peer), f"{_ms(ours, 0, share)}, bare {_ms(bare, 1, share)}; {facts}")


def _ms(turns: Turns, side: int, share: float) -> str:
    """Median over the repeats; side 0 is ours."""
    return f"{median(percentile(turn[side], share) for turn in turns) * 1000:.1f} ms"


def champion_of_digits(our: House) -> Served:
    """A loop whose champion knows handwritten digits."""
    items = digits()
    taught = items.pool[:TAUGHT]
    with our.database.transaction() as conn:
        spec = digits_loop(conn, "served", 10, 0)
    learner = make(spec.learner.name, {"field": "image"})
    learner.fit([items.data[i] for i in taught], [items.truth[i] for i in taught], np.random.default_rng(0))
    return _served(our, spec, ProjectId(7), learner, [items.data[i] for i in items.pool[-1000:]])


def _texts(our: House) -> Served:
    rng = np.random.default_rng(0)
    spec = texts_spec("texts")
    taught = generated(TAUGHT, rng)
    with our.database.transaction() as conn:
        submit(conn, spec, taught[:10])
    learner = make("text", {"field": "text"})
    learner.fit([output.data for output in taught], [LABELS[i % len(LABELS)] for i in range(TAUGHT)], rng)
    return _served(our, spec, ProjectId(8), learner, [{"text": " ".join(rng.choice(WORDS, LONG // 5))[:LONG]}])


def _served(
    our: House, spec: LoopSpec, project: ProjectId, learner: Learner, data: Sequence[Mapping[str, object]]
) -> Served:
    """The learner as champion of a loop that stands in a project of Label Studio, as far as Postgres knows."""
    stored = models.store(our.settings.models_dir, spec.name, learner)
    with our.database.transaction() as conn:
        projects.intend(conn, spec.name, "http://127.0.0.1", b"")
        projects.made(conn, spec.name, project, "http://127.0.0.1")
        version_store.insert(
            conn, spec.name, stored.id, learner=learner.name, classes=learner.classes, size_bytes=stored.size_bytes,
            trained_on=TAUGHT,
        )  # fmt: skip
    promote(our.database, spec.name, stored.id, "benchmark", "it is the only one", models_dir=our.settings.models_dir)
    return Served(spec.name, project, stored.id, data)


@contextmanager
def _bare(our: House, served: Served) -> Iterator[str]:
    """The bare route around the same model; yields its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    app = f"benchmarks.support.bare:app({str(our.settings.models_dir)!r}, {served.version!r})"
    words = [
        "gunicorn",
        app,
        "--threads=16",
        f"--bind={urlsplit(url).netloc}",
        "--no-control-socket",
    ]
    with our.answering(words, url):
        yield url


def _pair(our: House, bare_url: str, served: Served, n: int) -> tuple[Ask, Ask]:
    """To ask ours, and to ask the bare route, for the same `n` tasks."""
    return _asker(our, None, served, n), _asker(our, bare_url, served, n)


def _asker(our: House, bare_url: str | None, served: Served, n: int) -> Ask:
    """Ask for `n` tasks' predictions over a connection that stays open, from our backend if `bare_url` is None."""
    url = bare_url or our.settings.backend_url
    at = urlsplit(url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=100)
    tasks = [{"id": i, "data": {**item, "labelloop_label": "3"}} for i, item in enumerate(served.data[:n])]
    body = json.dumps({"tasks": tasks, "project": f"{served.project}.1700000000"})
    word = b64encode(f"{our.settings.backend_user}:{our.settings.backend_password}".encode()).decode()
    said = {"Content-Type": "application/json", "Authorization": f"Basic {word}"}

    last = time.perf_counter()

    def ask() -> float:
        nonlocal last
        if time.perf_counter() - last > 1:  # gunicorn closes after 2 s without a request
            connection.close()
        began = time.perf_counter()
        connection.request("POST", "/predict", body, said)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise Failed(f"{url}/predict answers {response.status}")
        last = time.perf_counter()
        return last - began

    return ask


def ask_once(our: House, served: Served) -> None:
    """One prediction for one task."""
    _asker(our, None, served, 1)()


def _turns(pair: tuple[Ask, Ask], n: int) -> tuple[list[float], list[float]]:
    """Seconds of `n` requests each, one after the other in turn."""
    ours, bare = pair
    times = [(ours(), bare()) for _ in range(n)]
    return [a for a, _ in times], [b for _, b in times]


def _beside(large: tuple[Ask, Ask], one: tuple[Ask, Ask], n: int) -> tuple[list[float], list[float]]:
    """Seconds of `n` requests each for one task, while the same side is asked for many all the time."""
    ours, bare = (_while(load, ask, n) for load, ask in zip(large, one, strict=True))
    return ours, bare


def _while(load: Ask, ask: Ask, n: int) -> list[float]:
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            load()

    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(go_on)
        try:
            times = [ask() for _ in range(n)]
        finally:
            stop.set()
        loading.result()
    return times


def _rate(our: House, bare_url: str | None, served: Served, n: int) -> float:
    """Requests a second of eight askers, `n` for one task in all."""
    askers = [_asker(our, bare_url, served, 1) for _ in range(8)]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(askers)) as threads:
        list(threads.map(lambda ask: [ask() for _ in range(n // len(askers))], askers))
    return len(askers) * (n // len(askers)) / (time.perf_counter() - began)

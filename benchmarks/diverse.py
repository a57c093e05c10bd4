"""Diverse: a hundred different ones of 100,000 outputs, beside modAL's ranked batch and scikit-activeml's CoreSet.

A peer works in a process of its own, so that it can be stopped when it takes too long. It then counts as finished at
that moment.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.support.goals import DIVERSE_CORESET, DIVERSE_MEMORY, DIVERSE_MODAL, Measured
from benchmarks.support.rooms import Servers
from benchmarks.support.turns import peak_mb
from labelloop import strategies
from labelloop.errors import Failed
from labelloop.selection.select import diverse

K, CLASSES, WIDTH, NARROW = 100, 10, 384, 64
LABELLED = 500
"""Items that the peers know to be labelled."""
LIMIT_S = 120.0
STARTS_S = 300.0
Vectors = npt.NDArray[np.float32]
Proba = npt.NDArray[np.float64]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    """No server is asked anything."""
    n, many, repeats = (2_000, 20_000, 2) if quick else (100_000, 1_000_000, 5)
    peers = {name: _peer_s(name, n) for name in PEERS}
    ours, small, large = (_ours_s(rows, repeats) for rows in (n, n // 10, many))
    given = outputs(n)
    own_mb, mb = given[1].nbytes / 1e6, peak_mb(lambda: ask(*given))
    facts = f"{median(ours):.3f} s; of {n // 10:,} {median(small):.3f} s, of {many:,} {median(large):.3f} s"
    return [
        Measured(DIVERSE_MODAL, [peers["modAL"][0] / s for s in ours], f"{facts}; beside it {_said(peers['modAL'])}"),
        Measured(DIVERSE_CORESET, [peers["CoreSet"][0] / s for s in ours], f"beside it {_said(peers['CoreSet'])}"),
        Measured(DIVERSE_MEMORY, [(own_mb + mb) / own_mb], f"{mb:.1f} MB beside the {own_mb:.0f} MB of the vectors"),
    ]


def outputs(n: int) -> tuple[Proba, Vectors]:
    """`n` rows of probabilities, and as many embeddings of unit length in heaps, as those of texts are."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(CLASSES, 0.3), n)
    heaps = rng.standard_normal((200, WIDTH), dtype=np.float32)
    vectors = rng.standard_normal((n, WIDTH), dtype=np.float32)
    vectors += heaps[rng.integers(len(heaps), size=n)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return proba, vectors


def ask(proba: Proba, vectors: Vectors) -> list[int]:
    """Ours: utilities and all."""
    return [int(i) for i in diverse(strategies.utilities("margin", proba), vectors, K)]


class Taught:
    """A learner that needs no time: its probabilities are given, and some rows are labelled."""

    def __init__(self, proba: Proba, vectors: Vectors) -> None:
        self.proba = proba
        self.X_training = vectors
        self.on_transformed = False

    def predict_proba(self, vectors: Vectors) -> Proba:
        return self.proba


def _modal(proba: Proba, vectors: Vectors) -> Callable[[], object]:
    from modAL.batch import uncertainty_batch_sampling

    learner = Taught(proba[LABELLED:], vectors[:LABELLED])
    return lambda: uncertainty_batch_sampling(learner, vectors[LABELLED:], n_instances=K)


def _coreset(proba: Proba, vectors: Vectors) -> Callable[[], object]:
    from skactiveml.pool import CoreSet

    labels = np.full(len(vectors), np.nan)
    labels[:LABELLED] = proba[:LABELLED].argmax(1)
    return lambda: CoreSet(random_state=0).query(vectors, labels, batch_size=K)


PEERS: Mapping[str, Callable[[Proba, Vectors], Callable[[], object]]] = {"modAL": _modal, "CoreSet": _coreset}


def _work(name: str, n: int, done: Connection) -> None:
    proba, vectors = outputs(n)
    query = PEERS[name](proba, np.ascontiguousarray(vectors[:, :NARROW]))
    done.send("ready")
    done.send(_seconds(query))


def _peer_s(name: str, n: int) -> tuple[float, bool]:
    """Return the seconds it takes, at most LIMIT_S, and whether it finished in time."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(name, n, there), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(STARTS_S):
            raise Failed(f"{name} was not ready after {STARTS_S:.0f} s")
        here.recv()
        return (float(here.recv()), True) if here.poll(LIMIT_S) else (LIMIT_S, False)
    except EOFError:
        raise Failed(f"{name} ended without a result; its own words stand above") from None
    finally:
        process.terminate()
        process.join()


def _ours_s(n: int, repeats: int) -> list[float]:
    given = outputs(n)
    ask(*given)  # the first call loads what the next ones find loaded
    return [_seconds(lambda: ask(*given)) for _ in range(repeats)]


def _said(peer: tuple[float, bool]) -> str:
    seconds, done = peer
    return f"{seconds:.1f} s on {NARROW} of the {WIDTH} numbers" if done else f"not done after {seconds:.0f} s"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

"""A window of 50 chosen among candidates that have sentence vectors, against the same texts compared by their letters.

No model is loaded: the vectors are random, of the default encoder's width, and as near to each other as random texts.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from benchmarks.support.goals import COMPARE, Measured
from benchmarks.support.items import texts_spec
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import in_turn, ratios
from benchmarks.working.rescore import LENGTH, SUBMIT, VOCABULARY
from labelloop.errors import Failed
from labelloop.selection.sentences import text_hash
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import LearnerSpec, Queue
from labelloop.store.sentences import vectors
from labelloop.store.sentences.vectors import Used
from labelloop.store.tables import loops
from sync.push.window import prepare

WINDOW, WIDTH = 50, 512
ENCODER = Used("", "random:512", WIDTH)


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (3_000, 2) if quick else (100_000, 10)
    with house(servers) as our:
        by_vectors, by_letters = (_filled(our, name, n) for name in ("sentences", "text"))
        _seconds(our, by_vectors), _seconds(our, by_letters)  # imports, and the cache of Postgres
        ours, bare = in_turn(repeats, lambda: _seconds(our, by_vectors), lambda: _seconds(our, by_letters))
        with our.database.transaction() as conn:
            candidates = len(prepare(our.database, by_vectors)[0].queues["rule"])
            row = conn.execute("select count(*) as n from sentence_vectors").fetchone()
    assert row is not None
    facts = (
        f"{candidates:,} candidates of {n:,} that wait, {row['n']:,} vectors of {WIDTH} numbers: {median(ours):.2f} s, "
        f"by letters {median(bare):.2f} s"
    )
    return [Measured(COMPARE, ratios(ours, bare), facts)]


def _filled(our: House, learner: str, n: int) -> LoopSpec:
    """A loop with this learner and texts that wait; with vectors of them if the learner reads any."""
    spec = texts_spec(learner, queue=Queue(window=WINDOW), learner=LearnerSpec(name=learner, field="text"))
    with our.database.transaction() as conn:
        loops.register(conn, spec)
        conn.execute("set local statement_timeout = 0")
        conn.execute("select setseed(0.5)")
        conn.execute(SUBMIT, {"loop": learner, "n": n, "length": LENGTH, "words": VOCABULARY})
        rows = conn.execute("select data ->> 'text' as text from outputs where loop = %s", (learner,)).fetchall()
        if spec.learner.encoder is not None:
            made = np.random.default_rng(0).normal(size=(len(rows), WIDTH)) / np.sqrt(WIDTH)
            packed = [one.tobytes() for one in made.astype(np.dtype("<f2"))]
            hashes = [text_hash(row["text"]) for row in rows]
            vectors.use(conn, learner, ENCODER)
            vectors.keep(conn, learner, ENCODER.encoder, dict(zip(hashes, packed, strict=True)))
    with our.database.transaction() as conn:
        conn.execute("analyze")
    return spec


def _seconds(our: House, spec: LoopSpec) -> float:
    """Seconds of one choice, from the read of the pool to the picks."""
    began = time.perf_counter()
    _, picks = prepare(our.database, spec)
    seconds = time.perf_counter() - began
    if len(picks) < WINDOW // 2:
        raise Failed(f"{len(picks)} outputs were picked for a window of {WINDOW}")
    return seconds

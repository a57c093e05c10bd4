"""A million waiting outputs scored anew after a promotion and stored, against a bare predict_proba and COPY."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from backend import models
from backend.decide.promote import promote
from backend.learners import Learner, make
from backend.score import prelabel
from benchmarks.support.goals import RESCORE, Measured
from benchmarks.support.items import LABELS, texts_spec
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import in_turn, ratios
from labelloop.store.tables import loops, runs
from labelloop.store.tables import versions as version_store

LOOP, LENGTH, VOCABULARY, TAUGHT = "waiting", 24, 5_000, 2_000
WHY = "margin 0.04 between label-0 and label-1"
SUBMIT = """
    with new as (
        insert into outputs (loop, key, body_sha256, group_key, data, label, confidence, model_version, lane,
                             triggered, holdout, state)
        select %(loop)s, 'item/' || i, '', 'item/' || i, jsonb_build_object('text', text), 'label-0', .5, 'm', 'rule',
            true, false, 'waiting'
        from (
            select i, string_agg('word' || (%(words)s * random() ^ 3)::int, ' ') as text
            from generate_series(1, %(n)s) i, generate_series(1, %(length)s) j group by i
        ) t
        returning *
    )
    insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
    select id, loop, lane, random(), key, label, confidence, 'pipeline', 'pipeline' from new
"""
Row = tuple[UUID, str, dict[str, Any]]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (20_000, 1) if quick else (1_000_000, 2)
    with house(servers) as our:
        with our.database.transaction() as conn:
            loops.register(conn, texts_spec(LOOP))
            conn.execute("set local statement_timeout = 0")
            conn.execute(SUBMIT, {"loop": LOOP, "n": n, "length": LENGTH, "words": VOCABULARY})
            conn.execute("create table bare (like pool including indexes)")
        with our.database.transaction() as conn:
            conn.execute("set local statement_timeout = 0")
            conn.execute("analyze")
            rows: list[Row] = [tuple(row.values()) for row in conn.execute("select id, key, data from outputs")]
        items = [data for _, _, data in rows]
        learners = iter([a_learner(items, seed) for seed in range(2 * repeats + 1)])
        ours, bare = in_turn(repeats, lambda: _ours(our, next(learners)), lambda: _bare(our, rows, next(learners)))
    return [
        Measured(
            RESCORE,
            ratios(ours, bare),
            f"{n / np.median(ours):,.0f} outputs/s in this process, bare {n / np.median(bare):,.0f}/s; texts of "
            f"{LENGTH} words, TF-IDF of words and pairs, 10 labels",
        )
    ]


def a_learner(items: Sequence[dict[str, Any]], seed: int) -> Learner:
    """Fitted to some of these texts, with labels that are right half of the time."""
    rng = np.random.default_rng(seed)
    taught = [items[i] for i in rng.choice(len(items), TAUGHT, replace=False)]
    labels = [LABELS[len(item["text"].split("word1")) % len(LABELS)] for item in taught]
    noise = rng.random(TAUGHT) < 0.5
    labels = [LABELS[rng.integers(len(LABELS))] if n else label for n, label in zip(noise, labels, strict=True)]
    return make("text", {"field": "text", "characters": False}).fit(taught, labels, rng)


def take_over(our: House, loop: str, learner: Learner) -> str:
    """Make it the loop's champion and ranker; the id of its version."""
    stored = models.store(our.settings.models_dir, loop, learner)
    with our.database.transaction() as conn:
        runs.request(conn, loop, "a benchmark")
        run = runs.claim(conn, loop, None)
        assert run is not None
        version_store.insert(
            conn, loop, stored.id, learner=learner.name, classes=learner.classes, size_bytes=stored.size_bytes,
            trained_on=TAUGHT,
        )  # fmt: skip
        runs.finish(conn, run.id, "refused", version_id=stored.id)
    promote(our.database, loop, stored.id, "benchmark", "to score anew", models_dir=our.settings.models_dir)
    return str(stored.id)


def _ours(our: House, learner: Learner) -> float:
    """Seconds from the promotion until all rows are committed."""
    take_over(our, LOOP, learner)
    began = time.perf_counter()
    prelabel.prelabel(our.database, LOOP, our.settings.models_dir)
    return time.perf_counter() - began


def _bare(our: House, rows: Sequence[Row], learner: Learner) -> float:
    """Seconds for rows that are in memory: probabilities in chunks of the same size, and one COPY into the same table.

    The table has the pool's indexes: without them nothing is found again.
    """
    with psycopg.connect(our.settings.database_url) as conn:
        conn.execute("truncate bare")
        began = time.perf_counter()
        columns = "output_id, loop, lane, utility, key, label, confidence, version, why"
        with conn.cursor().copy(f"copy bare ({columns}) from stdin (format binary)") as copy:
            copy.set_types(["uuid", "text", "text", "float8", "text", "text", "float8", "text", "text"])
            for start in range(0, len(rows), prelabel.CHUNK):
                chunk = rows[start : start + prelabel.CHUNK]
                proba = learner.predict([data for _, _, data in chunk]).proba
                assert proba is not None
                two = np.partition(proba, -2, axis=1)[:, -2:]
                said = zip(proba.argmax(axis=1).tolist(), two[:, 1].tolist(), (two[:, 0] - two[:, 1] + 1).tolist(),
                           strict=True)  # fmt: skip
                for (id_, key, _), (column, confidence, utility) in zip(chunk, said, strict=True):
                    label = learner.classes[column]
                    copy.write_row((id_, LOOP, "rule", utility, key, label, confidence, "0123456789ab", WHY))
        conn.commit()
        return time.perf_counter() - began

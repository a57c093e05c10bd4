"""A loop of texts whose waiting outputs are scored again."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend import models
from backend.decide.promote import promote
from backend.learners import Learner, make
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import runs, versions
from labelloop.versions.version import VersionPair
from tests.support.backend_factory import (
    submit,
    texts_spec,
)

LABELS = ("ham", "spam", "eggs")


WORDS = "order parcel invoice late broken lost wrong paid twice never arrived please help refund again today".split()


Rows = dict[str, dict[str, Any]]


def texts(n: int) -> tuple[list[dict[str, Any]], list[str]]:
    rng = np.random.default_rng(0)
    data = [{"text": " ".join(rng.choice(WORDS, 12))} for _ in range(n)]
    return data, [LABELS[len(item["text"]) % 3] for item in data]


def version(database: Database, settings: Settings, loop: str, learner: Learner, *, champion: bool) -> str:
    """Register a fitted learner as the newest version, and promote it if it is to be champion."""
    stored = models.store(settings.models_dir, loop, learner)
    with database.transaction() as conn:
        runs.request(conn, loop, "a test")
        run = runs.claim(conn, loop, None)
        assert run is not None
        versions.insert(conn, loop, stored.id, learner=learner.name, classes=learner.classes,
                        size_bytes=stored.size_bytes, trained_on=10)  # fmt: skip
        runs.finish(conn, run.id, "refused", version_id=stored.id)
    if champion:
        promote(database, loop, stored.id, "a test", "to begin with", models_dir=settings.models_dir)
    return stored.id


def fitted(name: str, data: list[dict[str, Any]], truths: list[str], **params: Any) -> Learner:
    return make(name, params).fit(data, truths, np.random.default_rng(0))


def text_loop(database: Database, settings: Settings, n: int, **queue: Any) -> LoopSpec:
    """Texts that wait, of which the last `n // 2` teach the champion and the first the ranker."""
    spec = texts_spec(LABELS)
    spec = spec.model_copy(update={"queue": spec.queue.model_copy(update=queue)})
    data, truths = texts(n)
    with database.transaction() as conn:
        submit(conn, spec, data, truths)
    for part, champion in ((slice(n // 2, n), True), (slice(0, n // 2), False)):
        learner = fitted("text", data[part], truths[part], field="text", characters=False)
        version(database, settings, spec.name, learner, champion=champion)
    return spec


def waiting(database: Database) -> Rows:
    with database.transaction() as conn:
        return {
            row["key"]: {"pair": VersionPair(row.pop("champion"), row.pop("ranker")), **row}
            for row in conn.execute(
                "select o.key, o.lane::text, w.* from ("
                " select output_id, label, confidence, utility, champion, ranker, why, margin, 'pool' as place"
                " from pool"
                " union all"
                " select output_id, label, confidence, utility, champion, ranker, why, margin, 'tasks' from tasks) w"
                " join outputs o on o.id = w.output_id"
            )
        }


def target(database: Database, loop: str) -> VersionPair:
    with database.transaction() as conn:
        champion = versions.champion(conn, loop)
        return VersionPair.of(champion.id if champion else None, versions.ranker(conn, loop))


def as_before(database: Database, rows: Rows) -> None:
    """Give the waiting outputs the scores again that they had."""
    with database.transaction() as conn:
        for key, row in rows.items():
            conn.execute(
                f"update {row['place']} w set label = %(label)s, confidence = %(confidence)s, utility = %(utility)s,"
                " champion = %(champion)s, ranker = %(ranker)s, why = %(why)s, margin = %(margin)s from outputs o"
                " where o.id = w.output_id and o.key = %(of)s",
                row | {"of": key, "champion": row["pair"].champion, "ranker": row["pair"].ranker},
            )


def said(conn: Conn) -> dict[str, dict[str, Any]]:
    rows = conn.execute(
        "select o.key, d.doubt, d.champion, d.ranker from doubts d join outputs o on o.id = d.output_id"
    )
    return {row["key"]: {**row, "pair": VersionPair(row["champion"], row["ranker"])} for row in rows}

"""Promotion and rollback of a version, and the record of both."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from backend import models
from backend.decide.promote import promote, rollback
from backend.score.prelabel import prelabel
from labelloop.errors import Conflict, Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import versions
from tests.support.backend_factory import (
    digits_loop,
    settings_for,
    submit,
    texts_spec,
)
from tests.support.hops.retraining import quickly


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def versions_of(database: Database, settings: Settings, n: int) -> list[str]:
    """Small real versions of a loop, oldest first."""
    import numpy as np

    from backend.learners import make

    spec = texts_spec()
    ids = []
    with database.transaction() as conn:
        submit(conn, spec, [{"text": "a"}], ["spam"])
        for i in range(n):
            texts = [{"text": f"good {i}"}, {"text": "bad"}]
            learner = make("text", {"field": "text"}).fit(texts, ["ham", "spam"], np.random.default_rng(0))
            stored = models.store(settings.models_dir, spec.name, learner)
            versions.insert(
                conn,
                spec.name,
                stored.id,
                learner="text",
                classes=learner.classes,
                size_bytes=stored.size_bytes,
                trained_on=2,
            )
            ids.append(stored.id)
    return ids


def test_promote_and_roll_back_to_the_start_and_all_of_it_is_on_record(database: Database, settings: Settings) -> None:
    a, b, c = versions_of(database, settings, 3)
    folder = settings.models_dir
    for version in (a, b, c):
        promote(database, "texts", version[:16], "ann", "better", models_dir=folder)
    went = [rollback(database, "texts", "ann", "worse", models_dir=folder).version for _ in range(3)]
    assert went == [b[:12], a[:12], "pipeline"]
    with pytest.raises(UsageError, match="nothing to go back to"):
        rollback(database, "texts", "ann", "worse", models_dir=folder)
    back = rollback(database, "texts", "bob", "after all", to=c[:12], models_dir=folder)
    assert (back.epoch, back.version, back.previous) == (7, c[:12], "pipeline")
    with database.transaction() as conn:
        assert {v.id: v.stage for v in versions.list_(conn, "texts")} == {
            a: "retired",
            b: "retired",
            c: "champion",
        }
        assert [p.epoch for p in versions.promotions(conn, "texts")] == [7, 6, 5, 4, 3, 2, 1]


def test_what_cannot_serve_is_not_promoted(database: Database, settings: Settings) -> None:
    a, b = versions_of(database, settings, 2)
    folder = settings.models_dir

    def attempt(version: str) -> None:
        promote(database, "texts", version, "ann", "why not", models_dir=folder)

    attempt(a)
    with pytest.raises(Conflict, match="is champion of texts already"):
        attempt(a)
    with pytest.raises(UsageError, match="no version begins with 'fff"):
        attempt("fff" + "0" * 61)
    models.path(folder, b).write_bytes(b"something else")
    with pytest.raises(Failed, match="damaged or was changed"):
        attempt(b)
    models.path(folder, b).unlink()
    with pytest.raises(Failed, match="cannot be read"):
        attempt(b)
    with database.transaction() as conn:
        assert len(versions.promotions(conn, "texts")) == 1


def test_one_of_two_promotions_at_the_same_time_is_refused(database: Database, settings: Settings) -> None:
    a, b = versions_of(database, settings, 2)
    start = threading.Barrier(2)

    def attempt(version: str) -> str:
        start.wait()
        try:
            return promote(database, "texts", version, "x", "y", models_dir=settings.models_dir).version
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(attempt, (a, b)))
    with database.transaction() as conn:
        epochs = versions.promotions(conn, "texts")
        champion = versions.champion(conn, "texts")
    assert champion is not None
    assert len(epochs) == sum(word != "conflict" for word in said)
    with pytest.raises(psycopg.errors.UniqueViolation) as refused, database.transaction() as conn:
        conn.execute("update model_versions set stage = 'champion' where loop = 'texts'")
    assert refused.value.diag.constraint_name == "one_champion_a_loop"


def test_after_a_rollback_to_the_pipeline_its_labels_are_back(database: Database, settings: Settings) -> None:
    spec = digits_loop(database)
    quickly(database, settings, spec.name)
    prelabel(database, spec.name, settings.models_dir)
    rollback(database, spec.name, "ann", "to see", models_dir=settings.models_dir)
    assert prelabel(database, spec.name, settings.models_dir) == 300
    with database.transaction() as conn:
        changed = conn.execute(
            "select count(*) as n from pool p join outputs o on o.id = p.output_id"
            " where (p.label, p.confidence) is distinct from (o.label, o.confidence)"
        ).fetchone()
    assert changed == {"n": 0}

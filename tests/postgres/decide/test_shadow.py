"""Versions in shadow: they predict beside the champion until live answers decide."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from backend import models
from backend.decide.promote import promote
from backend.decide.shadow import ask_for_shadows, in_shadow
from backend.train.child import Children
from backend.worker import duties
from labelloop.errors import Unreachable
from labelloop.process.settings import Settings
from labelloop.spec.gate import Shadow
from labelloop.store.database import Database
from labelloop.store.tables import jobs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import put_into_label_studio, settings_for
from tests.support.hops.judged_texts import (
    LABELS,
    answer_more,
    champion_of,
    decisions,
    judged,
    row_of,
    texts_loop,
    truth,
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def in_shadow_of(database: Database, settings: Settings, **shadow: Any) -> RetrainRun:
    """A run in shadow whose version has said what 60 outputs are; 20 of them are with people."""
    spec = texts_loop(database, promotion="shadow", shadow=Shadow(**{"answers": 20, **shadow}))
    with database.transaction() as conn:
        conn.execute("delete from pool using answers a where a.output_id = pool.output_id")
        put_into_label_studio(conn, spec.name, 20)
    run = judged(database, settings)
    assert run.status == "shadow", run.reasons
    in_shadow(database, spec.name, settings.models_dir)
    assert champion_of(database) is None
    return run


def test_a_version_in_shadow_is_promoted_by_what_people_answer_later(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings)
    with database.transaction() as conn:
        said = conn.execute("select * from shadow_items").fetchall()
        answered = {row["output_id"] for row in conn.execute("select output_id from answers")}
    assert len(said) == 60
    assert not answered & {row["output_id"] for row in said}, "what was answered before says nothing new"
    assert all(row["champion_confidence"] == 0.6 for row in said)
    answer_more(database, 60, 79)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "shadow", "19 of 20 answers"
    answer_more(database, 79, 90)
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("promoted", run.version_id)
    assert after.reasons[0].startswith("in shadow, on new outputs: challenger accuracy 100.0 % (30 of 30;")
    assert after.evaluation["shadow"]["holdout"] == 30
    assert after.evaluation["holdout"] == run.evaluation["holdout"]
    assert [row[1:3] for row in decisions(database)] == [("promote", "gate")]


def test_the_worker_looks_after_versions_in_shadow(database: Database, settings: Settings) -> None:
    in_shadow_of(database, settings)
    assert {jobs.RETRAIN, jobs.PRELABEL, jobs.SHADOW} <= set(
        duties(database, settings, Children(settings), threading.Event()).jobs
    )

    def asked() -> int:
        with database.transaction() as conn:
            return conn.execute("select from procrastinate_jobs where task_name = %s", (jobs.SHADOW,)).rowcount

    assert asked() == 1, "by the run that has just been judged"
    with database.transaction() as conn:
        conn.execute("delete from procrastinate_jobs")
    ask_for_shadows(database)
    ask_for_shadows(database)
    assert asked() == 1, "and by the periodic look"


def test_a_version_in_shadow_that_live_answers_speak_against_is_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings)
    answer_more(database, 60, 90, lambda i: LABELS[1 - LABELS.index(truth(i))])
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("refused", None)
    assert "not better: refused" in after.reasons[0]


def test_runs_that_come_oftener_than_a_shadow_lasts_do_not_keep_it_from_its_end(
    database: Database, settings: Settings
) -> None:
    run = in_shadow_of(database, settings)
    answer_more(database, 60, 79)
    newer = judged(database, settings)
    assert newer.status == "refused"
    assert newer.reasons[0] == f"it passed the gate, but run {run.id} is in shadow and must be judged first: refused"
    with database.transaction() as conn:
        assert versions.ranker(conn, "texts") == newer.version_id, "it ranks all the same"
    answer_more(database, 79, 90)
    in_shadow(database, "texts", settings.models_dir)
    assert champion_of(database) == run.version_id


def test_a_shadow_can_end_in_a_question(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, then="ask")
    answer_more(database, 60, 90)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "asking"
    promote(database, "texts", run.made, "ann", "good", models_dir=settings.models_dir)
    assert row_of(database, run).status == "promoted"


def test_a_shadow_without_answers_ends_as_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, outputs=25, days=3)
    with database.transaction() as conn:
        assert conn.execute("select count(*) as n from shadow_items").fetchone() == {"n": 25}, "no more than it may"
        conn.execute("update retrain_runs set finished_at = now() - interval '3 days 1 minute'")
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, after.reasons[0]) == (
        "refused",
        "0 answers in 3 days in shadow, at least 20 are needed (gate.shadow): refused",
    )


def test_a_shadow_ends_in_time_though_a_remote_model_is_away(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unreachable("http://model does not answer")

    run = in_shadow_of(database, settings, days=3)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set finished_at = now() - interval '3 days 1 minute'")
    monkeypatch.setattr("backend.decide.shadow._predict", away)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "refused"


def test_a_version_in_shadow_whose_file_is_damaged_is_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, outputs=25)
    answer_more(database, 60, 120)
    file = models.path(settings.models_dir, run.made)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("refused", None)
    assert "damaged or was changed" in after.reasons[0]

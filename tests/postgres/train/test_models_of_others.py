"""Models of others in a loop on the real Postgres: a cold start without answers, the gate, a rollback, /predict."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from backend.decide.promote import promote, rollback
from backend.learners import make
from backend.score.prelabel import prelabel
from backend.serve.champions import Champions
from backend.serve.predict import Predictor
from backend.train.retrain import heal, retrain
from backend.train.train import train
from labelloop.errors import Unreachable
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import LearnerSpec
from labelloop.store.database import Database
from labelloop.store.tables import runs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import (
    PROJECT_ID,
    answer,
    digits_loop,
    new_champion,
    put_into_label_studio,
    scans,
    settings_for,
    submit,
)
from tests.support.backend_factory import texts_spec as texts
from tests.support.hosted.environments import HOSTED, line_2x
from tests.support.ml_backend import PASSWORD, ml_backend
from tests.support.network.chat_server import KEY, ChatServer, chat_server
from tests.support.rows import items_of_part

WORDS = {"ham": ("ham", "eggs", "bacon"), "spam": ("spam", "offer", "winner")}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("CHAT_KEY", KEY)
    with chat_server() as found:
        yield found


def a_loop(database: Database, learner: LearnerSpec, n: int = 120, answered: int = 0) -> LoopSpec:
    """Texts of which `answered` have their true answer."""
    spec = texts(holdout=0.4).model_copy(update={"learner": learner})
    truths = [("ham", "spam")[i % 2] for i in range(n)]
    data = [{"text": f"{WORDS[truth][i % 3]} {unlike(i)}"} for i, truth in enumerate(truths)]
    with database.transaction() as conn:
        ids = submit(conn, spec, data, truths)
        answer(conn, spec.name, {ids[f"item-{i}"]: truths[i] for i in range(answered)})
    return spec


def unlike(i: int) -> str:
    """Words that no other has: what is alike is kept apart from the hold-out."""
    noise = hashlib.sha256(str(i).encode()).hexdigest()
    return " ".join(noise[at : at + 8] for at in range(0, 64, 8))


def taught(database: Database, settings: Settings, loop: str) -> dict[str, Any]:
    """Return the outcome of the training child without a child, for tests of other things."""
    with database.transaction() as conn:
        run_id = runs.request(conn, loop, "a test")
        assert runs.claim(conn, loop, None) is not None
    assert run_id is not None
    outcome = train(database, settings.models_dir, run_id)
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=outcome.get("version"))
    return outcome


def run(database: Database, settings: Settings, loop: str) -> RetrainRun:
    with database.transaction() as conn:
        assert runs.request(conn, loop, "a test") is not None
    retrain(database, settings, loop, threading.Event())
    with database.transaction() as conn:
        return next(run for run in runs.latest(conn, loop) if run.finished_at is not None)


def test_a_remote_model_is_made_promoted_and_prelabels_before_any_answer(
    database: Database, settings: Settings, server: ChatServer
) -> None:
    params = {"url": server.url, "model": "m-1", "key_env": "CHAT_KEY", "prompt": "One of:\n{labels}"}
    spec = a_loop(database, LearnerSpec(name="remote", field="text", params=params), n=60)
    version = taught(database, settings, spec.name)["version"]
    assert not server.bodies, "to make it nobody is asked"
    with database.transaction() as conn:
        answer(conn, spec.name, {row["id"]: "ham" for row in conn.execute("select id from outputs")})
    heal(database)
    with database.transaction() as conn:
        assert [row.status for row in runs.latest(conn, spec.name)] == ["refused"], "answers do not teach it"
    promote(database, spec.name, version, "me", "to begin with", models_dir=settings.models_dir)
    assert prelabel(database, spec.name, settings.models_dir) == 60
    with database.transaction() as conn:
        waiting = conn.execute(
            "select p.label, p.confidence, o.data from pool p join outputs o on o.id = p.output_id"
        ).fetchall()
    for row in waiting:
        said = next((label for label in ("ham", "spam") if label in row["data"]["text"]), None)
        assert row["label"] == (said or row["label"])
        assert (row["confidence"] is None) is (said is None), "what it gave no label keeps no confidence of another"
    assert {round(row["confidence"], 6) for row in waiting if row["confidence"] is not None} == {0.9}


def test_a_run_that_makes_the_champion_again_asks_a_remote_model_once_an_item(
    database: Database, settings: Settings, server: ChatServer
) -> None:
    params = {"url": server.url, "model": "m-1", "key_env": "CHAT_KEY", "prompt": "One of:\n{labels}"}
    spec = a_loop(database, LearnerSpec(name="remote", field="text", params=params), n=20, answered=20)
    version = new_champion(database, spec.name, settings.models_dir)  # type: ignore[arg-type]
    server.asked.clear()
    with database.transaction() as conn:
        run_id = runs.request(conn, spec.name, "a test")
        assert runs.claim(conn, spec.name, version) is not None
    assert run_id is not None
    assert train(database, settings.models_dir, run_id)["version"] == version
    with database.transaction() as conn:
        judged = items_of_part(conn, run_id, "holdout")
    assert sorted(server.asked.values()) == [1] * len(judged)
    said = [(item.champion_label, item.challenger_label) for item in judged]
    assert ("ham", "ham") in said
    assert all(champion == challenger for champion, challenger in said)


def test_a_run_whose_remote_model_does_not_answer_fails_in_words(database: Database, settings: Settings) -> None:
    spec = a_loop(database, LearnerSpec(name="remote", params={"url": "http://127.0.0.1:9", "model": "m"}), answered=30)
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        taught(database, settings, spec.name)
    with database.transaction() as conn:
        assert versions.champion(conn, spec.name) is None


def test_predict_answers_empty_while_a_remote_model_is_slow(
    database: Database, settings: Settings, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.learners.others.deadline.ANNOTATOR_S", 0.3)
    params = {"url": server.url, "model": "m-1", "key_env": "CHAT_KEY", "timeout_s": 20}
    spec = a_loop(database, LearnerSpec(name="remote", params=params), n=20)
    version = taught(database, settings, spec.name)["version"]
    promote(database, spec.name, version, "me", "to begin with", models_dir=settings.models_dir)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 5)
    now = Champions(database, settings.models_dir).of(PROJECT_ID)
    assert now is not None
    (found,) = Predictor(database).answer(now, [{"data": {"text": "slow ham"}}])
    assert (found["result"], found["score"], found["model_version"]) == ([], 0.0, now.version)
    assert server.asked["slow ham"] <= 1


def test_a_hosted_model_passes_the_gate_serves_and_is_rolled_back(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    python = line_2x(tmp_path / "environment")
    params = {"model": "words:Words", "folder": str(HOSTED / "words_2x"), "python": str(python)}
    spec = a_loop(database, LearnerSpec(name="label-studio-ml", params=params), answered=120)
    done = run(database, settings, spec.name)
    assert done.status == "promoted", done
    assert done.evaluation["challenger"]["correct"] == done.evaluation["holdout"]
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 5)
        found = versions.champion(conn, spec.name)
    assert found is not None
    assert found.learner == "label-studio-ml"
    now = Champions(database, settings.models_dir).of(PROJECT_ID)
    assert now is not None
    assert now.learner is not None
    assert list(now.learner.predict([{"text": "an offer"}, {"text": "eggs"}]).labels) == ["spam", "ham"]
    rollback(database, spec.name, "me", "to see", models_dir=settings.models_dir)
    with database.transaction() as conn:
        assert versions.champion(conn, spec.name) is None


def test_a_hosted_model_that_cannot_be_made_is_a_verdict(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "words.py").write_text("from label_studio_ml.model import LabelStudioMLBase\nclass Words: pass\n")
    python = line_2x(tmp_path / "environment")
    params = {"model": "words:Words", "folder": str(tmp_path), "python": str(python)}
    spec = a_loop(database, LearnerSpec(name="label-studio-ml", params=params), answered=40)
    assert "no subclass of label_studio_ml.model.LabelStudioMLBase" in taught(database, settings, spec.name)["refused"]


def test_our_own_backend_is_another_ml_backend(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = digits_loop(database, n=150, answered=150)
    assert settings.models_dir is not None
    new_champion(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 5)
    monkeypatch.setenv("BACKEND_USER", "labelloop")
    monkeypatch.setenv("BACKEND_PASSWORD", PASSWORD)
    images, truths = scans()
    data = [{"image": image} for image in images[:40]]
    with ml_backend(settings, database, settings.models_dir) as url:
        basic = {"user_env": "BACKEND_USER", "password_env": "BACKEND_PASSWORD"}
        form = {"field": "image", "label_config": spec.labels_xml}
        learner = make("remote", {**form, "url": url, "protocol": "ml-backend", "project": "30.1", **basic})
        said = learner.fit([], [], np.random.default_rng(0)).predict(data)
        assert np.mean([a == b for a, b in zip(said.labels, truths[:40], strict=True)]) > 0.9
        assert (said.confidences > 0.1).all()
        assert httpx.post(f"{url}/predict", json={"tasks": []}).status_code == 401

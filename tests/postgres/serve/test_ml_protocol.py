"""The ML backend in the words of Label Studio 1.23.2, by the test client of Flask."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import models
from backend.service import create_app
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, runs
from tests.support.backend_factory import settings_for
from tests.support.ml_backend import PROJECT, basic, champion, digits_in_review, predict_body, setup_body, tasks, until


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    return digits_in_review(database)


@pytest.fixture
def client(settings: Settings, database: Database, spec: LoopSpec) -> FlaskClient:
    return create_app(settings, database).test_client()


def test_health_is_open_and_all_else_wants_the_password(client: FlaskClient) -> None:
    assert client.get("/health").status_code == 200
    wrong = [{}, basic(password="wrong"), basic(user="x"), basic(password="pässwörd"), {"Authorization": "Bearer x"}]
    for headers in [*wrong, {"Authorization": "Basic //79"}, {"Authorization": "Basic"}]:
        for method, path in [("POST", "/setup"), ("POST", "/predict"), ("POST", "/webhook"), ("GET", "/versions")]:
            response = client.open(path, method=method, headers=headers, json={})
            assert response.status_code == 401, (path, headers)
            assert response.json is not None
            assert response.json["detail"] == response.json["error"] == "basic auth is required"
            assert "Basic" in response.headers["WWW-Authenticate"]


def test_setup_says_who_serves_and_keeps_the_owners_token_to_itself(
    client: FlaskClient, database: Database, settings: Settings, spec: LoopSpec, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert client.post("/setup", json=setup_body(), headers=basic()).json == {"model_version": "pipeline"}
        version = champion(database, settings, spec)
        said = create_app(settings, database).test_client().post("/setup", json=setup_body(), headers=basic()).json
    assert said == {"model_version": version[:12]}
    assert "the-owners-token" not in caplog.text
    assert "the-owners-token" not in repr([record.__dict__ for record in caplog.records])


def test_the_champion_predicts_one_item_a_task_in_their_order(
    client: FlaskClient, database: Database, settings: Settings, spec: LoopSpec
) -> None:
    version = champion(database, settings, spec)
    found = tasks(database, 6)
    found[2]["data"]["image"] = "not an image"
    response = client.post("/predict", json=predict_body(found), headers=basic())
    assert response.json is not None
    items = response.json["results"]
    learner = models.load(settings.models_dir, version)
    del found[2]
    proba = learner.predict([task["data"] for task in found]).proba
    assert proba is not None
    assert items.pop(2) == {"result": [], "score": 0.0, "model_version": version[:12]}
    for item, row in zip(items, proba, strict=True):
        [region] = item["result"]
        assert region["from_name"] == "label"
        assert region["value"] == {"choices": [learner.classes[row.argmax()]]}
        assert item["score"] == pytest.approx(row.max())
        assert isinstance(item["score"], float)
        assert 0 <= item["score"] <= 1
        assert math.isfinite(item["score"])
        assert item["model_version"] == version[:12]


def test_before_the_first_champion_the_pipelines_own_outputs_are_the_answer(
    client: FlaskClient, database: Database
) -> None:
    found = tasks(database, 3)
    found.append({"id": 9, "data": {"image": "x", "labelloop_output": "nothing of ours"}})
    response = client.post("/predict", json=predict_body(found), headers=basic())
    assert response.json is not None
    items = response.json["results"]
    said = [region["value"]["choices"][0] for item in items[:3] for region in item["result"]]
    assert said == [task["data"]["labelloop_label"] for task in found[:3]]
    assert [item["score"] for item in items] == [0.4, 0.4, 0.4, 0.0]
    assert items[3]["result"] == []
    assert {item["model_version"] for item in items} == {"pipeline"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, ""),
        (b"[]", 400, "JSON object"),
        (b"[" * 100_000, 400, ""),
        ({"tasks": {}, "project": PROJECT}, 400, "tasks must be a list"),
        ({"tasks": [{"id": 1}], "project": PROJECT}, 400, "tasks[0] must be an object with data"),
        ({"tasks": [], "project": "x"}, 400, "project must be"),
        ({"tasks": []}, 400, "project must be"),
        ({"tasks": [], "project": "31.1"}, 404, "project 31"),
        ({"tasks": [{"data": {}}] * 1001, "project": PROJECT}, 413, "1001 tasks in one request, 1000 at most"),
        (b" " * (33 << 20), 413, ""),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_a_bad_request_is_refused_in_words_and_the_next_one_works(
    client: FlaskClient, body: Any, status: int, words: str
) -> None:
    sent = {"data": body, "content_type": "application/json"} if isinstance(body, bytes) else {"json": body}
    response = client.post("/predict", headers=basic(), **sent)
    assert response.status_code == status
    assert response.json is not None
    assert words in response.json["error"]
    assert "Traceback" not in response.text
    assert client.post("/predict", json=predict_body([]), headers=basic()).get_json()["results"] == []


def test_start_training_asks_for_a_run_once_and_nothing_else_does(client: FlaskClient, database: Database) -> None:
    for event in ({"action": "ANNOTATION_CREATED", "project": {"id": 30}}, {"action": "START_TRAINING"}, ["x"], None):
        assert client.post("/webhook", json=event, headers=basic()).json == {"status": "ignored"}
    deep = {"data": b"[" * 100_000, "content_type": "application/json"}
    assert client.post("/webhook", headers=basic(), **deep).json == {"status": "ignored"}
    start = {"action": "START_TRAINING", "project": {"id": 30, "title": "digits"}}
    assert client.post("/webhook", json={**start, "project": {"id": 31}}, headers=basic()).json == {"status": "ignored"}
    said = [client.post("/webhook", json=start, headers=basic()).json for _ in range(2)]
    assert said == [{"status": "queued"}, {"status": "folded into the queued run"}]
    with database.transaction() as conn:
        assert [run.status for run in runs.latest(conn, "digits")] == ["queued"]
        asked = conn.execute("select task_name from procrastinate_jobs where task_name = %s", (jobs.RETRAIN,))
        assert len(asked.fetchall()) == 1


def test_a_new_champion_serves_within_seconds_and_a_damaged_one_never(
    database: Database, settings: Settings, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serve.champions.CHECK_EVERY_S", 0.0)
    client = create_app(settings, database).test_client()
    found = predict_body(tasks(database, 1))

    def serves(version: str) -> bool:
        response = client.post("/predict", json=found, headers=basic())
        assert response.status_code == 200
        said = response.get_json()
        assert {item["model_version"] for item in said["results"]} == {said["model_version"]}
        return bool(said["model_version"] == version[:12])

    first = champion(database, settings, spec)
    until(lambda: serves(first))
    second = champion(database, settings, spec)
    assert second != first
    kept = models.path(settings.models_dir, second).read_bytes()
    models.path(settings.models_dir, second).write_bytes(kept[:-1] + b"?")
    degraded = {"status": "degraded", "troubles": [f"digits: version {second[:12]} cannot be loaded"]}
    until(lambda: serves(first) and client.get("/readyz").get_json() == degraded)
    assert client.get("/readyz").status_code == 503
    models.path(settings.models_dir, second).write_bytes(kept)
    until(lambda: serves(second))
    assert client.get("/readyz").get_json()["status"] == "ready"
    versions = client.get("/versions", headers=basic()).get_json()["versions"]
    assert versions == [second[:12], first[:12], "pipeline"]


def test_the_champion_in_memory_serves_while_postgres_is_away(
    database: Database, settings: Settings, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serve.champions.CHECK_EVERY_S", 0.0)
    version = champion(database, settings, spec)
    found = predict_body(tasks(database, 2))
    with Database(settings.database_url, wait_s=0.2) as other:
        client = create_app(settings, other).test_client()
        assert client.post("/predict", json=found, headers=basic()).status_code == 200
        with database.transaction() as conn:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'labelloop'"
                         " and datname = current_database() and pid <> pg_backend_pid()")  # fmt: skip
        other.url = other.url.replace("127.0.0.1", "127.0.0.9")
        other._pool.close()
        assert client.get("/readyz").status_code == 503
        said = client.post("/predict", json=found, headers=basic()).get_json()
    assert {item["model_version"] for item in said["results"]} == {version[:12]}

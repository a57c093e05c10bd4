"""Serving: forms that fit or not, many calls at once, swaps under load, metrics and logs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from psycopg.conninfo import make_conninfo

from backend import models
from backend.decide.promote import promote, rollback
from backend.serve import champions, predict
from backend.service import create_app
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from tests.support.backend_factory import PASSWORD, settings_for
from tests.support.ml_backend import (
    FORM,
    basic,
    champion,
    digits_in_review,
    gunicorn,
    predict_body,
    series,
    setup_body,
    tasks,
    until,
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    return digits_in_review(database)


@pytest.fixture
def client(settings: Settings, database: Database, spec: LoopSpec) -> FlaskClient:
    return create_app(settings, database).test_client()


def test_a_form_that_the_model_does_not_know_is_refused_with_the_difference_and_said_once(
    client: FlaskClient, database: Database, settings: Settings, spec: LoopSpec, caplog: pytest.LogCaptureFixture
) -> None:
    champion(database, settings, spec)
    renamed = FORM.replace('value="7"', 'value="seven"')
    assert renamed != FORM
    for _ in range(3):
        for path, body in (
            ("/setup", {**setup_body(), "schema": renamed}),
            ("/predict", {**predict_body(tasks(database, 1)), "label_config": renamed}),
        ):
            response = client.post(path, json=body, headers=basic())
            assert response.status_code == 409
            assert "'label' lacks '7', which the model predicts" in response.get_json()["error"]
            assert "it has 'seven', which the model was never trained on" in response.get_json()["error"]
            assert response.status.startswith("409 the label config does not fit digits's model")
    assert caplog.text.count("does not fit") == 1
    odd = FORM.replace('value="7"', 'value="&lt;b&gt;&#10;é"')
    response = client.post("/setup", json={**setup_body(), "schema": odd}, headers=basic())
    assert "it has '?b??n?', which" in response.status
    for form, status in ((None, 200), ("", 200), (7, 400), ("<View>", 409)):
        body = {**predict_body([]), "label_config": form}
        assert client.post("/predict", json=body, headers=basic()).status_code == status


def test_a_label_that_the_model_has_never_seen_stops_nothing_and_is_counted(
    client: FlaskClient, database: Database, settings: Settings, spec: LoopSpec, caplog: pytest.LogCaptureFixture
) -> None:
    champion(database, settings, spec)
    more = FORM.replace('<Choice value="9"', '<Choice value="ten"/><Choice value="9"')
    assert more != FORM
    for _ in range(2):
        body = {**predict_body(tasks(database, 2)), "label_config": more}
        response = client.post("/predict", json=body, headers=basic())
        assert [bool(item["result"]) for item in response.get_json()["results"]] == [True, True]
    assert caplog.text.count("was never trained on: 'ten'") == 1
    said = series(client.get("/metrics", headers=basic()).text)
    assert said["labelloop_form_unseen_labels loop=digits"] == 1


def test_an_interactive_request_is_answered_as_any_other(
    client: FlaskClient, database: Database, settings: Settings, spec: LoopSpec
) -> None:
    version = champion(database, settings, spec)
    [task] = tasks(database, 1)
    plain = client.post("/predict", json=predict_body([task]), headers=basic()).get_json()
    task |= {"drafts": [], "annotations": [{"result": []}], "predictions": []}
    contexts: list[object] = [{"result": [], "draft": True}, {}, [], "a prompt"]
    for context in contexts:
        body = predict_body([task])
        body["params"]["context"] = context
        response = client.post("/predict", json=body, headers=basic())
        assert response.status_code == 200
        assert response.get_json() == plain
    assert len(plain["results"]) == 1
    assert plain["model_version"] == version[:12]


def test_a_request_that_finds_all_places_taken_is_told_at_once_to_retry(
    settings: Settings, database: Database, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "AT_ONCE", 2)
    app = create_app(settings, database)
    champion(database, settings, spec)
    body = predict_body(tasks(database, 1))

    def ask() -> Any:
        return app.test_client().post("/predict", json=body, headers=basic())

    def running() -> float:
        return series(app.test_client().get("/metrics", headers=basic()).text)["labelloop_predictions_running"]

    assert ask().status_code == 200
    [now] = app.extensions["labelloop.champions"].serving()
    may, say = threading.Event(), now.learner.predict

    def slowly(data: Any) -> Any:
        assert may.wait(60)
        return say(data)

    now.learner.predict = slowly
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        until(lambda: running() == 2)
        refused = ask()
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "2 requests for predictions are being answered" in refused.get_json()["error"]
        assert app.test_client().post("/setup", json=setup_body(), headers=basic()).status_code == 200
        may.set()
        assert [future.result(60).status_code for future in asked] == [200, 200]
    assert running() == 0
    said = series(app.test_client().get("/metrics", headers=basic()).text)
    assert said["labelloop_requests_total route=predict status=503"] == 1
    assert said["labelloop_requests_total route=predict status=200"] == 3


def test_a_swap_under_load_fails_no_request_and_mixes_no_answer(
    settings: Settings, database: Database, spec: LoopSpec, tmp_path: Path
) -> None:
    old, new = champion(database, settings, spec), champion(database, settings, spec)
    found = tasks(database, 12)
    expected = {}
    for version in (old, new):
        said = models.load(settings.models_dir, version).predict([task["data"] for task in found])
        expected[version[:12]] = list(zip(said.labels, said.confidences.tolist(), strict=True))
    assert expected[old[:12]] != expected[new[:12]]
    stop, seen = threading.Event(), Counter[str]()
    wrong: list[object] = []

    def load(url: str, n: int) -> None:
        body = predict_body(found[:n])
        with httpx.Client(base_url=url, headers=basic(), timeout=60) as web:
            while not stop.is_set():
                response = web.post("/predict", json=body)
                if response.status_code != 200:
                    wrong.append((response.status_code, response.text))
                    return
                answer = response.json()
                version = answer["model_version"]
                labels = [item["result"][0]["value"]["choices"][0] for item in answer["results"]]
                scores = [item["score"] for item in answer["results"]]
                if {item["model_version"] for item in answer["results"]} != {version}:
                    wrong.append((version, answer))
                if labels != [label for label, _ in expected[version][:n]]:
                    wrong.append((version, labels))
                if scores != pytest.approx([share for _, share in expected[version][:n]]):
                    wrong.append((version, scores))
                seen[version] += 1

    def served(version: str, before: int) -> bool:
        return bool(wrong) or seen[version] > before

    with gunicorn(settings, tmp_path / "backend.log") as url, ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load, url, n) for n in (1, 1, 3, 12)]
        try:
            for i in range(20):
                before = seen.copy()
                if i % 2:
                    promote(database, spec.name, new, "a test", "to swap", models_dir=settings.models_dir)
                else:
                    rollback(database, spec.name, "a test", "to swap", models_dir=settings.models_dir)
                now = (old, new)[i % 2][:12]
                until(partial(served, now, before[now]))
        finally:
            stop.set()
        for future in loads:
            future.result(60)
        assert not wrong, wrong[:3]
        response = httpx.post(f"{url}/predict", json=predict_body(found), headers=basic(), timeout=60)
        assert response.json()["model_version"] == new[:12]
    assert seen.keys() == {old[:12], new[:12]}
    assert "ERROR" not in (tmp_path / "backend.log").read_text()


def test_while_a_new_champion_is_read_the_old_one_answers(
    settings: Settings, database: Database, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champions, "CHECK_EVERY_S", 0.0)
    app = create_app(settings, database)
    may, load = threading.Event(), models.load

    def serves() -> str:
        response = app.test_client().post("/predict", json=predict_body(tasks(database, 2)), headers=basic())
        assert response.status_code == 200
        return str(response.get_json()["model_version"])

    def slowly(folder: Path | None, version_id: str) -> Any:
        assert may.wait(60)
        return load(folder, version_id)

    old = champion(database, settings, spec)
    assert serves() == old[:12]
    new = champion(database, settings, spec)
    with monkeypatch.context() as slow:
        slow.setattr(models, "load", slowly)
        assert [serves() for _ in range(5)] == [old[:12]] * 5
        may.set()
        until(lambda: serves() == new[:12])


SECRETS = {"the-owners-token", PASSWORD, "the-intake-token", "a-hook-secret", "a-label-studio-token", "a-pg-password"}


def test_no_secret_is_logged_measured_or_kept(
    settings: Settings, database: Database, spec: LoopSpec, tmp_path: Path
) -> None:
    version = champion(database, settings, spec)
    own = replace(
        settings,
        log="json",
        intake_token="the-intake-token",
        hook_secret="a-hook-secret",
        label_studio_token="a-label-studio-token",
        database_url=make_conninfo(settings.database_url, sslpassword="a-pg-password"),
    )
    log = tmp_path / "backend.log"
    with gunicorn(own, log) as url, httpx.Client(base_url=url, headers=basic(), timeout=60) as web:
        assert web.post("/setup", json=setup_body()).status_code == 200
        body = predict_body(tasks(database, 3))
        body["params"] |= {"login": "somebody", "password": "the-owners-token"}
        assert web.post("/predict", json=body).status_code == 200
        for path, sent in (("/setup", b'{"access_token": "the-owners-token"'), ("/predict", b'["the-owners-token"]')):
            assert web.post(path, content=sent, headers={"Content-Type": "application/json"}).status_code == 400
        gone = {**setup_body(), "project": "the-owners-token"}
        assert web.post("/setup", json=gone).status_code == 400
        assert web.post("/the-owners-token", json=setup_body()).status_code == 404
        page = web.get("/metrics").text
        assert httpx.get(f"{url}/metrics", timeout=60).status_code == 401
        assert web.get("/readyz").is_success
    with database.transaction() as conn:
        tables = conn.execute("select table_name as name from information_schema.tables where table_schema = 'public'")
        kept = [repr(conn.execute(f'select * from "{row["name"]}"').fetchall()) for row in tables.fetchall()]
    for where in (log.read_text(), page, *kept):
        for secret in SECRETS:
            assert secret not in where
    said = series(page)
    assert said[f"labelloop_champion loop=digits version={version[:12]}"] == 1
    assert said["labelloop_champion_changes_total loop=digits"] == 1
    assert said["labelloop_retrain_runs loop=digits status=refused"] == 1
    assert said["labelloop_prelabel_lag_seconds loop=digits"] > 0
    assert said["labelloop_requests_total route=none status=404"] == 1
    assert said["labelloop_request_seconds_count route=predict"] == 2
    assert said["labelloop_postgres_up"] == 1
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line.get("route") == "predict" and line["status"] == 200]
    facts = {"message": "request", "tasks": 3, "loop": "digits", "version": version[:12], "interactive": False}
    assert line.items() >= facts.items()


def test_metrics_come_without_postgres_too(settings: Settings, database: Database, spec: LoopSpec) -> None:
    with Database(settings.database_url.replace("127.0.0.1", "127.0.0.9"), wait_s=0.2) as away:
        page = create_app(settings, away).test_client().get("/metrics", headers=basic())
    assert page.status_code == 200
    assert series(page.text)["labelloop_postgres_up"] == 0

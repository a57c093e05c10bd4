"""The real Label Studio as the client of the backend service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from backend.service import create_app
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import runs
from tests.support.backend_factory import PASSWORD, scans, settings_for
from tests.support.ml_backend import champion, digits_in_review
from tests.support.servers import LabelStudio


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    return digits_in_review(database)


@pytest.fixture
def served(settings: Settings, database: Database, spec: LoopSpec) -> Iterator[str]:
    """The backend's address, for a Label Studio that runs beside us."""
    server = make_server("127.0.0.1", 0, create_app(settings, database), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_real_label_studio_connects_retrieves_predictions_and_starts_training(
    label_studio: LabelStudio, served: str, database: Database, settings: Settings, spec: LoopSpec
) -> None:
    version = champion(database, settings, spec)
    images, _ = scans()
    headers = {"Authorization": f"Token {label_studio.token}"}
    with httpx.Client(base_url=label_studio.url, headers=headers, timeout=60) as studio:
        made = studio.post("/api/projects/", json={"title": "ml protocol", "label_config": spec.labels_xml})
        project = made.raise_for_status().json()["id"]
        try:
            with database.transaction() as conn:
                conn.execute("update projects set project_id = %s", (project,))
            data = [{"image": image} for image in images[:3]]
            studio.post(f"/api/projects/{project}/import", json=data).raise_for_status()
            backend = {
                "url": served,
                "project": project,
                "title": "labelloop",
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": settings.backend_user,
                "basic_auth_pass": PASSWORD,
            }
            refused = studio.post("/api/ml/", json={**backend, "basic_auth_pass": "wrong"})
            assert refused.status_code == 400
            renamed = spec.labels_xml.replace('value="7"', 'value="seven"')
            studio.patch(f"/api/projects/{project}/", json={"label_config": renamed}).raise_for_status()
            refused = studio.post("/api/ml/", json=backend)
            assert refused.status_code == 400
            assert "'label' lacks '7', which the model predicts" in refused.text
            studio.patch(f"/api/projects/{project}/", json={"label_config": spec.labels_xml}).raise_for_status()
            connected = studio.post("/api/ml/", json={**backend, "is_interactive": True}).raise_for_status().json()
            assert connected["model_version"] == version[:12]
            every = {"selectedItems": {"all": True, "excluded": []}}
            action = {"id": "retrieve_tasks_predictions", "project": project}
            studio.post("/api/dm/actions", params=action, json=every).raise_for_status()
            predictions = studio.get("/api/predictions/", params={"project": project}).raise_for_status().json()
            assert len(predictions) == 3
            assert {p["model_version"] for p in predictions} == {version[:12]}
            assert all(p["result"][0]["from_name"] == "label" and 0 <= p["score"] <= 1 for p in predictions)
            asked = {"task": predictions[0]["task"], "context": {"result": []}}
            said = (
                studio.post(f"/api/ml/{connected['id']}/interactive-annotating", json=asked).raise_for_status().json()
            )
            assert said["data"]["result"][0]["from_name"] == "label"
            known = studio.get(f"/api/ml/{connected['id']}/versions").raise_for_status().json()
            assert known["versions"] == [version[:12], "pipeline"]
            # A form that does not fit costs people the prelabel and nothing else.
            studio.patch(f"/api/projects/{project}/", json={"label_config": renamed}).raise_for_status()
            studio.post("/api/dm/actions", params=action, json=every).raise_for_status()
            assert studio.get(f"/api/projects/{project}/next").raise_for_status().json()["id"]
            assert "lacks '7'" in studio.get(f"/api/ml/{connected['id']}").raise_for_status().json()["error_message"]
            studio.post(f"/api/ml/{connected['id']}/train").raise_for_status()
            with database.transaction() as conn:
                assert runs.latest(conn, spec.name)[0].why == "Start training in Label Studio"
        finally:
            # Not the project: while one is deleted Label Studio forgets, for all, what follows from an annotation.
            studio.delete(f"/api/projects/{project}/tasks/")

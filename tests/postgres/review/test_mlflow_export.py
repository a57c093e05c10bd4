"""Runs and versions in a real MLflow: each once, whatever breaks off in between, and never in the way."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2

from backend.decide.promote import rollback
from backend.report import mlflow_child
from backend.report.mlflow_export import NO_REGISTRY, RUN, VERSION, _unless_no_registry, export
from backend.worker import ASK_AGAIN_AFTER_S, ask_for_exports
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.mlflow import exports
from labelloop.store.tables import jobs, runs
from tests.support.backend_factory import answer, new_champion, settings_for, submit, texts_spec


@pytest.fixture
def settings(database_url: str, tmp_path: Path, tracking_uri: str) -> Settings:
    """With a tracking store of its own."""
    return replace(settings_for(database_url, tmp_path), mlflow_tracking_uri=tracking_uri)


def champion(database: Database, settings: Settings, n: int = 20) -> str:
    """A promoted version of texts, whose run has scores."""
    spec = texts_spec(holdout=0.0)
    labels = ["ham", "spam"] * (n // 2)
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"{label} {i}"} for i, label in enumerate(labels)], labels)
        answer(conn, spec.name, dict(zip(ids.values(), labels, strict=True)))
    assert settings.models_dir is not None
    version = new_champion(database, spec.name, settings.models_dir)
    scores = '{"holdout": 40, "challenger": {"accuracy": 0.9, "low": 0.8, "high": 0.95}, "p": 0.01, "gain": null}'
    with database.transaction() as conn:
        conn.execute("update retrain_runs set scores = %s where version_id = %s", (scores, version))
    return version


def write(database: Database, settings: Settings) -> int:
    return export(database, "texts", settings.mlflow_tracking_uri, settings.models_dir)


def written(settings: Settings) -> tuple[MlflowClient, list[Any]]:
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("labelloop-texts")
    return client, [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def pending(database: Database) -> bool:
    with database.transaction() as conn:
        return exports.any_pending(conn, "texts")


def test_a_run_is_there_with_its_figures_its_card_and_its_version(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    version = champion(database, settings)
    assert write(database, settings) == 1
    client, (run,) = written(settings)
    assert run.data.tags[VERSION] == version
    assert run.data.tags["labelloop.verdict"] == "refused", "the factory promotes past the gate"
    assert run.data.metrics == {
        "holdout": 40, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "p": 0.01,
    }  # fmt: skip
    assert (run.data.params["learner"], run.data.params["learner.field"]) == ("auto", "text")
    assert run.info.status == "FINISHED"
    assert {found.path for found in client.list_artifacts(run.info.run_id)} == {"card.html", "card.json", "model"}
    card = json.loads(Path(client.download_artifacts(run.info.run_id, "card.json", str(tmp_path))).read_text())
    assert card["model"]["version"] == version

    registered = client.get_model_version_by_alias("labelloop-texts", "champion")
    assert registered.tags == {VERSION: version}
    assert registered.source is not None
    (file,) = Path(registered.source).glob("*.skops")
    assert settings.models_dir is not None
    assert file.read_bytes() == (settings.models_dir / f"{version}.skops").read_bytes()
    assert not pending(database)


def test_a_second_try_goes_on_where_the_first_broke_off(database: Database, settings: Settings) -> None:
    champion(database, settings)
    write(database, settings)
    with database.transaction() as conn:  # as if it had died before it could write down that it was done
        conn.execute("update retrain_runs set exported = null")
        conn.execute("update promotions set exported = false")
    assert write(database, settings) == 1
    client, (run,) = written(settings)
    assert len(client.get_metric_history(run.info.run_id, "accuracy")) == 1
    assert len(client.search_model_versions("name = 'labelloop-texts'")) == 1


def test_the_aliases_follow_who_serves_and_the_verdict_follows_what_people_decide(
    database: Database, settings: Settings
) -> None:
    version = champion(database, settings)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'asking'")
    write(database, settings)
    client, (run,) = written(settings)
    assert run.data.tags["labelloop.verdict"] == "asking"
    assert client.get_model_version_by_alias("labelloop-texts", "challenger").tags == {VERSION: version}

    rollback(database, "texts", "a test", "to see", models_dir=settings.models_dir)
    assert pending(database), "the champion has changed"
    with database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'refused'")
    write(database, settings)
    client, both = written(settings)  # the version is judged again, since the champion changed
    assert [run.data.tags["labelloop.verdict"] for run in both] == ["refused", "refused"]
    assert client.get_registered_model("labelloop-texts").aliases == {}


def test_runs_that_made_nothing_or_the_same_again_are_there_too(database: Database, settings: Settings) -> None:
    version = champion(database, settings)
    for status, made in (("failed", None), ("stopped", None), ("refused", version)):
        with database.transaction() as conn:
            run_id = runs.request(conn, "texts", "a test")
            assert run_id is not None
            runs.claim(conn, "texts", version)
            runs.finish(conn, run_id, status, version_id=made, error="out of memory" if status == "failed" else None)
    assert write(database, settings) == 4
    client, found = written(settings)
    states = {run.data.tags["labelloop.verdict"]: run.info.status for run in found}
    assert states == {"refused": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
    assert len({run.data.tags[RUN] for run in found}) == 4
    assert len(client.search_model_versions("name = 'labelloop-texts'")) == 1
    assert sum(bool(client.list_artifacts(run.info.run_id, "model")) for run in found) == 1, "one copy of the file"


def test_a_run_that_cannot_be_written_keeps_no_other_out(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    """Here the store has no room for files, so only a run without a version can be there whole."""
    (tmp_path / "file").touch()
    client, _ = written(settings)
    client.create_experiment("labelloop-texts", artifact_location=f"file://{tmp_path}/file/below")
    version = champion(database, settings)
    with database.transaction() as conn:
        run_id = runs.request(conn, "texts", "a test")
        assert run_id is not None
        runs.claim(conn, "texts", version)
        runs.finish(conn, run_id, "stopped")
    with pytest.raises(OSError, match="Not a directory"):
        write(database, settings)
    assert [run.info.status for run in written(settings)[1]] == ["KILLED", "RUNNING"]
    assert pending(database)


@pytest.mark.parametrize("code", sorted(NO_REGISTRY))
def test_a_server_without_a_registry_keeps_the_runs(code: str) -> None:
    def refused() -> None:
        raise MlflowException("no models here", getattr(databricks_pb2, code))

    _unless_no_registry(refused)


def test_a_registry_that_fails_is_tried_again() -> None:
    def failed() -> None:
        raise MlflowException("away")

    with pytest.raises(MlflowException, match="away"):
        _unless_no_registry(failed)


def test_an_mlflow_that_is_away_loses_nothing_and_keeps_nobody(
    database: Database, settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process that the worker starts."""
    champion(database, settings)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = replace(settings, mlflow_tracking_uri="http://somebody:a-password@127.0.0.1:9")
    assert not mlflow_child.run("backend.report.mlflow_export", away, "texts", threading.Event())
    said = "".join(capfd.readouterr())
    assert "not written to MLflow, the next export tries again" in said
    assert "a-password" not in said
    assert pending(database)
    assert write(database, settings) == 1
    assert not pending(database)


def test_what_mlflow_lacks_is_asked_for_now_and_then_one_at_a_time(database: Database, settings: Settings) -> None:
    champion(database, settings)
    asked: dict[str, float] = {}
    for now in (0.0, ASK_AGAIN_AFTER_S - 1):
        ask_for_exports(database, asked, now)
        assert asked == {"texts": 0.0}
    with database.transaction() as conn:
        (job,) = conn.execute("select * from procrastinate_jobs where task_name = %s", (jobs.EXPORT,)).fetchall()
    assert job["lock"] == jobs.EXPORT, "over all loops: an MLflow that hangs keeps one place of the worker"


def test_a_worker_that_is_to_end_does_not_wait_for_mlflow(database: Database, settings: Settings) -> None:
    champion(database, settings)
    stop = threading.Event()
    stop.set()
    assert not mlflow_child.run("backend.report.mlflow_export", settings, "texts", stop)
    assert pending(database)

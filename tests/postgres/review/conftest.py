"""The review pages, with a judged loop."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from backend.report.runs import run_report
from backend.service import create_app
from labelloop.store.database import Database
from labelloop.store.tables import access
from tests.support.backend_factory import settings_for
from tests.support.judged_loop import JudgedLoop
from tests.support.review.browser import browser as browser
from tests.support.review.desk import Desk
from tests.support.review.review_house import SECRET, House


@pytest.fixture
def house(judged_loop_copy: JudgedLoop, tmp_path: Path) -> Iterator[House]:
    settings = settings_for(judged_loop_copy.url, tmp_path)
    settings = replace(settings, secret_key=SECRET, models_dir=judged_loop_copy.models_dir)
    with Database(judged_loop_copy.url) as database:
        with database.transaction() as conn:
            both = {
                "mira": access.add(conn, "mira", ["review", "promote"]),
                "otto": access.add(conn, "otto", ["review"]),
            }
        yield House(database, settings, both)


@pytest.fixture
def judged(judged_loop_copy: JudgedLoop) -> UUID:
    """A run that asks for a person's decision."""
    return judged_loop_copy.run


@pytest.fixture
def desk(browser: Browser, judged_loop_copy: JudgedLoop, tmp_path: Path) -> Iterator[Desk]:
    made = judged_loop_copy
    settings = settings_for(made.url, tmp_path)
    settings = replace(settings, secret_key="a-secret-of-tests", models_dir=made.models_dir)
    with Database(made.url) as database:
        with database.transaction() as conn:
            token = access.add(conn, "mira", ["review", "promote"])
            run = run_report(conn, made.run)
        server = make_server("127.0.0.1", 0, create_app(settings, database), threaded=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        desk = Desk(
            f"http://127.0.0.1:{server.port}",
            browser,
            database,
            token,
            str(made.run),
            run["champion"]["version"],
            run["challenger"]["version"],
        )
        yield desk
        server.shutdown()
        serving.join()
        server.server_close()
    assert desk.strays == []


@pytest.fixture(scope="package")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of MLflow's server, its registry too, in a file that nobody has used: making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(tmp_path_factory.mktemp("mlflow"))
        from mlflow import MlflowClient

        MlflowClient("sqlite:///mlflow.db").search_experiments()
        return Path("mlflow.db").absolute()


@pytest.fixture
def tracking_uri(tmp_path: Path, mlflow_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking store of the test's own."""
    monkeypatch.chdir(tmp_path)  # such a store keeps artifacts in the folder where it is used
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    shutil.copy(mlflow_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def shop(tracking_uri: str) -> Iterator[None]:
    """Make MLflow write to the experiment `shop` of that store."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("shop")
    yield
    mlflow.set_tracking_uri(before)

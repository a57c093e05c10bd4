"""`labelloop replay`: the same cut and seed in a fresh process make the same bytes, or it says what differs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

import labelloop
from backend import models
from backend.train.identity import code, differences, identity
from backend.train.train import train
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import runs
from labelloop.versions.items import TrainingItem
from tests.support.backend_factory import digits_loop, settings_for
from tests.support.rows import items_of_part


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def replay(settings: Settings, run: object) -> Result:
    return CliRunner().invoke(main, ["replay", str(run), "--json"], env=settings.to_env())


def finished(database: Database, settings: Settings, loop: str) -> tuple[UUID, dict[str, Any]]:
    """A run that made a version, without a process and a verdict of its own."""
    with database.transaction() as conn:
        run_id = runs.request(conn, loop, "a test", seed=7)
        assert run_id is not None
        assert runs.claim(conn, loop, None) is not None
    outcome = train(database, settings.models_dir, run_id)
    with database.transaction() as conn:
        scores = {"identity": outcome["identity"]}
        assert runs.finish(conn, run_id, "refused", version_id=outcome["version"], scores=scores)
    return run_id, outcome


@pytest.mark.timeout(400)
def test_a_run_is_replayed_to_the_same_bytes_until_what_it_was_taught_is_changed(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.train.search.MIN_ANSWERS", 100)
    spec = digits_loop(database, n=220, answered=220)
    run_id, outcome = finished(database, settings, spec.name)
    with database.transaction() as conn:
        run = runs.get(conn, run_id)
        conn.execute("update loops set spec = jsonb_set(spec, '{learner,params}', '{\"size\": 16}')")
    assert run is not None
    assert run.tried is not None
    assert run.tried["chosen"] == {
        name: models.load(settings.models_dir, outcome["version"]).params[name] for name in ("C", "gamma")
    }
    said = replay(settings, str(run_id)[:13])
    assert said.exit_code == 0, said.stderr
    assert json.loads(said.stdout) == {
        "run": str(run_id),
        "version": outcome["version"],
        "again": outcome["version"],
        "same": True,
        "differs": [],
    }

    with database.transaction() as conn:
        one, other = (item.output_id for item in items_of_part(conn, run_id, "train")[:2])
        conn.execute("update outputs set data = (select data from outputs where id = %s) where id = %s", (one, other))
    said = replay(settings, run_id)
    assert said.exit_code == 1
    assert said.stderr.startswith("labelloop: the replay made another version; what differs: what was taught (")
    assert json.loads(said.stdout)["same"] is False
    assert len(list((settings.models_dir or Path()).iterdir())) == 1, "what differs is not kept"


def test_what_cannot_be_replayed_is_asked_wrongly(database: Database, settings: Settings) -> None:
    spec = digits_loop(database, n=1, answered=0)
    with database.transaction() as conn:
        run_id = runs.request(conn, spec.name, "a test")
    said = replay(settings, run_id)
    assert (said.exit_code, "made no version (it is queued)" in said.stderr) == (2, True)
    said = replay(settings, "nope")
    assert (said.exit_code, "no run begins with 'nope'" in said.stderr) == (2, True)


def test_an_identity_says_what_differs() -> None:
    row = TrainingItem("a", "a", {"text": "ä", "n": 1}, 1, "ham", 1.0)
    then = identity([row], 0, 1)
    assert then == identity([replace(row, data={"n": 1, "text": "ä"})], 0, 1), "the order of the fields is none"
    assert differences(then, then) == []
    for item in (
        replace(row, answer_seq=2),
        replace(row, label="spam"),
        replace(row, weight=0.5),
        replace(row, data={"text": "a"}),
        replace(row, key="b"),
        replace(row, group_key="b"),
    ):
        (word,) = differences(then, identity([item], 0, 1))
        assert word.startswith("the training set ("), item
    other = {**then, "seed": 1, "packages": {**then["packages"], "numpy": "0.1"}, "code": "0"}
    assert [word.split(" (")[0] for word in differences(then, other)] == ["the code", "the seed", "numpy"]


def test_the_code_of_both_packages_counts_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image, where one is installed and the other is not."""
    there = tmp_path / "labelloop"
    shutil.copytree(Path(labelloop.__file__).parent, there, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(labelloop, "__file__", str(there / "__init__.py"))
    assert code.__wrapped__() == code()
    (there / "gate" / "paired.py").write_text("another = True")
    assert code.__wrapped__() != code()

"""Backup and restore on real servers: into an empty data folder, and with either of the two databases older."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from console.cli import main
from console.local.supervisor import ROOT
from labelloop.process.settings import Settings
from labelloop.spec.folder import load
from labelloop.store.database import Database
from sync.pull.restored import MARGIN, LabelStudioIsOlder
from sync.recreate import recreate
from tests.support.network.ports import free_base
from tests.support.servers import LabelStudio, a_database, label_studio_database
from tests.support.sync_loop import XML, SyncLoop, region, sync_loop, wait_until
from tests.support.workers.up import Up, cli, down

pytestmark = pytest.mark.timeout(600)
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  queue: {strategy: least_confidence, window: 10}
"""


def run(settings: Settings, *words: str) -> str:
    done = CliRunner().invoke(main, words, env=settings.to_env() | {"USER": "ada"})
    assert done.exit_code == 0, done.output
    return done.stdout


def answered(loop: SyncLoop) -> int:
    return loop.states()["answered"]


def answer(loop: SyncLoop, n: int) -> None:
    open_ = [task for task in loop.tasks() if not task["annotations"]]
    for task in open_[:n]:
        loop.annotate(task["id"], "cat")
    loop.pull()


@pytest.fixture
def pets(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[SyncLoop]:
    folder = tmp_path / "loops" / "pets"
    folder.mkdir(parents=True)
    (folder / "loop.yaml").write_text(YAML)
    (folder / "labels.xml").write_text(XML)
    with sync_loop(database, label_studio.url, label_studio.token, of=load(folder)) as loop:
        loop.settings = replace(
            loop.settings, loops_dir=tmp_path / "loops", models_dir=tmp_path / "models", data_dir=tmp_path / "nowhere"
        )
        yield loop


@pytest.fixture
def key(tmp_path: Path) -> str:
    (tmp_path / "key").write_text("a key of the user's own\n")
    return str(tmp_path / "key")


def test_a_backup_goes_on_in_an_empty_folder_and_neither_older_database_loses_or_doubles_anything(
    pets: SyncLoop, key: str, label_studio: LabelStudio, label_studio_postgres: str, postgres_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    pets.submit(30)
    pets.push()
    theirs = label_studio_database(label_studio_postgres, pets.project.instance)
    answer(pets, 5)
    run(pets.settings, "backup", str(folder), "--key-file", key, "--label-studio-database", theirs)
    at_backup = pets.states()
    assert at_backup == {"in_review": 5, "answered": 5, "waiting": 20}

    # Later than the backup, and later than two clocks may differ: new tasks, and answers to old and to new ones.
    time.sleep(MARGIN.total_seconds() + 1)
    pets.push()
    answer(pets, 8)
    pets.push()
    later = pets.states()
    assert later["answered"] == 13

    # Ours is older: Label Studio has tasks and answers that it does not know.
    with a_database(postgres_url, "labelloop_test_older") as url, Database(url) as older:
        run(pets.settings, "restore", str(folder), "--key-file", key, "--database", url)
        past = replace_database(pets, older)
        assert past.states() == at_backup
        past.push()
        assert past.states() == later
        assert set(past.tasks_an_output()) == {1}
        past.pull(full=True)
        assert past.states() == later
        assert answers(past) == answers(pets)

    # Both, on other ports, in a folder that has only what an `up` that failed at once left there.
    loops_dir = tmp_path / "restored" / "labeling_configs"
    up = Up(tmp_path / "restored", ["--port-base", str(free_base()), "--loops-dir", str(loops_dir)])
    up.data_dir.mkdir()
    for left in ("run.json", "ports.json"):
        (up.data_dir / left).write_text("{}")
    run(pets.settings, "restore", str(folder), "--key-file", key, "--data-dir", str(up.data_dir))
    up.start()
    try:
        up.ready()
        with psycopg.connect(up.settings.database_url) as conn:
            rows = conn.execute("select state::text, count(*) from outputs group by 1").fetchall()
        assert {state: n for state, n in rows if n} == dict(at_backup)
        wait_until(lambda: not doctor(up), 120, "a doctor who finds nothing")
        with up.as_administrator as web, psycopg.connect(up.settings.database_url) as conn:
            project = conn.execute("select project_id from projects where loop = 'pets'").fetchone()
            assert project is not None
            tasks = web.get("/api/tasks/", params={"project": project[0], "fields": "all", "page_size": 100}).json()
            open_ = [task["id"] for task in tasks["tasks"] if not task["annotations"]]
            assert open_
            body = {"result": region("dog"), "was_cancelled": False}
            web.post(f"/api/tasks/{open_[0]}/annotations/?project={project[0]}", json=body).raise_for_status()
            wait_until(lambda: count(conn, "answers") == 6, 60, "the sixth answer")

        # Label Studio is older: it lacks tasks and answers that the newer database of ours has.
        settings = replace(pets.settings, label_studio_url=up.settings.label_studio_url)
        before = answers(pets)
        with sync_loop(pets.database, settings.label_studio_url, up.settings.label_studio_token, of=pets.spec) as now:
            for full in (False, True):
                with pytest.raises(LabelStudioIsOlder, match="project recreate --loop pets"):
                    now.pull(full=full)
            with pytest.raises(LabelStudioIsOlder):
                now.push()
            assert (now.states(), answers(now)) == (later, before)
            now.sql("update projects set label_studio_url = %(u)s returning 1", u=now.gateway.url)
            recreate(now.database, now.gateway, now.spec, now.settings)
            assert answers(now) == before
            assert answered(now) == 13
            assert len(now.tasks()) == 10
    finally:
        assert down(up) == 0


def replace_database(loop: SyncLoop, database: Database) -> SyncLoop:
    return SyncLoop(database, loop.gateway, replace(loop.settings, database_url=database.url), loop.spec, loop.web)


def answers(loop: SyncLoop) -> list[Any]:
    return loop.sql(
        """
        select o.key, a.label from outputs o cross join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a where o.state = 'answered' order by o.key
        """
    )


def doctor(up: Up) -> list[dict[str, Any]]:
    done = subprocess.run(
        cli("doctor", "--json", "--data-dir", str(up.data_dir)), capture_output=True, text=True, check=False, cwd=ROOT
    )
    found = json.loads(done.stdout)["findings"]
    return [one for one in found if one["level"] in ("fault", "unseen")]


def count(conn: psycopg.Connection[Any], table: str) -> int:
    row = conn.execute(f"select count(*) from {table}").fetchone()
    conn.commit()
    assert row is not None
    return int(row[0])

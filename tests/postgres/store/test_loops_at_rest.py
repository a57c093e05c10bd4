"""Loops at rest: an archived one does nothing and keeps everything; a removed one leaves nothing but its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from backend.report.loops import loop_report, overview_report
from console.cli import main
from console.cli.record import loops as loop_commands
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.spec.folder import load
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs
from sync.service import create_app
from sync.worker import SyncJobs
from tests.support.judged_loop import JudgedLoop

LOOPS = Path(__file__).parents[3] / "labeling_configs"
Run = Callable[..., Result]
TOKEN = "an-intake-token"


@pytest.fixture
def run(judged_loop_copy: JudgedLoop) -> Run:
    """The command line on a loop with outputs, answers, runs and versions, and the shipped loop `tickets`."""
    env = {
        "LABELLOOP_DATABASE_URL": judged_loop_copy.url,
        "LABELLOOP_LOOPS_DIR": str(LOOPS),
        "LABELLOOP_MODELS_DIR": str(judged_loop_copy.models_dir),
        "USER": "ada",
    }

    def invoke(*words: str, **how: Any) -> Result:
        return CliRunner().invoke(main, list(words), env=env, **how)

    assert invoke("migrate").exit_code == 0
    return invoke


@pytest.fixture
def db(judged_loop_copy: JudgedLoop) -> Any:
    with Database(judged_loop_copy.url) as database:
        yield database


def rows(db: Database) -> dict[str, int]:
    with db.transaction() as conn:
        return removal.counts(conn, "digits")


def names(result: Result) -> list[str]:
    return [row["loop"] for row in json.loads(result.stdout)]


def test_an_archived_loop_takes_nothing_in_and_does_nothing_and_keeps_everything(run: Run, db: Database) -> None:
    with db.transaction() as conn:
        runs.request(conn, "digits", "a run that waits")
    before = rows(db)
    done = run("loop", "archive", "digits")
    assert (done.exit_code, "1 run of this loop will stop" in done.stderr) == (0, True)

    http = create_app(Settings(database_url=db.url, intake_token=TOKEN), db).test_client()
    sent = http.post(
        "/v1/loops/digits/outputs", json={"key": "k", "data": {}}, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert sent.status_code == 410
    assert "takes no outputs: it was archived on" in sent.text
    assert "by ada" in sent.text
    with db.transaction() as conn:
        assert loops.names(conn) == ["tickets"]
        assert runs.request(conn, "digits", "training was asked for in Label Studio") is None
        assert [r.status for r in runs.open_runs(conn, "digits")] == []
        assert [loop["loop"] for loop in overview_report(conn)["loops"]] == ["tickets"]
        report = loop_report(conn, "digits")
    assert "archived on" in report["resting"]
    assert report["needs_you"] == []
    assert names(run("status", "--json")) == ["tickets"]
    assert names(run("status", "--json", "--archived")) == ["digits", "tickets"]
    assert names(run("loops", "--json", "--archived")) == ["digits", "tickets"]
    assert run("versions", "--loop", "digits").exit_code == 0
    refused = run("retrain", "--loop", "digits")
    assert (refused.exit_code, "`labelloop loop restore digits` restores it" in refused.stderr) == (2, True)
    after = rows(db)
    assert {t: after[t] for t in before if t not in ("decisions", "procrastinate_jobs")} == {
        t: before[t] for t in before if t not in ("decisions", "procrastinate_jobs")
    }


def test_no_job_of_an_archived_loop_reaches_label_studio(run: Run, db: Database) -> None:
    assert run("loop", "archive", "digits").exit_code == 0
    with db.transaction() as conn:
        conn.execute("delete from procrastinate_jobs")
    asked: list[str] = []

    class Nobody:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise AssertionError(name)

    room = SyncJobs(Settings(database_url=db.url), db, Nobody())  # type: ignore[arg-type]
    room.push("digits")
    room.pull("digits")
    room.ask_for_all()
    with db.transaction() as conn:
        waiting = conn.execute("select distinct args ->> 'loop' as loop from procrastinate_jobs where status = 'todo'")
        assert {row["loop"] for row in waiting} == {"tickets"}
    assert asked == []


def test_a_restored_loop_is_as_it_was_and_its_folder_does_not_restore_it(run: Run, db: Database) -> None:
    run("loop", "archive", "digits")
    again = run("migrate", "--json")
    assert json.loads(again.stdout)["loops"] == ["tickets"]
    assert "'digits' was archived on" in again.stderr
    assert "by ada and stays so; `labelloop loop restore digits` restores it" in again.stderr
    assert names(run("status", "--json")) == ["tickets"]
    assert run("loop", "restore", "digits").exit_code == 0
    assert names(run("status", "--json")) == ["digits", "tickets"]
    with db.transaction() as conn:
        assert jobs.ask(conn, jobs.RETRAIN, "digits")
        assert runs.request(conn, "digits", "there is work again") is not None


def test_every_table_that_can_hold_rows_of_a_loop_is_known_to_the_removal(run: Run, db: Database) -> None:
    """By the keys that tie tables together: a new table must be named in `removal.ROWS` too."""
    with db.transaction() as conn:
        keys = [
            (row["child"], row["parent"])
            for row in conn.execute(
                """
                select conrelid::regclass::text as child, confrelid::regclass::text as parent
                from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace
                """
            )
            if not row["child"].startswith("procrastinate")
        ]
    found, before = {"loops"}, 0
    while len(found) > before:
        before = len(found)
        found |= {child for child, parent in keys if parent in found}
    assert found - {"loops"} <= set(removal.ROWS)


def test_a_removed_loop_leaves_its_name_alone_and_no_other_loop_a_row_less(
    run: Run, db: Database, judged_loop_copy: JudgedLoop
) -> None:
    # The files are shared by all tests of the session: those of another folder are removed here.
    models = judged_loop_copy.models_dir.parent / f"{judged_loop_copy.url.rpartition('/')[2]}"
    models.mkdir()
    with db.transaction() as conn:
        versions = removal.versions(conn, "digits")
        conn.execute("insert into version_descriptions (version_id, name, by) values (%s, 'one', 'ada')", versions[:1])
        conn.execute(
            """
            insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability,
                                 holdout, state)
            values ('tickets', 'k', '', 'g', '{}', 'm', 'rule', 1, false, 'waiting')
            """
        )
    for version in [*versions, "other"]:
        (models / f"{version}.skops").touch()
    env = {"LABELLOOP_MODELS_DIR": str(models)}
    before = rows(db)
    assert set(before) >= {"outputs", "answers", "model_versions", "run_items", "retrain_runs", "promotions"}

    assert "archive it first with" in run("loop", "remove", "digits", "--yes", "digits").stderr
    run("loop", "archive", "digits")
    unsure = run("loop", "remove", "digits")
    assert unsure.exit_code == 2
    assert f"{before['outputs']:,}  outputs\n" in unsure.stderr
    assert f"{sum(before.values()):,}  rows in total" in unsure.stderr
    assert "nothing is removed: confirm with --yes digits" in unsure.stderr
    assert "'digit' is not 'digits'" in run("loop", "remove", "digits", "--yes", "digit").stderr
    assert rows(db)["outputs"] == before["outputs"]

    done = CliRunner().invoke(
        main,
        ["loop", "remove", "digits", "--yes", "digits"],
        env=env | {"LABELLOOP_DATABASE_URL": db.url},
    )
    assert done.exit_code == 0, done.output
    assert f"and {len(versions)} model files are deleted" in done.stderr
    assert [file.name for file in models.iterdir()] == ["other.skops"]
    assert rows(db) == {}
    with db.transaction() as conn:
        assert conn.execute("select count(*) as n from outputs where loop = 'tickets'").fetchone() == {"n": 1}
        with pytest.raises(UsageError, match="no loop"):
            loop_report(conn, "digits")

    again = run("migrate", "--json")
    assert "'digits' was removed on" in again.stderr
    assert names(run("status", "--json", "--archived")) == ["tickets"]
    assert "was already removed on" in run("loop", "archive", "digits").stderr
    assert run("loop", "restore", "digits").exit_code == 0
    assert [(row["loop"], row["answered"]) for row in json.loads(run("status", "--json").stdout)] == [
        ("digits", 0),
        ("tickets", 0),
    ]


def test_a_version_is_deleted_with_its_whole_loop_and_not_otherwise(run: Run, db: Database) -> None:
    for removing in ("", "digits"):  # also not by a transaction that only says so: the loop is at work
        with db.transaction() as conn:
            conn.execute("select set_config('labelloop.removes_loop', %s, true)", [removing])
            with pytest.raises(psycopg.errors.CheckViolation, match="cannot be changed"), conn.transaction():
                conn.execute("delete from model_versions where loop = 'digits'")


@pytest.mark.owner
def test_a_loop_that_was_removed_gets_a_project_of_its_own_when_it_begins_anew(database: Database) -> None:
    spec = load(LOOPS / "tickets")
    with database.transaction() as conn:
        loops.register(conn, spec)
        assert loops.archive(conn, spec.name, "ada")
        assert not loops.archive(conn, spec.name, "bob")
        removal.remove(conn, spec.name)
        loops.register(conn, spec)
        assert loops.get(conn, spec.name) is None
        assert loops.restore(conn, spec.name)
        assert loops.get(conn, spec.name) == loops.at_work(conn, spec.name) == spec


def test_a_loop_that_is_restored_while_its_name_is_asked_for_keeps_its_rows_and_its_model_files(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, file = load(LOOPS / "tickets"), tmp_path / "model.skops"
    file.touch()
    with database.transaction() as conn:
        loops.register(conn, spec)
        loops.archive(conn, spec.name, "ada")

    def meanwhile(*_: object) -> None:
        with database.transaction() as conn:
            assert loops.restore(conn, spec.name)

    monkeypatch.setattr(loop_commands, "_confirm", meanwhile)
    monkeypatch.setattr(loop_commands, "_files", lambda *_: [file])
    env = {"LABELLOOP_DATABASE_URL": database.url, "USER": "bob"}
    done = CliRunner().invoke(main, ["loop", "remove", spec.name], env=env)
    assert (done.exit_code, "nothing is removed" in done.stderr) == (2, True)
    assert file.exists()
    with database.transaction() as conn:
        assert loops.at_work(conn, spec.name) == spec

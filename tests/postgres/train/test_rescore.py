"""Waiting outputs are scored again: the most useful first, killed at any point, and overtaken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner, Result

from backend.score.prelabel import prelabel
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import doubts, jobs
from labelloop.versions.version import VersionPair
from tests.support.backend_factory import (
    answer,
    put_into_label_studio,
    settings_for,
)
from tests.support.hops.rescoring import Rows, as_before, fitted, target, text_loop, texts, version, waiting
from tests.support.sync_loop import wait_until

CHUNK = 32


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.score.prelabel.CHUNK", CHUNK)


def asked(database: Database, job: str) -> int:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from procrastinate_jobs where task_name = %s", (job,)).fetchone()
    assert row is not None
    return int(row["n"])


@contextmanager
def held(database: Database, key: str) -> Iterator[None]:
    """Nobody else can write this row of the pool: who wants to waits at its chunk."""
    with psycopg.connect(database.url) as conn:
        conn.execute("select from pool where key = %s for update", (key,))
        yield


def is_held_up(database: Database) -> bool:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from pg_stat_activity where datname = current_database()"
                           " and wait_event_type = 'Lock'").fetchone()  # fmt: skip
    assert row is not None
    return bool(row["n"])


def in_the_middle(rows: Rows, lane: str = "rule") -> str:
    ranked = sorted((row for row in rows.values() if row["lane"] == lane and row["place"] == "pool"),
                    key=lambda row: (-row["utility"], row["key"]))  # fmt: skip
    return str(ranked[len(ranked) // 2]["key"])


def test_it_can_be_killed_at_any_point_and_the_most_useful_outputs_are_done_first(
    database: Database, settings: Settings
) -> None:
    """A real process, stopped in the middle by a row that another holds, and killed there."""
    spec = text_loop(database, settings, 500)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 20)
    before, now = waiting(database), target(database, spec.name)
    program = (
        "import sys; from pathlib import Path; from backend.score import prelabel as p;"
        " from labelloop.store.database import Database;"
        f" p.CHUNK = {CHUNK}; p.prelabel(Database(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))"
    )
    words = [sys.executable, "-c", program, settings.database_url, spec.name, str(settings.models_dir)]
    with held(database, in_the_middle(before)):
        child = subprocess.Popen(words)
        try:
            wait_until(lambda: is_held_up(database) or child.poll() is not None, 120, "the middle")
        finally:
            child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    found = waiting(database)
    done = {key for key, row in found.items() if row["pair"] == now}
    assert {key for key, row in found.items() if row["place"] == "tasks"} < done, "the open tasks first"
    for lane in ("rule", "audit", "holdout"):
        ranked = sorted((row for row in before.values() if row["lane"] == lane and row["place"] == "pool"),
                        key=lambda row: (-row["utility"], row["key"]))  # fmt: skip
        new = [row["key"] in done for row in ranked]
        assert new == sorted(new, reverse=True), "then the best"
        assert any(new) or not new, "of every lane"
        assert not all(new) or len(new) <= CHUNK or lane != "rule"
    assert asked(database, jobs.PUSH) == 1, "people get the best before the rest is done"

    prelabel(database, spec.name, settings.models_dir)

    once = waiting(database)
    as_before(database, before)
    assert prelabel(database, spec.name, settings.models_dir) == 500
    assert waiting(database) == once
    assert {row["pair"] for row in once.values()} == {now}
    assert prelabel(database, spec.name, settings.models_dir) == 0
    assert {str(row["why"])[:10] for row in once.values() if row["lane"] == "rule"} == {"The model "}
    others = [(key, row) for key, row in once.items() if row["lane"] != "rule"]
    assert others
    assert all((row["why"], row["utility"]) == (None, before[key]["utility"]) for key, row in others), "by chance alone"


def test_it_ends_when_it_is_overtaken(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 300)
    before = waiting(database)
    was = target(database, spec.name)
    data, truths = texts(60)
    learner = fitted("text", data, truths, field="text")
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(prelabel(database, spec.name, settings.models_dir)))
    with held(database, in_the_middle(before)):
        thread.start()
        wait_until(lambda: is_held_up(database), 60, "the middle")
        version(database, settings, spec.name, learner, champion=False)
    thread.join()
    assert CHUNK < ended[0] < 300
    assert {row["pair"] for row in waiting(database).values()} == {was, VersionPair.of(None, None)}


def test_what_comes_in_meanwhile_is_scored_too(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 300)
    before = waiting(database)
    thread = threading.Thread(target=prelabel, args=(database, spec.name, settings.models_dir))
    with held(database, in_the_middle(before)):
        thread.start()
        wait_until(lambda: is_held_up(database), 60, "the middle")
        with database.transaction() as conn:
            conn.execute(
                "with new as (insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane,"
                " inclusion_probability, holdout, state) select loop, 'new-' || i, '', 'g', data, 'm', 'rule', 1,"
                " false, 'waiting' from outputs, generate_series(1, 50) i where key = 'item-0' returning *)"
                " insert into pool (output_id, loop, lane, utility, key, champion, ranker)"
                " select id, loop, lane, 1, key, 'pipeline', 'pipeline' from new"
            )
    thread.join()
    found = waiting(database)
    assert len(found) == 350
    assert {row["pair"] for row in found.values()} == {target(database, spec.name)}


def test_by_hand_it_says_how_many_outputs_it_scored(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 60)
    env = settings.to_env()

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["rescore", "--loop", spec.name, *words], env=env)

    said = json.loads(run("--json").stdout)
    assert (said["loop"], said["outputs"]) == ("texts", 60)
    assert json.loads(run("--json").stdout)["outputs"] == 0
    assert {row["pair"] for row in waiting(database).values()} == {target(database, spec.name)}
    wrong = run("--on", "dask")
    assert (wrong.exit_code, "tcp://host:8786" in wrong.stderr) == (2, True)


def test_where_probabilities_are_not_what_the_strategy_reads_the_pipelines_utility_stays(
    database: Database, settings: Settings
) -> None:
    spec = text_loop(database, settings, 60, strategy="vote_entropy")
    before = waiting(database)
    assert prelabel(database, spec.name, settings.models_dir) == 60
    after = waiting(database)
    assert {key: row["utility"] for key, row in after.items()} == {key: row["utility"] for key, row in before.items()}
    assert {row["pair"] for row in after.values()} == {target(database, spec.name)}
    assert [row["label"] for row in after.values()] != [row["label"] for row in before.values()]
    assert {row["why"] for row in after.values()} == {None}


def test_a_random_order_is_another_with_each_version_and_the_same_with_each_try(
    database: Database, settings: Settings
) -> None:
    spec = text_loop(database, settings, 60, strategy="random")
    before = waiting(database)
    prelabel(database, spec.name, settings.models_dir)
    first = waiting(database)
    as_before(database, before)
    prelabel(database, spec.name, settings.models_dir)
    assert waiting(database) == first
    data, truths = texts(30)
    version(database, settings, spec.name, fitted("text", data, truths, field="text"), champion=False)
    prelabel(database, spec.name, settings.models_dir)
    assert {key: row["utility"] for key, row in waiting(database).items() if row["lane"] == "rule"} != {
        key: row["utility"] for key, row in first.items() if row["lane"] == "rule"
    }


def test_few_large_answers_are_read_at_a_time(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 20, second=0.1)
    with database.transaction() as conn:
        ids = [row["id"] for row in conn.execute("select id from outputs where lane = 'rule' order by id limit 10")]
        conn.execute("alter table outputs alter column data set storage external")  # kept as large as it is
        conn.execute(
            "update outputs set data = jsonb_build_object('text', repeat('x', 4000000)) where id = any(%s)", (ids,)
        )
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s where id = any(%s)", (state, ids))
        seen, after = list[UUID](), None
        while rows := doubts.unseen(conn, spec.name, VersionPair("v", "v"), 100, after):
            assert len(rows) <= 9, "32 MiB, of 4 MB each"
            after = rows[-1].output_id
            seen += [row.output_id for row in rows]
        assert seen == ids

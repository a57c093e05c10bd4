"""What waits is scored anew: the most useful first, killed at any point, overtaken, and alike on every engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psutil
import psycopg
import pytest
from click.testing import CliRunner, Result

from backend import models
from backend.decide.promote import promote
from backend.learners import Learner, make
from backend.score.engines import engine, named
from backend.score.prelabel import prelabel
from console.cli import main
from labelloop.errors import LabelloopError, SettingsError, Unreachable, UsageError
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import doubts, jobs, runs, versions
from labelloop.versions.version import VersionPair
from tests.support.backend_factory import (
    answer,
    digits_spec,
    put_into_label_studio,
    scans,
    settings_for,
    submit,
    texts_spec,
)
from tests.support.sync_loop import wait_until

LABELS = ("ham", "spam", "eggs")
CHUNK = 32
WORDS = "order parcel invoice late broken lost wrong paid twice never arrived please help refund again today".split()
Rows = dict[str, dict[str, Any]]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.score.prelabel.CHUNK", CHUNK)


def texts(n: int) -> tuple[list[dict[str, Any]], list[str]]:
    rng = np.random.default_rng(0)
    data = [{"text": " ".join(rng.choice(WORDS, 12))} for _ in range(n)]
    return data, [LABELS[len(item["text"]) % 3] for item in data]


def version(database: Database, settings: Settings, loop: str, learner: Learner, *, champion: bool) -> str:
    """Register a fitted learner as the newest version, and promote it if it is to be champion."""
    stored = models.store(settings.models_dir, loop, learner)
    with database.transaction() as conn:
        runs.request(conn, loop, "a test")
        run = runs.claim(conn, loop, None)
        assert run is not None
        versions.insert(conn, loop, stored.id, learner=learner.name, classes=learner.classes,
                        size_bytes=stored.size_bytes, trained_on=10)  # fmt: skip
        runs.finish(conn, run.id, "refused", version_id=stored.id)
    if champion:
        promote(database, loop, stored.id, "a test", "to begin with", models_dir=settings.models_dir)
    return stored.id


def fitted(name: str, data: list[dict[str, Any]], truths: list[str], **params: Any) -> Learner:
    return make(name, params).fit(data, truths, np.random.default_rng(0))


def text_loop(database: Database, settings: Settings, n: int, **queue: Any) -> LoopSpec:
    """Texts that wait, of which the last `n // 2` teach the champion and the first the ranker."""
    spec = texts_spec(LABELS)
    spec = spec.model_copy(update={"queue": spec.queue.model_copy(update=queue)})
    data, truths = texts(n)
    with database.transaction() as conn:
        submit(conn, spec, data, truths)
    for part, champion in ((slice(n // 2, n), True), (slice(0, n // 2), False)):
        learner = fitted("text", data[part], truths[part], field="text", characters=False)
        version(database, settings, spec.name, learner, champion=champion)
    return spec


def waiting(database: Database) -> Rows:
    with database.transaction() as conn:
        return {
            row["key"]: {"pair": VersionPair(row.pop("champion"), row.pop("ranker")), **row}
            for row in conn.execute(
                "select o.key, o.lane::text, w.* from ("
                " select output_id, label, confidence, utility, champion, ranker, why, margin, 'pool' as place"
                " from pool"
                " union all"
                " select output_id, label, confidence, utility, champion, ranker, why, margin, 'tasks' from tasks) w"
                " join outputs o on o.id = w.output_id"
            )
        }


def target(database: Database, loop: str) -> VersionPair:
    with database.transaction() as conn:
        champion = versions.champion(conn, loop)
        return VersionPair.of(champion.id if champion else None, versions.ranker(conn, loop))


def as_before(database: Database, rows: Rows) -> None:
    """What waits has again what it had."""
    with database.transaction() as conn:
        for key, row in rows.items():
            conn.execute(
                f"update {row['place']} w set label = %(label)s, confidence = %(confidence)s, utility = %(utility)s,"
                " champion = %(champion)s, ranker = %(ranker)s, why = %(why)s, margin = %(margin)s from outputs o"
                " where o.id = w.output_id and o.key = %(of)s",
                row | {"of": key, "champion": row["pair"].champion, "ranker": row["pair"].ranker},
            )


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


def test_it_can_be_killed_at_any_point_and_what_was_done_was_the_most_useful(
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
    assert {str(row["why"])[:20] for row in once.values() if row["lane"] == "rule"} == {"The model's two like"}
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


def test_a_result_is_the_same_to_the_bit_on_every_engine(database: Database, settings: Settings) -> None:
    """Pictures: their learner multiplies matrices, where the order of a sum would show."""
    from distributed import LocalCluster

    spec = digits_spec()
    images, truths = scans()
    data = [{"image": image} for image in [*images[:159], "no picture"]]
    with database.transaction() as conn:
        submit(conn, spec, data, truths[:160])
    for n, champion in ((60, True), (120, False)):
        learner = fitted("images", data[:n], truths[:n], field="image")
        version(database, settings, spec.name, learner, champion=champion)
    before = waiting(database)

    assert prelabel(database, spec.name, settings.models_dir) == 160
    local = waiting(database)
    assert local["item-159"] == before["item-159"] | {"pair": target(database, spec.name)}, "it cannot be read"
    champion_says = fitted("images", data[:60], truths[:60], field="image").predict(data[:-1]).proba
    assert champion_says is not None
    second, first = np.sort(champion_says, axis=1)[:, -2:].T
    assert [local[f"item-{i}"]["margin"] for i in range(159)] == pytest.approx((first - second).tolist(), abs=1e-6)

    as_before(database, before)
    assert prelabel(database, spec.name, settings.models_dir, on="loky", workers=2) == 160
    assert waiting(database) == local

    as_before(database, before)
    two = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")  # type: ignore[no-untyped-call]
    with two as cluster:
        address = cluster.scheduler_address
        assert prelabel(database, spec.name, settings.models_dir, on="dask", cluster=address) == 160
    assert waiting(database) == local


def test_a_process_of_loky_shows_no_secret_and_ends_with_its_parent() -> None:
    program = (
        "import os, time; from backend.score.engines import engine\n"
        "with engine('loky', workers=2) as found:\n"
        "    for what, pid in found.map(os.getpid, ((i, ()) for i in range(8))): print(pid, flush=True)\n"
        "    time.sleep(600)"
    )
    env = {**os.environ, "LABELLOOP_DATABASE_URL": "postgresql://u:s3cret@h/d"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env, text=True) as parent:
        assert parent.stdout is not None
        pids = {int(next(parent.stdout)) for _ in range(8)}
        children = [psutil.Process(pid) for pid in pids]
        family = [*children, *psutil.Process(parent.pid).children(recursive=True)]
        assert not any("s3cret" in word for process in family for word in process.cmdline())
        assert parent.pid not in pids
        parent.kill()
    wait_until(lambda: not any(child.is_running() for child in family), 60, "the end of the children")


def test_an_engine_that_cannot_be_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[tuple[tuple[str, str], type[LabelloopError], str]] = [
        (("ray", ""), UsageError, "no engine 'ray'; there are: local, loky, dask"),
        (("dask", ""), UsageError, "dask needs the address of a cluster's scheduler"),
        (("loky", "tcp://127.0.0.1:1"), UsageError, "other engines take none"),
        (("dask", "tcp://127.0.0.1:1"), Unreachable, "no dask scheduler answers at tcp://127.0.0.1:1"),
    ]
    monkeypatch.setattr("backend.score.engines.CONNECT_S", 0.5)
    for words, kind, said in refused:
        with pytest.raises(kind, match=said), engine(*words):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"pip install 'labelloop\[cluster\]'"), engine("dask", "tcp://h:1"):
        pass
    assert [named(word) for word in ("", "local", "loky", "tcp://h:1")] == [
        ("local", ""), ("local", ""), ("loky", ""), ("dask", "tcp://h:1")]  # fmt: skip
    with engine() as found, closing(found.map(replace, ((i, (None,)) for i in range(0)))) as results:
        assert list(results) == []


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


def said(conn: Conn) -> dict[str, dict[str, Any]]:
    rows = conn.execute(
        "select o.key, d.doubt, d.champion, d.ranker from doubts d join outputs o on o.id = d.output_id"
    )
    return {row["key"]: {**row, "pair": VersionPair(row["champion"], row["ranker"])} for row in rows}


def test_what_one_person_answered_is_doubted_and_nothing_else(database: Database, settings: Settings) -> None:
    """Not hold-out: who is judged must not choose which of the judge's answers are looked at again."""
    spec = text_loop(database, settings, 60, second=0.1)
    _, truths = texts(60)
    with database.transaction() as conn:
        ids = {row["key"]: row["id"] for row in conn.execute("select id, key from outputs where lane = 'rule'")}
        held_out = [row["id"] for row in conn.execute("select id from outputs where holdout")]
        keys = sorted(ids, key=lambda key: int(key.removeprefix("item-")))[:8]
        answers: dict[UUID, str | None] = {ids[key]: truths[int(key.removeprefix("item-"))] for key in keys}
        wrong, new, tie, twice = keys[0], keys[1], keys[2], keys[3]
        truth = truths[int(wrong.removeprefix("item-"))]
        answers |= {ids[wrong]: next(label for label in LABELS if label != truth), ids[new]: "bacon", ids[tie]: None}
        answer(conn, spec.name, answers | dict.fromkeys(held_out, "ham"))
        conn.execute("update answers set reviewers = 2 where output_id = %s", (ids[twice],))
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s where id = any(%s)", (state, [*answers, *held_out]))
        conn.execute("delete from pool where output_id = any(%s)", ([*answers, *held_out],))
    off = spec.model_copy(update={"queue": spec.queue.model_copy(update={"second": 0.0})})
    with database.transaction() as conn:
        from labelloop.store.tables import loops

        loops.register(conn, off)
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert said(conn) == {}, "nobody asked for second opinions"
        loops.register(conn, spec)

    prelabel(database, spec.name, settings.models_dir)

    with database.transaction() as conn:
        found = said(conn)
        assert set(found) == {wrong, *keys[4:]}, "not where no version can tell, nor where two have answered"
        assert max(found, key=lambda key: found[key]["doubt"]) == wrong
        assert {row["pair"] for row in found.values()} == {target(database, spec.name)}
        answer(conn, spec.name, {ids[wrong]: "bacon"})
        conn.execute("update doubts set ranker = 'older'")
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert set(said(conn)) == set(keys[4:]), "what it cannot doubt any more is forgotten"


def test_a_doubt_of_an_answer_that_was_changed_meanwhile_is_not_kept(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 20, second=0.1)
    with database.transaction() as conn:
        ids = [row["id"] for row in conn.execute("select id from outputs where lane = 'rule' order by id")][:2]
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s where id = any(%s)", (state, ids))
        rows = doubts.unseen(conn, spec.name, VersionPair("v", "v"), 10)
        assert [row.output_id for row in rows] == ids
        answer(conn, spec.name, {ids[0]: "spam"})
        doubts.write(
            conn,
            spec.name,
            VersionPair("v", "v"),
            dict.fromkeys(ids, 0.9),
            {row.output_id: row.seq for row in rows},
        )
        assert [row["output_id"] for row in conn.execute("select output_id from doubts")] == ids[1:]


def test_of_large_answers_few_are_read_at_a_time(database: Database, settings: Settings) -> None:
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

"""Runs that nobody asks for by hand, on the real Postgres: each says why, and none comes without something new."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from backend.train.due import ask_for_due
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Conn, Database
from labelloop.store.tables import jobs, loops, runs, versions
from tests.support.backend_factory import answer, submit, texts_spec

NOW = datetime.now(UTC)


def spec_with(**retrain: object) -> LoopSpec:
    return texts_spec(("ham", "spam", "new"), holdout=0.0, retrain=Retrain(**{"drift": False, **retrain}))  # type: ignore[arg-type]


def outputs(conn: Conn, spec: LoopSpec, n: int = 30) -> list[UUID]:
    labels = ["ham", "spam"] * n
    return list(submit(conn, spec, [{"text": f"text {i}"} for i in range(n)], labels[:n]).values())


def judged_run(conn: Conn, loop: str, version: str | None = None, scores: Mapping[str, object] | None = None) -> None:
    """A finished run that saw all answers of this moment."""
    runs.request(conn, loop, "a test")
    run = runs.claim(conn, loop, None)
    assert run is not None
    if version is not None:
        classes = ["ham", "spam"]
        versions.insert(conn, loop, version, learner="text", classes=classes, size_bytes=1, trained_on=2)
    assert runs.finish(conn, run.id, "refused", version_id=version, scores=scores)


def due(database: Database, now: datetime = NOW, *, drift: bool = True) -> list[str]:
    """Return the reasons of the runs that a check queues."""
    ask_for_due(database, now, drift=drift)
    with database.transaction() as conn:
        return [run.why for loop in loops.names(conn) for run in runs.open_runs(conn, loop)]


def test_a_run_every_so_often_if_there_is_something_new(database: Database) -> None:
    spec = spec_with(every="6h")
    with database.transaction() as conn:
        ids = outputs(conn, spec)
        answer(conn, spec.name, {ids[0]: "ham", ids[1]: "spam"})
        judged_run(conn, spec.name)
    later = datetime.now(UTC) + timedelta(hours=6)
    assert due(database, later) == [], "nothing is new"
    with database.transaction() as conn:
        answer(conn, spec.name, {ids[2]: "ham"})
    assert due(database, later - timedelta(minutes=1)) == []
    assert due(database, later) == ["6h since the last run, 1 new answers"]
    assert due(database, later) == ["6h since the last run, 1 new answers"], "asked for once"
    with database.transaction() as conn:
        assert conn.execute("select count(*) as n from procrastinate_jobs").fetchone() == {"n": 1}


def test_the_first_run_is_due_so_long_after_the_first_answer(database: Database) -> None:
    spec = spec_with(every="30m")
    with database.transaction() as conn:
        ids = outputs(conn, spec)
    assert due(database, NOW + timedelta(days=1)) == []
    with database.transaction() as conn:
        answer(conn, spec.name, {ids[0]: "ham"})
    assert due(database, NOW + timedelta(minutes=5)) == []
    assert due(database, datetime.now(UTC) + timedelta(minutes=30)) == ["30m since the last run, 1 new answers"]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_label_that_the_newest_version_was_not_taught(database: Database, wanted: bool) -> None:
    spec = spec_with(on_new_label=wanted)
    with database.transaction() as conn:
        ids = outputs(conn, spec)
        answer(conn, spec.name, {ids[0]: "ham", ids[1]: "spam"})
        judged_run(conn, spec.name, "a" * 64)
        answer(conn, spec.name, dict.fromkeys(ids[2:6], "new"))
    assert due(database) == [], "four answers teach little"
    with database.transaction() as conn:
        answer(conn, spec.name, {ids[6]: "new", ids[7]: "ham"})
    assert due(database) == (["label 'new': new to the newest version"] if wanted else [])


def arrived(conn: Conn, spec: LoopSpec, n: int, spam: float, start: int = 0) -> None:
    """Outputs of which such a share says spam, in no order, and all are as sure as each other."""
    conn.execute(
        """
        insert into outputs (loop, key, body_sha256, group_key, data, label, confidence, model_version, lane,
            inclusion_probability, holdout, state, received_at)
        select %(loop)s, 'item/' || i, '', 'item/' || i, '{}',
            case when i * 37 %% 100 < %(spam)s then 'spam' else 'ham' end, 0.7, 'm', 'pass', 0, false,
            'passed', clock_timestamp()
        from generate_series(%(start)s::int, %(start)s + %(n)s - 1) i
        """,
        {"loop": spec.name, "n": n, "spam": 100 * spam, "start": start},
    )


@pytest.mark.parametrize(("spam", "moved"), [(0.3, False), (0.8, True)])
def test_drift_of_incoming_outputs_starts_a_run(database: Database, spam: float, moved: bool) -> None:
    spec = spec_with(drift=0.25)
    scores = {"holdout": 100, "champion": {"correct": 90}, "challenger": {"correct": 90}}
    with database.transaction() as conn:
        loops.register(conn, spec)
        arrived(conn, spec, 400, 0.3)
    with database.transaction() as conn:
        judged_run(conn, spec.name, scores=scores)
    with database.transaction() as conn:
        arrived(conn, spec, 300, spam, start=400)
        ids = [row["id"] for row in conn.execute("select id from outputs order by key limit 20").fetchall()]
        answer(conn, spec.name, dict.fromkeys(ids[:19], "ham"))
    assert due(database) == [], "too few new answers to do better"
    with database.transaction() as conn:
        answer(conn, spec.name, {ids[19]: "spam"})
    assert due(database, drift=False) == [], "not at every look"
    why = due(database)
    assert len(why) == moved
    if moved:
        assert why[0].startswith("drift: the labels of 300 new outputs have moved (index 1."), why
        assert "ham: 70 % before, 20 % now" in why[0]


def test_nothing_is_due_while_a_run_is_open(database: Database) -> None:
    spec = spec_with(every="1m")
    with database.transaction() as conn:
        ids = outputs(conn, spec)
        answer(conn, spec.name, {ids[0]: "ham"})
        runs.request(conn, spec.name, "by hand")
        runs.claim(conn, spec.name, None)
        answer(conn, spec.name, {ids[1]: "ham"})
    ask_for_due(database, datetime.now(UTC) + timedelta(hours=1))
    with database.transaction() as conn:
        assert [run.status for run in runs.open_runs(conn, spec.name)] == ["running"]
        assert jobs.ask(conn, jobs.RETRAIN, spec.name), "none was asked for"

"""Answers for a real MLflow that is away, has lost a trace or refuses one: told, tried again, and never lost."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from backend.worker import ask_for_assessments
from labelloop.store.database import Database
from labelloop.store.mlflow import assessments
from labelloop.store.mlflow.assessments import MOST_TRIES
from tests.support.hops.answering_desk import Desk
from tests.support.review.traces import on, submitted, traced, waiting, written

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_an_mlflow_that_is_away_is_told_once_and_loses_nothing(
    desk: Desk, tracking_uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    traces = [traced(), traced()]
    submitted(desk, *traces)
    for trace in traces:
        desk.give(trace, "anna", False, correction="dog")
    caplog.set_level(logging.WARNING)
    away = "http://somebody:a-password@127.0.0.1:9"
    for _ in range(MOST_TRIES + 1):
        assert written(desk, away) == 0
        assert [(row["tries"], row["due"], row["given_up"]) for row in waiting(desk)] == [(0, False, False)] * 2
        with desk.database.transaction() as conn:
            conn.execute("update assessments set next_try_at = now()")
    told = [record.getMessage() for record in caplog.records if "answers wait for MLflow" in record.getMessage()]
    assert len(told) == 1
    assert "a-password" not in caplog.text
    assert written(desk, tracking_uri) == 2
    assert all(len(on(trace)) == 2 for trace in traces)


def test_a_deleted_trace_is_told_and_skipped_until_its_answer_changes(
    desk: Desk, tracking_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    gone, there = traced(), traced()
    submitted(desk, gone, there)
    experiment = mlflow.get_experiment_by_name("shop")
    assert experiment is not None
    MlflowClient().delete_traces(experiment.experiment_id, trace_ids=[gone])
    desk.give(gone, "anna")
    desk.give(there, "anna")
    caplog.set_level(logging.WARNING)
    assert written(desk, tracking_uri) == 1
    assert f"MLflow lacks the traces: {gone} (output {gone})" in caplog.text
    (row,) = waiting(desk)
    assert (row["key"], row["given_up"], row["error"]) == (gone, True, "MLflow has no such trace")
    assert on(there) == [("Feedback", "cat", "anna")]
    caplog.clear()
    with desk.database.transaction() as conn:
        conn.execute("update assessments set next_try_at = now()")
    written(desk, tracking_uri)
    assert caplog.text == ""
    desk.give(gone, "anna", False, correction="dog")
    written(desk, tracking_uri)
    assert "MLflow lacks" in caplog.text


def test_a_trace_that_cannot_be_written_stops_no_other_and_is_given_up_after_a_day(
    desk: Desk, tracking_uri: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bad, good = traced(), traced()
    submitted(desk, bad, good)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute(
            f"create trigger no before insert on assessments when new.trace_id = '{bad}'"
            " begin select raise(abort, 'no room'); end"
        )
    for trace in (bad, good):
        desk.give(trace, "anna")
    caplog.set_level(logging.WARNING)
    assert written(desk, tracking_uri) == 1
    (row,) = waiting(desk)
    assert (row["key"], row["tries"], row["due"], row["given_up"]) == (bad, 1, False, False)
    assert "constraint violation" in row["error"]
    assert f"output {bad}: not written to trace {bad}" in caplog.text
    with desk.database.transaction() as conn:
        conn.execute("update assessments set next_try_at = now(), tries = %s", [MOST_TRIES - 1])
    assert written(desk, tracking_uri) == 0
    assert waiting(desk)[0]["given_up"]


def test_an_answer_that_changes_while_it_is_written_is_written_again(desk: Desk, tracking_uri: str) -> None:
    trace = traced()
    submitted(desk, trace)
    desk.give(trace, "anna")
    ask_for_assessments(desk.database)
    with desk.database.transaction() as conn:
        one = assessments.claim(conn, "pets")
        assert one is not None
        assert assessments.claim(conn, "pets") is None, "nobody else writes it now"
    desk.give(trace, "anna", False, correction="dog")
    ask_for_assessments(desk.database)
    with desk.database.transaction() as conn:
        assessments.written(conn, one)
        assert assessments.due(conn) == ["pets"]
    assert written(desk, tracking_uri) == 1
    assert len(on(trace)) == 2

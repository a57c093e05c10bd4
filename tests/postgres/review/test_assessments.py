"""People's answers on the traces of a real MLflow: once each, as they are now, and MLflow is never in the way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
from click.testing import CliRunner
from mlflow.entities import AssessmentSource
from werkzeug.serving import make_server

from backend import gauges
from backend.report.assessments import write
from backend.worker import ask_for_assessments
from console.cli import main
from labelloop.outputs.output import unit_hash
from labelloop.process.settings import Settings
from labelloop.queue.lanes import Lane
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.mlflow import assessments
from labelloop.store.tables import jobs, loops
from sync.service import create_app
from tests.support.hops.answering_desk import FEEDBACK, Desk
from tests.support.intake_client import output
from tests.support.review.traces import on, submitted, traced, waiting, written
from tests.support.workers.backend_worker import until, worker

JUDGED = "feedback_loop: {trigger: model_confidence < 0.8, labels: [approve, reject], audit: 0, holdout: 0.5}"
pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_from_a_written_trace_over_an_answer_by_http_to_the_assessment_on_it(
    database: Database, database_url: str, tracking_uri: str, tmp_path: Path
) -> None:
    """With the command, the service and the worker, within a minute. Held-out outputs are among them."""
    traces = [traced(f"miaow {i}") for i in range(6)]
    while len({unit_hash(Lane.HOLDOUT, "judged", trace) < 0.5 for trace in traces}) < 2:  # MLflow draws their ids
        traces.append(traced("miaow"))
    with database.transaction() as conn:
        loops.register(conn, parse("judged", JUDGED))
    server = make_server("127.0.0.1", 0, create_app(Settings(intake_token="secret"), database), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    env = {"LABELLOOP_SYNC_URL": url, "LABELLOOP_INTAKE_TOKEN": "secret", "LABELLOOP_DATA_DIR": str(tmp_path)}
    words = ["submit", "--from", "mlflow", "--tracking-uri", tracking_uri, "--experiment", "shop", "--loop", "judged"]
    try:
        for _ in range(2):
            result = CliRunner().invoke(main, words, env=env)
            assert result.exit_code == 0, result.output
        for i, trace in enumerate(traces):
            body = {"key": trace, "reviewer_id": "anna@x.org", "approval": True}
            if i == 0:
                body |= {"approval": False, "correction": "reject", "comment": "not by a cat"}
            said = httpx.post(f"{url}/v1/loops/judged/feedback", json=body, headers={"Authorization": "Bearer secret"})
            assert said.status_code == 201, said.text
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with database.transaction() as conn:
        assert conn.execute("select count(distinct holdout) as n from outputs").fetchone() == {"n": 2}
    settings = Settings(database_url=database_url, mlflow_tracking_uri=tracking_uri, data_dir=tmp_path)
    with worker(settings):
        until(lambda: all(map(on, traces)), within_s=60)

    (made,) = mlflow.get_trace(traces[0]).info.assessments
    assert (made.name, made.value, made.rationale) == ("judged", False, "not by a cat")
    assert (made.source.source_type, made.source.source_id) == ("HUMAN", "anna@x.org")
    assert (made.metadata["labelloop.output"], made.metadata["labelloop.label"]) == (traces[0], "reject")
    for trace in traces[1:]:
        assert on(trace) == [("Feedback", True, "anna@x.org")]


def test_an_edit_updates_the_assessment_and_a_correction_is_an_expectation(desk: Desk, tracking_uri: str) -> None:
    trace = traced()
    submitted(desk, trace)
    desk.give(trace, "anna", False, correction="dog", comment="it barks")
    assert written(desk, tracking_uri) == 1
    assert on(trace) == [("Expectation", "dog", "anna"), ("Feedback", "dog", "anna")]
    first = {one.assessment_id for one in mlflow.get_trace(trace).info.assessments}

    desk.give(trace, "anna", False, correction="eel")
    assert written(desk, tracking_uri) == 1
    assert on(trace) == [("Expectation", "eel", "anna"), ("Feedback", "eel", "anna")]
    now = mlflow.get_trace(trace).info.assessments
    assert {one.assessment_id for one in now} == first
    assert [one.rationale for one in now if type(one).__name__ == "Feedback"] in ([""], [None])

    desk.give(trace, "anna", True)
    assert written(desk, tracking_uri) == 1
    assert on(trace) == [("Feedback", "cat", "anna")]
    assert written(desk, tracking_uri) == 0, "nothing has changed"


def test_each_reviewer_has_a_feedback_and_their_agreement_is_the_expectation(
    database: Database, tracking_uri: str
) -> None:
    desk = Desk(database, overlap=2)
    trace = traced()
    submitted(desk, trace)
    desk.give(trace, "anna", False, correction="dog")
    written(desk, tracking_uri)
    assert on(trace) == [("Feedback", "dog", "anna")], "one of two has answered"
    desk.give(trace, "ben", True)
    written(desk, tracking_uri)
    assert on(trace) == [("Feedback", "cat", "ben"), ("Feedback", "dog", "anna")], "a tie"
    desk.give(trace, "cleo", False, correction="dog")
    written(desk, tracking_uri)
    assert on(trace)[0] == ("Expectation", "dog", "anna, cleo")
    desk.give(trace, "ben", False, correction="dog")
    written(desk, tracking_uri)
    assert on(trace) == [
        ("Expectation", "dog", "anna, ben, cleo"), *(("Feedback", "dog", who) for who in ("anna", "ben", "cleo")),
    ]  # fmt: skip


def test_an_answer_that_is_taken_back_is_deleted_and_the_assessments_of_others_stay(
    desk: Desk, tracking_uri: str
) -> None:
    trace = traced()
    submitted(desk, trace)
    (one,) = [row["id"] for row in desk.sql("select id from outputs")]
    mlflow.log_feedback(trace_id=trace, name="pets", value="tabby", source=AssessmentSource("HUMAN", "otto"))
    desk.open_task(one, 1)
    desk.annotate(one, 1, "dog")
    written(desk, tracking_uri)
    assert len(on(trace)) == 3
    desk.annotate(one, 1, None)
    assert written(desk, tracking_uri) == 1
    assert on(trace) == [("Feedback", "tabby", "otto")]


def test_an_answer_over_http_that_is_taken_back_leaves_nothing_on_the_trace(desk: Desk, tracking_uri: str) -> None:
    trace = traced()
    submitted(desk, trace)
    desk.give(trace, "anna", False, correction="dog")
    assert written(desk, tracking_uri) == 1
    assert len(on(trace)) == 2
    said = desk.ask("DELETE", FEEDBACK, query_string={"key": trace, "reviewer_id": "anna"})
    assert said.json["new"]
    assert written(desk, tracking_uri) == 1
    assert on(trace) == []


def test_the_metrics_count_written_waiting_and_abandoned_assessments(desk: Desk, tracking_uri: str) -> None:
    first, second = traced(), traced()
    submitted(desk, first, second, "tr-gone")
    for key in (first, "tr-gone"):
        desk.give(key, "anna")
    written(desk, tracking_uri)
    desk.give(second, "anna")
    ask_for_assessments(desk.database)
    with desk.database.transaction() as conn:
        found = {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for metric in gauges._loops(conn)
            for sample in metric.samples
            if "assessments" in sample.name
        }
    assert found == {
        "labelloop_assessments_written_total pets": 1,
        "labelloop_assessments pets waiting": 1,
        "labelloop_assessments pets given_up": 1,
    }


def test_a_repeated_write_doubles_nothing_and_repairs_what_broke_off(desk: Desk, tracking_uri: str) -> None:
    trace = traced()
    submitted(desk, trace)
    desk.give(trace, "anna", False, correction="dog")
    written(desk, tracking_uri)
    wanted = on(trace)
    lost = mlflow.get_trace(trace).info.assessments[0]
    mlflow.delete_assessment(trace, lost.assessment_id)
    with desk.database.transaction() as conn:  # as if it had died before it could record that it was done
        conn.execute("update loops set assessed_upto = 0")
    assert written(desk, tracking_uri) == 1
    assert on(trace) == wanted


@pytest.mark.parametrize("meta", [None, {}, {"mlflow_trace_id": None}, {"mlflow_trace_id": 7}, {"other": "tr-1"}])
def test_outputs_that_name_no_trace_are_left_alone(desk: Desk, meta: Any) -> None:
    assert desk.post({**output("a"), "meta": meta}).status_code == 201
    desk.give("a", "anna")
    ask_for_assessments(desk.database)
    assert waiting(desk) == []
    seen = desk.sql("select assessed_upto, (select max(seq) from feedback_changes) as seq from loops")
    assert seen[0]["assessed_upto"] == seen[0]["seq"] > 0


def test_answers_from_before_the_address_was_set_go_to_their_traces_too(
    desk: Desk, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [traced() for _ in range(5)]
    submitted(desk, *traces)
    for trace in traces:
        desk.give(trace, "anna")
    monkeypatch.setattr(assessments, "CHANGES_AT_ONCE", 2)
    for _ in range(5):
        ask_for_assessments(desk.database)
    assert write(desk.database, "pets", tracking_uri) == 5


def test_a_due_answer_is_asked_for_once_and_one_loop_at_a_time_is_written(desk: Desk) -> None:
    submitted(desk, traced())
    desk.give(desk.sql("select key from outputs")[0]["key"], "anna")
    for _ in range(2):
        ask_for_assessments(desk.database)
    (job,) = desk.sql("select args, lock from procrastinate_jobs where task_name = 'backend.assess'")
    assert job["args"] == {"loop": "pets"}
    assert job["lock"] == jobs.ASSESS, "over all loops: an MLflow that hangs keeps one place of the worker"

"""Repeats count once: not in the error rate, in training or in reports. Postgres refuses what must not be."""

from __future__ import annotations

import copy
import json
from typing import Any

import psycopg
import pytest

from backend.report.backtest import backtest_report
from backend.report.error_rate import error_rate_report
from console.files.templates import SAMPLES, files_of
from labelloop.spec.folder import parse
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.questions import chains, days, figures, lanes, people
from labelloop.store.tables import loops, run_items
from tests.support.hops.repeating_desk import RepeatingDesk

RANDOM = {"audit": 0.3, "holdout": 0.3}


@pytest.fixture
def desk(database: Database) -> RepeatingDesk:
    return RepeatingDesk(database, **RANDOM)


def report(desk: RepeatingDesk) -> dict[str, Any]:
    with desk.database.transaction() as conn:
        return error_rate_report(conn, desk.spec)


def fill(desk: RepeatingDesk, n: int = 30) -> None:
    """Answer the outputs of n texts that people see; every fifth is incorrect."""
    for i in range(n):
        desk.send(f"k{i}", f"text {i}", confidence=0.5 + i % 10 * 0.05)
        if desk.status(f"k{i}")["state"] == "waiting":
            desk.give(f"k{i}", "anna", i % 5 != 0, **({} if i % 5 else {"correction": "dog"}))


def test_the_error_rate_is_that_of_the_outputs_that_repeat_nothing(desk: RepeatingDesk) -> None:
    fill(desk)
    before = report(desk)
    assert before["answers"] > 5
    repeats = [desk.send(f"again/{i}/{j}", f"text {i}")[0] for i in range(30) for j in range(4)]
    n = desk.counts()["repeats"]
    assert n > 60
    after = report(desk)
    own = sum(desk.status(one["key"])["repeats"] is None for one in repeats)
    assert (after["outputs"], after["answers"]) == (before["outputs"] + own, before["answers"])
    assert (before["left_out"]["repeats"], after["left_out"]["repeats"]) == (0, n)
    assert any("same content" in sentence for sentence in after["sentences"])
    assert after["reviewed"]["answers"] == before["reviewed"]["answers"]
    # Whether an output is a repeat does not depend on its lane, so the others are still a fair sample.
    (held,) = desk.sql("select avg(holdout::int)::float8 as share from outputs o join repeats r on r.output_id = o.id")
    assert 0.15 < held["share"] < 0.45


def test_an_answer_is_taught_or_judged_once_and_counts_once_for_the_person(desk: RepeatingDesk) -> None:
    fill(desk)

    def figures_now() -> dict[str, Any]:
        with desk.database.transaction() as conn:
            upto = run_items.newest_answer(conn, "pets")
            since = loops.spec_versions(conn, "pets")[0].created_at
            return {
                "taught": [row.key for row in run_items.answered(conn, "pets", upto)],
                "held out": run_items.held_out_answers(conn, "pets"),
                "work": people.work(conn, "pets")[0].answered,
                "a day": days.answers(conn, "pets", since),
                "waiting in the hold-out lane": lanes.held_out_without_answer(conn, "pets", 100),
                "by step": chains.corrections(conn, desk.spec),
                "lost": figures.lost_between_hops(conn, "pets", 1),
            }

    before = figures_now()
    for i in range(30):
        for j in range(3):
            desk.send(f"again/{i}/{j}", f"text {i}", label="eel")
    assert desk.counts()["repeats"] > 50
    after = figures_now()
    assert len(after["waiting in the hold-out lane"]) <= 30  # texts that passed are asked once
    del before["waiting in the hold-out lane"], after["waiting in the hold-out lane"]
    assert after == before
    assert after["lost"] == 0


def test_a_backtest_asks_about_no_repeat_unless_the_changed_rule_does(desk: RepeatingDesk) -> None:
    desk.change(audit=0.0, holdout=0.0)
    for key in "abc":
        desk.send(key, "miaow")
    desk.send("d", "wuff")
    off = desk.spec.model_copy(update={"reuse_answers": False})
    with desk.database.transaction() as conn:
        same, asked = backtest_report(conn, desk.spec, desk.spec), backtest_report(conn, desk.spec, off)
    assert (same["outputs"], same["repeats"], same["asked"]) == (4, 2, {"was": 2, "would": 2})
    assert (asked["repeats"], asked["asked"], asked["newly"]) == (2, {"was": 2, "would": 4}, 2)


def test_a_step_that_repeats_a_corrected_one_marks_the_later_steps(desk: RepeatingDesk) -> None:
    desk.change(audit=0.0, holdout=0.0)
    desk.send("a", "miaow")
    desk.give("a", "anna", False, correction="dog")
    desk.send("t/1", "miaow", trace="t", step="find")
    desk.send("t/2", "other", trace="t", step="draft")
    assert desk.status("t/1")["repeats"]["key"] == "a"
    (step,) = desk.status("t/2")["rests_on"]
    assert (step["key"], step["label"], step["correction"]) == ("t/1", "cat", "dog")
    desk.send("u/1", "miaow", trace="u", step="find", label="dog")
    desk.send("u/2", "third", trace="u", step="draft")
    assert desk.status("u/2")["rests_on"] == [], "this time the label is the correct one"


def test_where_earlier_steps_are_shown_an_output_of_a_trace_is_asked(database: Database) -> None:
    spec = parse(
        "pets", "feedback_loop: {trigger: 'model_confidence < 0.8', labels: [cat, dog], audit: 0, holdout: 0,"
        " steps: {show: true}, reuse_answers: true}"
    )  # fmt: skip
    desk = RepeatingDesk(database, labels=spec.labels, labels_xml=spec.labels_xml, steps=spec.steps)
    for key in "ab":
        assert desk.send(key, "miaow", trace="t")[0]["state"] == "waiting"
    assert (desk.counts()["repeats"], desk.counts()["pool"]) == (0, 2)
    for key in "cd":
        desk.send(key, "miaow")
    assert desk.counts()["repeats"] == 1


def test_where_people_only_approve_the_label_is_content(database: Database) -> None:
    form = (
        '<View><Text name="text" value="$text"/><Text name="said" value="$labelloop_label"/>'
        '<Choices name="verdict" toName="text"><Choice value="approve"/><Choice value="reject"/></Choices></View>'
    )
    desk = RepeatingDesk(database, labels=(), labels_xml=form)
    desk.change(audit=0.0, holdout=0.0)
    desk.send("a", "Ten words?", label="a summary")
    desk.give("a", "anna")
    assert desk.send("b", "Ten words?", label="another summary")[0]["state"] == "waiting"
    assert desk.send("c", "Ten words?", label="a summary")[0]["state"] == "answered"
    assert desk.status("c")["approval"] is True
    desk.give("b", "anna", False)
    assert desk.send("d", "Ten words?", label="another summary")[0]["state"] == "waiting", "a rejection has no label"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("insert into repeats (output_id, loop, original_id) select {c}, 'pets', {b}",
         "repeats_are_no_chain"),
        ("insert into repeats (output_id, loop, original_id) select {a}, 'pets', {c}",
         "repeats_are_no_chain"),
        ("insert into repeats (output_id, loop, original_id) select {c}, 'pets', {c}",
         "repeats_are_of_one_loop"),
        ("insert into repeats (output_id, loop, original_id) select {g}, 'pets', {a}",
         "repeats_are_of_one_loop"),
        ("insert into repeats (output_id, loop, original_id) select {d}, 'pets', {a}",
         "a_repeat_has_no_answer"),
        ("update outputs set state = 'waiting' where key = 'd'", "output_edges"),
        ("update outputs set state = 'pushing' where key = 'b'", "output_edges"),
        ("insert into contents select loop, sha256, {c} from contents where original_id = {a}",
         "contents_pkey"),
    ],
)  # fmt: skip
def test_postgres_refuses_what_must_never_be(database: Database, statement: str, constraint: str) -> None:
    desk = RepeatingDesk(database)
    for key, text, more in (
        ("a", "x", {}),
        ("b", "x", {}),
        ("c", "y", {}),
        ("d", "z", {}),
        ("g", "x", {"gold": "cat"}),
    ):
        desk.send(key, text, **more)
    desk.give("d", "anna")
    ids = {key: f"'{desk.id(key)}'" for key in "abcdg"}
    with pytest.raises(psycopg.errors.IntegrityError) as raised:
        desk.sql(statement.format(**ids) + " returning 1 as done")
    assert raised.value.diag.constraint_name == constraint


@pytest.mark.owner
def test_a_loop_is_removed_with_its_repeats(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna")
    desk.send("b", "miaow")
    with desk.database.transaction() as conn:
        conn.execute("update loops set archived_at = now() where name = 'pets'")
        gone = removal.remove(conn, "pets")
    assert gone is not None
    assert (gone["repeats"], gone["contents"]) == (1, 1)


def test_an_answer_about_the_boxes_of_one_detector_is_none_about_those_of_another(database: Database) -> None:
    files = files_of("boxes")
    form = parse("pets", files["loop.yaml"], files["labels.xml"])
    desk = RepeatingDesk(database, labels=form.labels, labels_xml=form.labels_xml, audit=0.0, holdout=0.0)
    lines = (json.loads(line) for line in files[SAMPLES].splitlines())
    sample = next(line for line in lines if line["result"][0]["from_name"] == "boxes")
    moved = copy.deepcopy(sample["result"])
    moved[0]["value"]["x"] += 1
    assert desk.post({**sample, "key": "a", "score": 0.4}).status_code == 201
    assert desk.give("a", "anna").status_code == 201
    for key, result, state in (("b", sample["result"], "answered"), ("c", moved, "waiting")):
        assert desk.post({**sample, "key": key, "result": result, "score": 0.4}).status_code == 201
        assert desk.status(key)["state"] == state

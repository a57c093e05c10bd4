"""Control on the real Postgres: does ranking pay? The first answers of the rule lane against as many random ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from click.testing import CliRunner

from backend.decide.control import measure
from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.questions import lanes
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import answer, digits_spec, scans, submit, weak


def loop_with(database: Database, rule: list[int], control: int, held_out: int, **changes: Any) -> LoopSpec:
    """A loop of digits with true answers: the rule has asked about these digits only, the control about any."""
    spec = digits_spec(**changes)
    spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"control": 0.3})})
    images, truths = scans()
    wanted = {"rule": 60, "control": control, "holdout": held_out}
    answers = {}
    with database.transaction() as conn:
        loops.register(conn, spec)
        for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
            made = Output(f"item-{i}", {"image": image}, probabilities=weak(truth, i, spec.config.labels))
            lane = place(made, spec).lane
            if not wanted.get(lane) or (lane == "rule" and int(truth) not in rule):
                continue
            wanted[lane] -= 1
            [stored], _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(made, place(made, spec))])
            answers[stored.id] = truth
        answer(conn, spec.name, answers)
    assert not any(wanted.values())
    return spec


def test_a_rule_that_asks_about_everything_but_half_of_the_digits_does_not_pay(database: Database) -> None:
    spec = loop_with(database, rule=[0, 1, 2], control=48, held_out=80)
    found = measure(database, spec, divisions=3)
    assert found.verdict.startswith("does not pay: -"), found
    assert (found.taught, found.held_out) == (24, 80)
    assert None not in (found.rule, found.control, found.difference, found.low, found.high)
    figures = asdict(found)
    assert figures["low"] < figures["difference"] < figures["high"] < 0
    assert figures["difference"] == figures["rule"] - figures["control"]
    assert measure(database, spec, divisions=3) == found, "the same answers give the same figures"


def test_with_too_few_answers_it_says_what_is_missing(database: Database, tmp_path: Path) -> None:
    spec = loop_with(database, rule=list(range(10)), control=7, held_out=12)
    said = CliRunner().invoke(
        main,
        ["control", "--loop", spec.name, "--json"],
        env={"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)},
    )
    found = json.loads(said.stdout)
    assert found["verdict"] == (
        "cannot tell yet: 7 answers of the control lane, at least 40 are needed; "
        "12 held-out answers, at least 20 are needed"
    )
    assert found["difference"] is None
    assert found["more_control"] is None


def test_a_loop_without_a_control_is_told_how_to_get_one(database: Database) -> None:
    spec = digits_spec()
    with database.transaction() as conn:
        loops.register(conn, spec)
    assert "queue.control is 0, so no output enters the control lane" in measure(database, spec).verdict


def test_the_order_is_that_in_which_people_first_answered(database: Database) -> None:
    """One pull stores all answers at once, in the order of the ids, and a changed answer keeps its first place."""
    images, truths = scans()
    spec = digits_spec()
    with database.transaction() as conn:
        ids = list(submit(conn, spec, [{"image": image} for image in images[:6]], truths[:6]).values())
        answer(conn, spec.name, {ids[0]: None} | dict.fromkeys(ids[1:5], "1"))
        for minute, (id_, deleted) in enumerate([(ids[1], True), (ids[3], False), (ids[2], False), (ids[1], False)]):
            annotate(conn, id_, minute, deleted=deleted)
        answer(conn, spec.name, {ids[3]: "2"})
        assert lanes.in_order_of_answers(conn, spec.name) == [ids[3], ids[2], ids[1], ids[4]]
        assert lanes.in_order_of_answers(conn, "another") == []


def annotate(conn: Conn, output_id: UUID, minute: int, *, deleted: bool) -> None:
    """Store an annotation that a person made a day ago."""
    conn.execute(
        """
        insert into annotation_versions (instance, annotation_id, task_id, output_id, sha256, result, was_cancelled,
            ground_truth, created_at, updated_at, deleted)
        values (gen_random_uuid(), 1, 1, %(output)s, '', '[]', false, false,
            now() - interval '1 day' + make_interval(mins => %(minute)s), now(), %(deleted)s)
        """,
        {"output": output_id, "minute": minute, "deleted": deleted},
    )


def test_outputs_of_the_hold_out_lane_without_an_answer_are_read(database: Database) -> None:
    images, truths = scans()
    spec = digits_spec()
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"image": image} for image in images[:60]], truths[:60])
        held = [
            row["id"]
            for row in conn.execute(
                "select id from outputs where loop = %s and lane = 'holdout' order by id", (spec.name,)
            )
        ]
        assert 10 < len(held) < 30
        answer(conn, spec.name, {held[0]: "1", held[1]: None})
        found = lanes.held_out_without_answer(conn, spec.name, 100)
        assert [row.output_id for row in found] == held[2:]
        assert {row.key: ids[row.key] for row in found} == {row.key: row.output_id for row in found}
        assert [row.output_id for row in lanes.held_out_without_answer(conn, spec.name, 3)] == held[2:5]

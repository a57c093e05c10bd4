"""The live control on the real Postgres: does the order pay? Answers of the rule against those drawn at random."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from backend.decide.control import interval, measure
from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import answer, digits_spec, scans, weak


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
    spec = loop_with(database, rule=[0, 1, 2], control=30, held_out=80)
    found = measure(database, spec, draws=6)
    assert found.verdict.startswith("does not pay: -"), found
    assert (found.taught, found.held_out) == (30, 80)
    assert None not in (found.rule, found.control, found.difference, found.low, found.high)
    figures = asdict(found)
    assert figures["low"] < figures["difference"] < figures["high"] < 0
    assert figures["difference"] == figures["rule"] - figures["control"]
    assert measure(database, spec, draws=6) == found, "the same answers give the same figures"


def test_with_too_few_answers_it_says_what_is_missing(database: Database, tmp_path: Path) -> None:
    spec = loop_with(database, rule=list(range(10)), control=7, held_out=12)
    said = CliRunner().invoke(
        main,
        ["control", "--loop", spec.name, "--json"],
        env={"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)},
    )
    found = json.loads(said.stdout)
    assert found["verdict"] == (
        "not known yet: 7 answers of the control lane, at least 20 are needed; "
        "12 held-out answers, at least 20 are needed"
    )
    assert found["difference"] is None


def test_a_loop_without_a_control_is_told_how_to_get_one(database: Database) -> None:
    spec = digits_spec()
    with database.transaction() as conn:
        loops.register(conn, spec)
    assert "queue.control is 0, so no output enters the control lane" in measure(database, spec).verdict


def test_the_interval_is_that_of_a_difference_known_beforehand() -> None:
    """Right by a coin of 0.8 and of 0.6: the standard error of the difference is sqrt((0.16 + 0.24) / n)."""
    rng = np.random.default_rng(0)
    rule, control = rng.random((10, 400)) < 0.8, rng.random((1, 400)) < 0.6
    low, high = interval(rule, control, rng)
    assert low < 0.2 < high
    assert 0.10 < high - low < 0.18, "about 4 times 0.032"
    same = np.tile(rule[:1], (10, 1))
    assert interval(same, same[:1], rng) == (0.0, 0.0), "paired: the same answers differ in nothing"

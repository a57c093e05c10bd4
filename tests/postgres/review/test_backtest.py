"""A backtest says exactly what the live rule then does, and about how many errors it would pass."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner, Result

from backend.report.backtest import backtest_report, placements
from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue.lanes import Placement, place
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store import removal
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, outputs
from sync.intake.taking import take
from tests.support.backend_factory import answer, texts_spec
from tests.support.data.rule_page import CHANGED as CHANGED_ON_PAGE
from tests.support.data.rule_page import FILE, LOOP, PRINTED

BEFORE = "trigger: model_confidence < 0.8\n  audit: 0.1\n  holdout: 0.2\n  queue: {control: 0.2}"
CHANGED = [
    BEFORE,
    "trigger: model_confidence < 0.6\n  audit: 0.3\n  holdout: 0.1\n  queue: {control: 0.5}",
    "trigger: entropy > 0.7 or margin < 0.2\n  audit: 0\n  holdout: 0.2",
    "trigger: label == 'cat' and model_confidence < 0.95 or source in ['b'] and not meta.tier == 'low'\n  audit: 0.05",
    "trigger: data.n * 3 > 1e22 or data.n == 9007199254740993 or data.n == 0.1 or data.n == 1.2345678901234568e18",
    "trigger: data.deep.items[1].n / data.n > 2 or probabilities['dog'] > 0.3\n  audit: 0.5",
    "trigger: step is None and trace != 'r1'\n  holdout: 0.5\n  queue: {control: 0.6}",
]
NUMBERS = [
    0.1,
    3,
    -7,
    9007199254740993,
    9007199254740992,
    1.5e22,
    1.2345678901234568e18,
    1e300,
    5e-324,
    "3",
    None,
    True,
]


def pets(rule: str) -> LoopSpec:
    return parse("pets", f"feedback_loop:\n  {rule}\n  labels: [cat, dog, 'a b']\n")


def bodies(n: int) -> list[dict[str, Any]]:
    """Outputs of all forms, with every kind of value that a rule may read."""
    rng = random.Random(7)
    found = []
    for i in range(n):
        shares = [rng.random() ** 2 + 1e-9 for _ in range(3)]
        p = dict(zip(rng.sample(["cat", "dog", "a b"], 3), (s / sum(shares) for s in shares), strict=True))
        verdict = {"from_name": "verdict", "to_name": "text", "type": "choices", "value": {"choices": ["reject"]}}
        forms: list[dict[str, Any]] = [
            {"probabilities": p},
            {"probabilities": p},
            {"label": rng.choice(["cat", "dog"]), "confidence": round(rng.random(), 3)},
            {"label": "a b"},
            {"result": [verdict], "score": rng.random()},
            {"probabilities": p, "gold": "cat"},
        ]
        extra = {"group": f"g{i % 40}", "source": rng.choice("ab"), "step": "s", "trace": f"r{i % 3}"}
        body: dict[str, Any] = {
            "key": f"k/{i}",
            "data": {"text": "x", "n": rng.choice(NUMBERS)},
            "model_version": rng.choice("12"),
        }
        body["data"]["deep"] = {"items": [{}, {"n": rng.choice(NUMBERS)}]}
        body |= {name: value for name, value in extra.items() if rng.random() < 0.5}
        body["meta"] = {"tier": rng.choice(["low", "high", None])}
        found.append(body | rng.choice(forms))
    return found


def submit(conn: Conn, spec: LoopSpec, said: list[dict[str, Any]]) -> None:
    loops.register(conn, spec)
    take(conn, spec, [(i, json.dumps(body).encode()) for i, body in enumerate(said)])


def stored(conn: Conn) -> dict[str, tuple[Any, ...]]:
    rows = conn.execute("select key, lane::text, triggered, holdout, label, confidence from outputs").fetchall()
    return {row["key"]: tuple(row.values())[1:] for row in rows}


@pytest.mark.parametrize("rule", CHANGED)
def test_the_live_rule_then_does_exactly_what_the_backtest_said(database: Database, rule: str) -> None:
    said, changed = bodies(600), pets(rule)
    with database.transaction() as conn:
        submit(conn, pets(BEFORE), said)
        would = {
            row.key: (placed.lane.value, placed.triggered, placed.holdout, placed.label, placed.confidence)
            for row, placed in placements(conn, changed)
            if placed is not None
        }
        report = backtest_report(conn, pets(BEFORE), changed)
        was = stored(conn)
        assert len(would) == len(was) == 600
        loops.archive(conn, "pets", "ada")
        removal.remove(conn, "pets")
        loops.restore(conn, "pets")
        submit(conn, changed, said)
        live = stored(conn)
    assert would == live
    lanes = Counter(lane for lane, *_ in live.values())
    assert {lane: numbers["would"] for lane, numbers in report["lanes"].items() if numbers["would"]} == lanes
    before = Counter(lane for lane, *_ in was.values())
    assert {lane: numbers["was"] for lane, numbers in report["lanes"].items() if numbers["was"]} == before
    asked = {key for key, (lane, *_) in live.items() if lane != "pass"}
    earlier = {key for key, (lane, *_) in was.items() if lane != "pass"}
    assert (report["newly"], report["no_longer"]) == (len(asked - earlier), len(earlier - asked))
    assert report["asked"] == {"was": len(earlier), "would": len(asked)}
    assert {row["name"]: row["would"] for row in report["labels"] if row["would"]} == Counter(
        live[key][3] for key in asked
    )
    if rule == BEFORE:
        assert live == was
        assert report["passed"]["was"] == report["passed"]["would"]


def test_outputs_that_the_changed_form_refuses_are_counted_apart(database: Database) -> None:
    with database.transaction() as conn:
        submit(conn, pets(BEFORE), bodies(100))
        fewer = parse("pets", f"feedback_loop:\n  {BEFORE}\n  labels: [cat, dog]\n")
        report = backtest_report(conn, pets(BEFORE), fewer)
        wider = fewer.model_copy(update={"queue": fewer.queue.model_copy(update={"embedding": 3})})
        assert backtest_report(conn, pets(BEFORE), wider)["refused"] == 100
    kept = sum(numbers["would"] for numbers in report["lanes"].values())
    assert 0 < report["refused"] == 100 - kept


class Stream:
    """Outputs whose pipeline always says `ham`, and is incorrect the more often the less it is confident."""

    def __init__(self, conn: Conn, spec: LoopSpec, n: int) -> None:
        rng = np.random.default_rng(3)
        loops.register(conn, spec)
        self.outputs: dict[UUID, tuple[Output, Placement, str]] = {}
        rows = []
        for i, confidence in enumerate(1 - rng.beta(1, 4, n)):
            output = Output(f"k{i}", {"text": "x"}, label="ham", confidence=float(confidence), source="ab"[i % 2])
            rows.append(outputs.Row.of(output, place(output, spec)))
        new, _, _ = outputs.insert(conn, spec.name, rows)
        for one, row in zip(new, rows, strict=True):
            wrong = rng.random() < 1.2 * (1 - (row.output.confidence or 0)) ** 1.5
            self.outputs[one.id] = row.output, row.placement, "spam" if wrong else "ham"
        conn.execute(
            "update outputs set received_at = '2026-01-01T00:00Z'::timestamptz + substr(key, 2)::int * interval '1 h'"
        )
        answer(
            conn,
            spec.name,
            {
                id_: truth
                for id_, (_, placed, truth) in self.outputs.items()
                if placed.lane in ("rule", "control", "audit", "holdout")
            },
        )

    def passed_errors(self, spec: LoopSpec) -> int:
        return sum(truth == "spam" and place(one, spec).lane == "pass" for one, _, truth in self.outputs.values())


def a_spec(trigger: str) -> LoopSpec:
    spec = texts_spec(audit=0.1, holdout=0.2)
    return spec.model_copy(update={"trigger": trigger, "queue": spec.queue.model_copy(update={"control": 0.3})})


def test_the_errors_that_a_rule_would_pass_lie_in_the_interval_for_stricter_and_laxer_rules(database: Database) -> None:
    in_force = a_spec("model_confidence < 0.8")
    with database.transaction() as conn:
        stream = Stream(conn, in_force, 2400)
        found = []
        for trigger in ("model_confidence < 0.5", "model_confidence < 0.7", "model_confidence < 0.9"):
            spec = a_spec(trigger)
            passed = backtest_report(conn, in_force, spec)["passed"]
            assert passed["was"]["low"] < stream.passed_errors(in_force) < passed["was"]["high"]
            assert passed["would"]["low"] < stream.passed_errors(spec) < passed["would"]["high"]
            assert passed["would"]["high"] - passed["would"]["low"] < 160
            found.append(passed["would"]["errors"])
    assert found == sorted(found, reverse=True)


def test_the_load_is_counted_by_the_days_on_which_outputs_came(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec("model_confidence < 0.8"), 100)
        everything = a_spec("model_confidence >= 0")
        report = backtest_report(conn, everything, everything, datetime(2026, 1, 2, tzinfo=UTC))
        nothing = backtest_report(conn, everything, everything, datetime(2027, 1, 1, tzinfo=UTC))
    load = report["load"]["would"]
    assert (load["days"], load["mean"], load["busiest"]) == (4, (100 - 24) / 4, 24)
    assert load["busiest_day"] == datetime(2026, 1, 2, tzinfo=UTC).date()
    assert [(row["name"], row["would"]) for row in report["sources"]] == [("a", 38), ("b", 38)]
    assert len(stream.outputs) == 100
    assert (nothing["outputs"], nothing["load"]["would"]["mean"], nothing["passed"]["would"]["errors"]) == (0, 0, 0)


def test_memory_does_not_grow_with_the_number_of_stored_outputs(database: Database) -> None:
    spec = pets(BEFORE)
    with database.transaction() as conn:
        loops.register(conn, spec)
        conn.execute(
            """
            insert into outputs (loop, key, body_sha256, group_key, data, label, confidence, model_version, lane,
                triggered, inclusion_probability, holdout, state)
            select 'pets', 'k' || i, '', 'k' || i, jsonb_build_object('text', repeat('x', 2000)), 'cat', 0.9, '',
                'pass', false, 0.1, false, 'passed'
            from generate_series(1, 20000) i
            """
        )
        tracemalloc.start()
        assert backtest_report(conn, spec, spec)["outputs"] == 20000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 12 << 20, "all of them are 40 MB of texts"


def backtest(database: Database, folder: Path, *words: str) -> Result:
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(folder)}
    return CliRunner().invoke(main, ["backtest", *words], env=env)


def test_the_command_reads_a_file_or_a_folder_and_prints_words_or_json(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        submit(conn, pets(BEFORE), bodies(300))
    file = tmp_path / "pets" / "loop.yaml"
    file.parent.mkdir()
    file.write_text(f"feedback_loop:\n  {CHANGED[1]}\n  labels: [cat, dog, a b]\n")
    by_folder = json.loads(backtest(database, tmp_path, "--spec", str(file.parent), "--json").stdout)
    other = tmp_path / "laxer.yaml"
    other.write_text(file.read_text())
    found = backtest(database, tmp_path, "--spec", str(other), "--since", "2d", "--json")
    assert {**json.loads(found.stdout), "since": None} == by_folder
    text = backtest(database, tmp_path, "--spec", str(file)).stdout
    asked = by_folder["asked"]
    assert text.startswith(f"{asked['was']} of 300 stored outputs were asked, and {asked['would']} would be.\n")
    assert "errors passed" in text
    assert "asked by source" in text
    other.write_text("feedback_loop: {trigger: margn < 1, audt: 1}")
    bad = backtest(database, tmp_path, "--spec", str(other))
    assert bad.exit_code == 2
    assert "2 mistakes" in bad.stderr
    assert "did you mean 'audit'" in bad.stderr
    assert backtest(database, tmp_path, "--spec", str(file), "--since", "soon").exit_code == 2


def test_a_rule_in_a_file_of_its_own_goes_with_the_form_in_force(database: Database, tmp_path: Path) -> None:
    xml = (
        '<View><Text name="t" value="$text"/><Choices name="label" toName="t"><Choice value="cat"/>'
        '<Choice value="dog"/></Choices></View>'
    )
    said = [{"key": "a", "data": {"text": "x"}, "probabilities": {"cat": 0.7, "dog": 0.3}}]
    with database.transaction() as conn:
        submit(conn, parse("pets", "feedback_loop: {trigger: margin < 0.1, audit: 0, holdout: 0}", xml), said)
        conn.execute("update outputs set received_at = %s", [datetime.now(UTC) - timedelta(days=3)])
    file = tmp_path / "rule.yaml"
    file.write_text("feedback_loop: {trigger: label == 'cat', audit: 0, holdout: 0}")
    found = json.loads(backtest(database, tmp_path, "--spec", str(file), "--json").stdout)
    assert (found["asked"], found["refused"]) == ({"was": 0, "would": 1}, 0)
    recent = json.loads(backtest(database, tmp_path, "--spec", str(file), "--since", "48h", "--json").stdout)
    assert recent["outputs"] == 0


def test_the_example_on_the_page_about_the_rule_is_true(database: Database, tmp_path: Path) -> None:
    said = [json.loads(line) for line in FILE.splitlines()[:4]]
    with database.transaction() as conn:
        submit(conn, parse("tickets", LOOP), said)
    file = tmp_path / "stricter.yaml"
    file.write_text(CHANGED_ON_PAGE)
    words = ["--spec", str(file), "--loop", "tickets", "--since", "30d"]
    assert backtest(database, tmp_path, *words).stdout == PRINTED[1]

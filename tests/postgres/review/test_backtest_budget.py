"""A backtest of a budget says exactly which outputs the live push then makes tasks of, and which ones pass."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend.report.backtest import backtest_report, placements
from backend.report.rationed import _items
from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue import daily, lanes
from labelloop.queue.lanes import Lane
from labelloop.spec.loop import LoopSpec
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from sync.push.budget import pass_over
from tests.support.hops.days import MIXED, RULE_ONLY, Days, spec

STREAM = (90, 0, 260, 40, 0, 0, 300, 120)
"""Outputs that come on each day."""
SMALL_WINDOW = MIXED.replace("window: 1000", "window: 30")
BUDGETS = [
    ("{per_day: 50}", RULE_ONLY),
    ("{per_day: 50, over: pass}", MIXED),
    ("{per_day: 100}", MIXED),
    ('{per_source: {a: 7, "*": 20}, per_label: {dog: 25}}', MIXED),
    ('{per_day: 40, per_source: {b: 3, "*": 15}, per_label: 30, over: pass}', SMALL_WINDOW),
    ("{per_label: 1000}", RULE_ONLY),
]
PAGE = Path(__file__).parents[3] / "docs" / "pipelines" / "budget.md"
DATE = r"\d{4}-\d\d-\d\d"
Fates = tuple[list[str], list[str]]


def stream() -> list[list[Output]]:
    """Outputs by day, of several sources and labels, some equally useful, some gold."""
    rng = random.Random(5)

    def one(key: str) -> Output:
        confidence = rng.choice([0.5, 0.6, 0.85, 0.95, rng.random()])
        label, source = rng.choice(["cat", "dog", "dog"]), rng.choice(["a", "a", "b", "c", None])
        gold = "cat" if rng.random() < 0.03 else None
        return Output(key, {"text": "x"}, label=label, confidence=confidence, source=source, gold=gold)

    return [[one(f"k{day}-{i}") for i in range(n)] for day, n in enumerate(STREAM)]


def said(database: Database, changed: LoopSpec) -> tuple[list[Fates], dict[str, Any]]:
    """Return, for each day, the keys of the tasks and of the outputs that pass, by the backtest; and its report."""
    assert changed.budget is not None
    with database.transaction() as conn:
        sent = ((row, placed) for row, placed in placements(conn, changed) if placed and placed.lane != Lane.PASS)
        days = list(daily.days(changed, changed.budget, _items(sent)))
        report = backtest_report(conn, changed, changed)
    assert [day.day for day in days] == [days[0].day + timedelta(days=i) for i in range(len(STREAM))]
    return [(sorted(one.key for one in day.tasks), sorted(one.key for one in day.passed)) for day in days], report


def stored_before(database: Database) -> None:
    """Store the outputs as they came under another rule, without a budget."""
    before = spec("{per_day: 1}").model_copy(update={"budget": None, "trigger": "model_confidence < 0.2"})
    with database.transaction() as conn:
        loops.register(conn, before)
        for day, some in enumerate(stream()):
            rows = [outputs.Row.of(one, lanes.place(one, before)) for one in some]
            outputs.insert(conn, before.name, rows)
            keys, ago = [one.key for one in some], timedelta(days=len(STREAM) - 1 - day)
            conn.execute("update outputs set received_at = received_at - %s where key = any(%s)", [ago, keys])


def answer_all(database: Database) -> None:
    """Let people answer all tasks, so that the window is empty."""
    with database.transaction() as conn:
        conn.execute("update outputs set state = 'answered' where state = 'in_review'")


def live(database: Database, limits: str, rest: str) -> list[Fates]:
    """Let the outputs come day after day, with a push on each; return what became of them on each day."""
    days, found = Days(database, limits, rest), list[Fates]()
    for some in stream():
        days.submit(*some)
        tasks = list[str]()
        while pushed := days.push():
            tasks += pushed
            answer_all(database)
        before = days.states()
        days.sleep()
        pass_over(database, days.spec)  # what the budget of the day kept out passes on the next day
        now = days.states()
        passed = sorted(key for key, state in now.items() if state == "passed" and before[key] != "passed")
        found.append((sorted(tasks), passed))
    with database.transaction() as conn:
        conn.execute("update outputs set received_at = received_at + interval '1 day'")
    return found


@pytest.mark.parametrize(("limits", "rest"), BUDGETS)
def test_the_live_budget_then_does_exactly_what_the_backtest_said(database: Database, limits: str, rest: str) -> None:
    changed = spec(limits, rest)
    stored_before(database)
    would, report = said(database, changed)
    with database.transaction() as conn:
        loops.archive(conn, "pets", "ada")
        removal.remove(conn, "pets")
        loops.restore(conn, "pets")
    found = live(database, limits, rest)
    assert found == would
    assert said(database, changed)[0] == found, "the outputs as the live rule placed them"

    # The report counts the same.
    placed = {one.key: (one, lanes.place(one, changed).lane) for some in stream() for one in some}
    sent = {key for key, (_, lane) in placed.items() if lane != Lane.PASS}
    counted = report["budget"]
    tasks, passed = [key for keys, _ in found for key in keys], [key for _, keys in found for key in keys]
    assert (counted["sent"], counted["tasks"], counted["passed"]) == (len(sent), len(tasks), len(passed))
    assert counted["waiting"] == len(sent) - len(tasks) - len(passed) == counted["days"][-1]["waiting"]
    assert [(day["tasks"], day["passed"]) for day in counted["days"]] == [(len(a), len(b)) for a, b in found]
    for part, caps in (("source", changed.budget.per_source), ("label", changed.budget.per_label)):  # type: ignore[union-attr]
        rows = {row["name"]: row for row in counted.get(part + "s", [])}
        if not caps:
            assert part + "s" not in counted
            continue
        for fate, keys in (("sent", sent), ("tasks", tasks), ("passed", passed)):
            by_name = Counter(getattr(placed[key][0], part) for key in keys)
            assert {name: row[fate] for name, row in rows.items() if row[fate]} == by_name
        assert sum(row["waiting"] for row in rows.values()) == counted["waiting"]


def test_a_budget_that_holds_nothing_back_makes_a_task_of_all_that_is_sent(database: Database) -> None:
    stored_before(database)
    _, report = said(database, spec("{per_day: 1000}", MIXED))
    counted = report["budget"]
    assert counted["tasks"] == counted["sent"] == report["asked"]["would"]
    assert [day["tasks"] for day in counted["days"]] == [day["sent"] for day in counted["days"]]


def test_the_command_prints_what_the_budget_makes_of_each_day(database: Database, tmp_path: Path) -> None:
    stored_before(database)
    file = tmp_path / "budget.yaml"
    file.write_text(
        f"feedback_loop: {{trigger: model_confidence < 0.9, labels: [cat, dog], {RULE_ONLY}, "
        'budget: {per_day: 20, per_source: {a: 5, "*": 9}, over: pass}}'
    )
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    words = ["backtest", "--spec", str(file)]
    found = json.loads(CliRunner().invoke(main, [*words, "--json"], env=env).stdout)["budget"]
    text = CliRunner().invoke(main, words, env=env).stdout
    assert (found["over"], len(found["days"])) == ("pass", len(STREAM))
    assert max(day["tasks"] for day in found["days"]) == 20
    assert found["passed"] > found["tasks"]
    last = f"{found['waiting']} wait at the end, and {found['passed']} pass.\n\nby day"
    assert f"The budget makes {found['tasks']} tasks of the {found['sent']} that the rule sends. {last}" in text
    assert "\nby label" not in text
    [example] = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert re.sub(DATE, "", text).endswith(re.sub(DATE, "", example))

"""Figures by day, people's names, and what a version is called: reports and charts of the review pages."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend.report.days import DAYS, days
from backend.report.runs import run_report
from backend.review import charts
from console.cli import main
from labelloop.answers import given
from labelloop.answers.people import Person
from labelloop.reading.ids import UserId
from labelloop.store.database import Database
from labelloop.store.questions.loops import agreement, response_times
from labelloop.store.tables import feedback
from tests.support.backend_factory import answer, put_into_label_studio, submit, texts_spec
from tests.support.judged_loop import JudgedLoop

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
CONFIG = texts_spec().config


def at(day: int, clock: str = "12:00") -> datetime:
    return datetime.fromisoformat(f"2026-07-{day:02}T{clock}:00+00:00")


@pytest.fixture
def loop(database: Database) -> str:
    """Four texts that came in on 1 and 3 July and were answered on 3 and 9 July, two of them held out."""
    spec = texts_spec(holdout=0.0)
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"{i}"} for i in range(4)], ["ham", "spam", "ham", "spam"])
        put_into_label_studio(conn, spec.name, 4)
        conn.execute("update outputs set received_at = %s", (at(3, "00:00"),))
        conn.execute("update outputs set received_at = %s where id = %s", (at(1, "23:59"), ids["item-0"]))
        conn.execute("update tasks set pushed_at = %s", (at(3, "10:00"),))
        for i in (0, 1):
            conn.execute("update outputs set holdout = true, lane = 'holdout' where id = %s", (ids[f"item-{i}"],))
        shown = {row["output_id"]: row["label"] for row in conn.execute("select output_id, label from tasks")}
        wrong = {"ham": "spam", "spam": "ham"}
        held_out = [ids["item-0"], ids["item-1"]]
        answer(conn, spec.name, {held_out[0]: shown[held_out[0]], held_out[1]: wrong[shown[held_out[1]]]})
        answer(conn, spec.name, {ids["item-2"]: "ham"})
        conn.execute("update answers set resolved_at = %s", (at(3),))
        conn.execute("update answers set resolved_at = %s where output_id = %s", (at(9, "00:00"), ids["item-2"]))
        answer(conn, spec.name, {ids["item-3"]: None})
    return spec.name


def test_each_day_has_what_happened_between_two_midnights_utc(database: Database, loop: str) -> None:
    with database.transaction() as conn:
        conn.execute("set local timezone = 'Pacific/Auckland'")
        found = {row["day"]: row for row in days(conn, loop, CONFIG, NOW)}
    assert list(found) == ["2026-07-01", "2026-07-03", "2026-07-09"], "a day without data has no row"
    first, third, last = found.values()
    assert (first["outputs"], first["for_people"], first["answers"]) == (1, 1, None)
    assert (third["outputs"], third["answers"], third["held_out"], third["correct"]) == (3, 2, 2, 1)
    assert third["accuracy"] == 0.5
    assert third["low"] < 0.5 < third["high"]
    assert third["task_median_s"] == 7200
    assert (last["outputs"], last["answers"], last["held_out"], last["accuracy"]) == (None, 1, None, None)
    assert last["person_median_s"] is None


def test_an_output_whose_answer_became_a_tie_on_the_same_day_is_not_answered(database: Database, loop: str) -> None:
    with database.transaction() as conn:
        answer(conn, loop, {conn.execute("select id from outputs where key = 'item-0'").fetchall()[0]["id"]: None})
        conn.execute("update answers set resolved_at = %s where label is null", (at(3, "13:00"),))
        found = {row["day"]: row for row in days(conn, loop, CONFIG, NOW)}
    assert (found["2026-07-03"]["answers"], found["2026-07-03"]["held_out"]) == (1, 1)


def test_answers_given_before_labelloop_chose_the_task_are_counted_and_measure_nothing(
    database: Database, loop: str
) -> None:
    with database.transaction() as conn:
        before = response_times(conn, loop)
        conn.execute(
            "insert into adopted_tasks (output_id, loop, instance, label_studio_id, data_sha256, chosen_by_people)"
            " select output_id, loop, (select instance from projects), label_studio_id, sha256(''), true from tasks"
        )
        found = {row["day"]: row for row in days(conn, loop, CONFIG, NOW)}
        after = response_times(conn, loop)
    third = found["2026-07-03"]
    assert (third["answers"], third["held_out"], third["accuracy"], third["task_median_s"]) == (2, None, None, None)
    assert before.task_median_s is not None
    assert (after.answers, after.task_median_s) == (before.answers, None)


def test_the_agreement_is_that_of_the_outputs_with_an_agreed_answer(database: Database, loop: str) -> None:
    with database.transaction() as conn:
        conn.execute("update answers set reviewers = 2, agreement = 1 where label is not null")
        conn.execute("update answers set reviewers = 2, agreement = null where label is null")
        found = agreement(conn, loop)
    assert (found.outputs, found.agreement, found.ties) == (3, 1, 1)


def test_no_day_before_the_limit_is_read(database: Database, loop: str) -> None:
    with database.transaction() as conn:
        late = [row["day"] for row in days(conn, loop, CONFIG, at(3) + timedelta(days=DAYS - 1))]
        assert late == ["2026-07-03", "2026-07-09"]
        assert days(conn, loop, CONFIG, at(10) + timedelta(days=DAYS)) == []


def test_figures_by_day_are_found_by_index(database: Database, loop: str) -> None:
    """The cost is that of the days, not of the loop's age: no step reads all outputs or all answers."""
    plans = []

    class Explaining:
        """In place of a connection and its cursor: asks for the plan of a statement, and finds no row."""

        def cursor(self, **_: Any) -> Explaining:
            return self

        def execute(self, statement: str, values: Any) -> Any:
            plans.append(json.dumps(conn.execute(f"explain (format json) {statement}", values).fetchall()))
            return conn.execute("select where false")

    with database.transaction() as conn:
        conn.execute("set local enable_seqscan = off")  # four rows would be read as a whole
        days(Explaining(), loop, CONFIG, NOW)  # type: ignore[arg-type]
    assert ["outputs_by_day" in plan for plan in plans] == [True, False, False]
    assert ["answers_by_day" in plan for plan in plans] == [False, True, True]
    assert not any("Seq Scan" in plan for plan in plans)


def row(day: str, **values: Any) -> dict[str, Any]:
    names = {name for columns in charts.BY_DAY.values() for name in columns}
    return {"day": day, "metric": "accuracy", **dict.fromkeys(names), **values}


def test_a_line_is_broken_where_a_day_has_no_data_and_the_axis_says_utc() -> None:
    def lines(*rows: dict[str, Any]) -> int:
        drawn = charts.by_day(rows)["accuracy"]
        wide = drawn.partition('<div class="chart narrow">')[0]
        assert "day (UTC)" in wide
        assert "95 % CI" in wide
        (path,) = re.findall(r'<path d="([^"]*)" clip-path[^>]*stroke="#3b82f6" stroke-linecap="square"', wide)
        return str(path).count("M")

    measured = {"accuracy": 0.8, "low": 0.6, "high": 0.9, "held_out": 20}
    together = [row(f"2026-07-0{i}", **measured) for i in (1, 2, 3)]
    assert lines(*together) == 1
    assert lines(*together[:2], row("2026-07-05", **measured), row("2026-07-06", **measured)) == 2


def test_a_chart_needs_two_days_and_shows_only_measured_values() -> None:
    drawn = charts.by_day([row("2026-07-01", outputs=3, for_people=3), row("2026-07-02", outputs=2)])
    assert [name for name, chart in drawn.items() if chart] == ["intake"]
    assert not any(charts.by_day([row("2026-07-01", outputs=3)]).values())


def test_every_chart_is_drawn_for_a_laptop_and_for_a_phone_with_its_own_ids() -> None:
    drawn = charts.by_day([row("2026-07-01", outputs=3, for_people=3), row("2026-07-02", outputs=2)])["intake"]
    ids = re.findall(r' id="([^"]+)"', drawn)
    assert len(ids) == len(set(ids))
    assert {name.split("-")[1] for name in ids} == {"wide", "narrow"}


def test_a_slice_by_reviewer_is_shown_by_name_and_kept_by_number(judged_loop_copy: JudgedLoop) -> None:
    fell = {"by": "reviewer", "value": "user 7", "n": 24, "champion": 0.9, "challenger": 0.7, "gain": -0.2,
            "low": -0.35, "high": -0.05, "fell": True}  # fmt: skip
    with Database(judged_loop_copy.url) as database, database.transaction() as conn:
        project = conn.execute("select instance from projects").fetchone()
        assert project is not None
        known = {UserId(7): Person("zoe@example.org", "Zoë Li"), UserId(71): None}
        http = given.user_id("otto@x.org")
        feedback.upsert_reviewers(conn, project["instance"], known)
        feedback.upsert_reviewers(conn, given.instance_of("digits"), {http: Person("otto@x.org", "otto")})
        feedback.upsert_reviewers(conn, given.instance_of("others"), {UserId(71): Person("eve@x.org", "Eve")})
        conn.execute(
            "update retrain_runs set reasons = array[%s], scores = jsonb_set(scores, '{slices}', %s)",
            (
                f"reviewer user 7 got worse by 20.0 points, reviewer user {http} by 10.0, reviewer user 71 did not",
                json.dumps([fell, {**fell, "value": f"user {http}"}]),
            ),
        )
        run = run_report(conn, judged_loop_copy.run)
        kept = conn.execute("select scores -> 'slices' -> 0 ->> 'value' as value from retrain_runs").fetchone()
    assert run["reasons"] == [
        "reviewer Zoë Li got worse by 20.0 points, reviewer otto by 10.0, reviewer user 71 did not"
    ]
    assert [(slice["value"], slice["shown"]) for slice in run["slices"]] == [
        ("user 7", "Zoë Li"),
        (f"user {http}", "otto"),
    ]
    assert kept == {"value": "user 7"}, "cards and verdicts are passed on"


def test_the_command_line_names_a_version_and_keeps_what_it_was_called(
    judged_loop_copy: JudgedLoop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", judged_loop_copy.url)
    with Database(judged_loop_copy.url) as database, database.transaction() as conn:
        version = run_report(conn, judged_loop_copy.run)["challenger"]["version"]

    def cli(*words: str) -> Any:
        return CliRunner().invoke(main, ["versions", *words])

    assert cli(version[:12], "--name", "Sevens", "--tag", "audited", "--tag", "eu", "--by", "ann").exit_code == 0
    done = json.loads(cli(version[:12], "--note", "fine", "--by", "ben", "--json").stdout)
    assert (done["called"], done["tags"], done["note"]) == ("Sevens", ["audited", "eu"], "fine")
    assert [(d["by"], d["note"]) for d in done["descriptions"]] == [("ben", "fine"), ("ann", None)]
    cleared = json.loads(cli(version[:12], "--name", "", "--tag", "", "--json", "--by", "ann").stdout)
    assert (cleared["called"], cleared["tags"], cleared["note"]) == (None, [], "fine")
    same = json.loads(cli(version[:12], "--note", "fine", "--json", "--by", "ann").stdout)
    assert len(same["descriptions"]) == 3, "what changes nothing is no change"
    assert cli("--name", "x").exit_code == 2
    wrong = cli(version[:12], "--name", "x" * 61, "--by", os.environ.get("USER", "me"))
    assert (wrong.exit_code, "at most 60 characters" in wrong.stderr) == (2, True)

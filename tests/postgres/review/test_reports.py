"""Reports of loops, runs and versions: what pages, HTTP and command line have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from backend.report.loops import loop_report, overview_report
from backend.report.pairs import paired
from backend.report.runs import run_report
from backend.report.shown import excerpts, is_picture, task_url
from backend.report.versions import comparison, version_report
from console.cli import main
from labelloop.errors import UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.store.database import Database
from labelloop.store.questions.versions import AnswerInCommon
from labelloop.store.tables import runs
from tests.support.backend_factory import answer, digits_loop, digits_spec, submit, texts_spec
from tests.support.judged_loop import JudgedLoop


@pytest.fixture
def judged(judged_loop_copy: JudgedLoop) -> Iterator[tuple[Database, UUID]]:
    with Database(judged_loop_copy.url) as database:
        yield database, judged_loop_copy.run


def test_reports_of_a_judged_run_are_json_and_say_what_was_measured(judged: tuple[Database, UUID]) -> None:
    database, second = judged
    with database.transaction() as conn:
        everything = overview_report(conn)
        loop = loop_report(conn, "digits")
        run = run_report(conn, second, label_studio_url="http://studio.example/")
        version = version_report(conn, run["challenger"]["name"])
        both = comparison(conn, run["champion"]["name"], run["challenger"]["name"])
        own = comparison(conn, "pipeline", run["champion"]["name"])
    for report in (everything, loop, run, version, both, own):
        assert json.loads(json.dumps(report, allow_nan=False)) == report

    (summary,) = everything["loops"]
    assert summary["in_review"] == 150
    assert summary["champion"]["accuracy"]["run"] == str(second), "the newest measurement, as the champion of that run"
    assert any("needs your decision" in need["what"] for need in summary["needs_you"])
    assert [r["status"] for r in loop["runs"]] == ["asking", "promoted"]
    assert loop["fall"]["judged_on"] > 0
    assert "held-out answers" in loop["fall"]["words"]
    assert [v["trained_on"] for v in loop["curve"]] == sorted(v["trained_on"] for v in loop["curve"])

    assert run["champion"]["version"] == summary["champion"]["version"] != run["challenger"]["version"]
    assert run["taught"] + run["held_out"] == 200
    assert run["disagreements"]["total"] == len(run["disagreements"]["items"])
    for item in run["disagreements"]["items"]:
        assert item["champion_label"] != item["challenger_label"]
        assert item["right"] == next(
            (s for s in ("champion", "challenger") if item[f"{s}_label"] == item["answer"]), None
        )
        assert item["task"] is None or item["task"].startswith("http://studio.example/projects/30/data?task=")
    assert {r["as"] for r in version["runs"]} == {"challenger"}
    assert (both["better"], both["worse"], both["holdout"]) == (run["better"], run["worse"], run["held_out"])
    assert own["holdout"] < both["holdout"], "the pipeline was judged by the first run alone"


def test_the_command_line_shows_the_loops_at_a_glance(
    judged: tuple[Database, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = judged
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", database.url)
    with database.transaction() as conn:
        wanted = overview_report(conn)["loops"]
    assert json.loads(CliRunner().invoke(main, ["loops", "--json"]).stdout) == wanted
    assert "needs your decision" in " ".join(CliRunner().invoke(main, ["loops"]).stdout.split())


def test_a_run_of_an_older_labelloop_lacks_scores_and_is_reported_all_the_same(judged: tuple[Database, UUID]) -> None:
    database, second = judged
    kept = ("holdout", "trained_on", "champion", "challenger", "better", "worse", "p")
    with database.transaction() as conn:
        conn.execute(
            "update retrain_runs set scores = (select jsonb_object_agg(key, value) from jsonb_each(scores)"
            " where key = any(%s))",
            (list(kept),),
        )
        run = run_report(conn, second)
        assert run["gain"] is run["slices"] is run["confusion"] is run["identity"] is None
        assert run["reviewers"] == {"people": 0, "answered_by_several": 0, "agreement": None}
        conn.execute("update retrain_runs set scores = null, version_id = null, status = 'failed', error = 'x'")
        conn.execute("update retrain_runs set status = 'failed'")
        assert run_report(conn, second)["challenger"] is None
        assert loop_report(conn, "digits")["curve"] == []
        assert overview_report(conn)["loops"][0]["champion"]["accuracy"] is None


def test_a_loop_at_its_beginning_is_reported(database: Database) -> None:
    digits_loop(database, n=10, answered=0)
    with database.transaction() as conn:
        loop = loop_report(conn, "digits")
        runs.request(conn, "digits", "by hand")
        run = run_report(conn, runs.latest(conn, "digits")[0].id)
    assert loop["champion"]["name"] == "pipeline"
    assert loop["latest_run"] is None
    assert any("no task is open" in need["what"] for need in loop["needs_you"])
    assert run["verdict"] == "Queued: it starts when the backend's worker is free."


def test_an_unknown_run_or_version_is_an_error_with_a_sentence(judged: tuple[Database, UUID]) -> None:
    database, second = judged
    spec = texts_spec()
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": "a"}, {"text": "b"}], ["ham", "spam"])
        answer(conn, spec.name, dict(zip(ids.values(), ["ham", "spam"], strict=True)))
        champion = run_report(conn, second)["champion"]["name"]
        cases: list[tuple[Callable[[], object], str]] = [
            (lambda: loop_report(conn, "nope"), "no loop 'nope'; there are: digits, texts"),
            (lambda: run_report(conn, "../etc"), "no run begins with"),
            (lambda: run_report(conn, "%"), "no run begins with"),
            (lambda: run_report(conn, ""), "no run begins with"),
            (lambda: version_report(conn, "zz"), "no version begins with 'zz'"),
            (lambda: comparison(conn, champion, champion), "is on both sides"),
            (lambda: comparison(conn, "pipeline", "pipeline"), "is on both sides"),
        ]
        for wrong, said in cases:
            with pytest.raises(UsageError, match=said):
                wrong()


def compared(rows: list[AnswerInCommon]) -> dict[str, Any]:
    return paired(digits_spec().config, rows, "aaa", "bbb")


def test_versions_without_a_common_hold_out_are_not_compared() -> None:
    found = compared([])
    assert found["holdout"] == 0
    assert found["p"] is found["gain"] is found["accuracy_a"]["accuracy"] is None
    assert "cannot be compared" in found["said"]


def test_a_paired_comparison_counts_only_where_one_is_right() -> None:
    rows = [AnswerInCommon("k", "1", "1", "1")] * 5 + [AnswerInCommon("k", one="7", other="1", label="1")] * 9
    found = compared(rows)
    assert (found["better"], found["worse"], found["differ"]) == (9, 0, 9)
    assert found["p"] == pytest.approx(2 * 0.5**9)
    assert found["said"].startswith("bbb is better: of 14 held-out answers that judged both, bbb does better on 9")
    assert compared(rows[:6])["said"].startswith("no difference beyond chance")
    other_way = compared([replace(row, one=row.other, other=row.one) for row in rows])
    assert other_way["p"] == found["p"], "two-sided"
    assert other_way["said"].startswith("aaa is better")


def test_answers_of_several_labels_are_compared_by_how_near_they_are() -> None:
    config = LabelingConfig.parse(
        '<View><Text name="t" value="$t"/><Choices name="label" toName="t" choice="multiple">'
        '<Choice value="a"/><Choice value="b"/></Choices></View>'
    )
    rows = [AnswerInCommon("k", one='["a"]', other='["a", "b"]', label='["a", "b"]')] * 8
    found = paired(config, rows, "aaa", "bbb")
    assert found["metric"] == "score"
    assert found["accuracy_a"]["accuracy"] == pytest.approx(0.5)
    assert found["gain"]["value"] == pytest.approx(0.5)
    assert found["better"] == 8


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", True),
        ("data:image/svg+xml;base64,PHN2Zz4=", False),
        ("data:text/html;base64,PHN2Zz4=", False),
        ("http://elsewhere.example/a.png", False),
        ('data:image/png;base64,a"onerror="x', False),
        ("data:image/png;base64,iVBORw0KGgo=\n", False),
    ],
)
def test_only_rasters_that_come_with_the_item_are_pictures(value: str, shown: bool) -> None:
    assert is_picture(value) is shown


def test_long_texts_are_cut_and_our_own_fields_left_out() -> None:
    found = excerpts(
        {"text": "a" * 1000, "n": 3, "labelloop_key": "k", "image": "data:image/png;base64," + "A" * 200_000}
    )
    assert list(found) == ["text", "n", "image"]
    assert found["text"].endswith("... (1000 characters)")
    assert len(found["image"]) < 100


def test_a_link_leads_to_a_web_address_or_nowhere() -> None:
    assert task_url("http://ls/", ProjectId(3), TaskId(7)) == "http://ls/projects/3/data?task=7"
    assert task_url("javascript:alert(1)//", ProjectId(3), TaskId(7)) is None
    assert task_url("http://ls", None, TaskId(7)) is None

"""Boxes on the review pages: short texts, one rule of correctness, and item scores under their own name."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser
from werkzeug.serving import make_server

from backend.report.loops import loop_report
from backend.report.people import people_report
from backend.report.runs import run_report
from backend.service import create_app
from labelloop.store.database import Database
from labelloop.store.tables import access
from tests.support.backend_factory import settings_for
from tests.support.review.boxes_factory import judged_boxes
from tests.support.review.desk import LAPTOP, PHONE, Desk, check
from tests.support.review.review_house import SECRET


def test_boxes_are_correct_by_the_item_score_in_each_figure_of_a_run(database: Database) -> None:
    run_id = judged_boxes(database)
    with database.transaction() as conn:
        run = run_report(conn, run_id)
    items = run["disagreements"]["items"]
    correct = {who: sum(item["right"] in (who, "both") for item in items) for who in ("champion", "challenger")}
    assert run["metric"] == "score"
    assert run["disagreements"]["total"] == len(items) == run["held_out"] - 1, "one pair of predictions is the same"
    assert run["champion"]["correct"] == correct["champion"] + 1, "both are correct on that item"
    assert run["challenger"]["correct"] == correct["challenger"] + 1
    assert correct["challenger"] > 0, "a box that is 0.2 % off is correct"
    for item in items:
        assert (item["challenger_score"] == 1) == (item["right"] in ("challenger", "both"))
    leads = [item["champion_score"] - item["challenger_score"] for item in items]
    assert leads == sorted(leads), "the champion is better nowhere, and the largest lead comes first"
    brief = items[0]["brief"]
    assert brief == {
        "answer": "3 square, 1 disc",
        "champion_label": "3 square, 1 disc",
        "challenger_label": brief["challenger_label"],
    }
    assert {item["brief"]["challenger_label"] for item in items} == {"3 square, 1 disc", "3 square"}
    assert "regions of an image" in run["no_confusion"]


def test_in_shadow_a_near_box_is_correct(database: Database) -> None:
    run_id = judged_boxes(database)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'shadow' where id = %s", (run_id,))
        conn.execute(
            "insert into shadow_items (run_id, output_id, champion_label, champion_confidence, challenger_label,"
            " challenger_confidence) select run_id, output_id, champion_label, 0.5, challenger_label, 0.5"
            " from run_items where run_id = %s and part = 'holdout'",
            (run_id,),
        )
        run = run_report(conn, run_id)
    found = run["shadow"]
    assert (found["outputs"], found["answered"]) == (run["held_out"], run["held_out"])
    assert found["champion_right"] == run["champion"]["correct"]
    assert found["challenger_right"] == run["challenger"]["correct"]


def test_the_loop_of_boxes_measures_item_scores_and_calls_them_so(database: Database) -> None:
    judged_boxes(database)
    with database.transaction() as conn:
        loop = loop_report(conn, "shapes")
        people = people_report(conn, "shapes", "")
    [day] = loop["days"]
    assert loop["metric"] == people["metric"] == day["metric"] == "score"
    assert day["accuracy"] == 0.5, "half of the pipeline's boxes are correct in each picture"
    assert day["correct"] == 0
    # Without a learner nothing is ever promoted, so no answer is missing for that.
    assert not [need for need in loop["needs_you"] if need["kind"] == "answers"], (
        "without a learner nothing is promoted"
    )


def test_the_pages_of_boxes_fit_and_can_be_read(database: Database, browser: Browser, tmp_path: Path) -> None:
    run_id = judged_boxes(database)
    settings = replace(settings_for(database.url, tmp_path), secret_key=SECRET)
    with database.transaction() as conn:
        token = access.add(conn, "mira", ["review", "promote"])
    server = make_server("127.0.0.1", 0, create_app(settings, database), threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    desk = Desk(f"http://127.0.0.1:{server.port}", browser, database, token, str(run_id), "", "")
    try:
        with desk.page(LAPTOP) as page:
            desk.log_in(page, f"/review/runs/{run_id}")
            table = page.locator("table.answers")
            size = "node => [node.scrollWidth, node.parentElement.clientWidth]"
            wide, room = table.evaluate(size)
            assert wide <= room
            words = table.inner_text()
            assert "3 square, 1 disc" in words
            assert "'label'" not in words
            closed = table.locator("summary").all()
            closed[0].click()
            assert '"label":"disc"' in table.inner_text(), "the stored text is behind the short one"
            wide, room = table.evaluate(size)
            assert wide <= room
            body = page.inner_text("main")
            assert "1,700 ms" in body
            assert "this loop asks for regions of an image" in body
            check(page)
            page.goto(f"{desk.base}/review/loops/shapes")
            body = page.inner_text("main")
            assert "Champion's mean item score" in body
            assert "Accuracy" not in body
            check(page)
        with desk.page(PHONE) as page:
            desk.log_in(page, f"/review/runs/{run_id}")
            check(page)
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    assert desk.strays == []

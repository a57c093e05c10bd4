"""The pages about accuracy and about a judge, in a real browser and as JSON."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import ViewportSize, expect

from labelloop.store.tables import loops
from tests.support.hops.judged_outputs import Verdicts, judge_spec
from tests.support.review.desk import LAPTOP, PHONE, Desk, check, check_tables_are_whole
from tests.support.review.review_house import XSS, House
from tests.support.review.stream import Stream, a_spec, predict, promote, with_sources


def a_stream(desk: Desk | House) -> None:
    with desk.database.transaction() as conn:
        stream = Stream(conn, a_spec())
        with_sources(conn, stream)
        promote(conn, "texts")
        predict(conn, stream, right=0.9)


def a_judge(desk: Desk | House, *, tpr: float = 0.95) -> None:
    with desk.database.transaction() as conn:
        loop = Verdicts(conn, judge_spec().model_copy(update={"name": "answers"}))
        ids = loop.come(900, tpr=tpr, tnr=0.93)
        loop.draw(ids)
        loop.answer(ids)
        loop.answer(ids, "rule")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_pages_can_be_read_on_a_laptop_and_a_phone_and_the_loop_leads_to_them(
    desk: Desk, viewport: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    a_stream(desk)
    a_judge(desk)
    size = "wide" if viewport == LAPTOP else "narrow"
    with desk.page(viewport, scheme) as page:
        desk.log_in(page, "/review/loops/texts")
        page.get_by_role("link", name="By week, source and label, and that of the champion").click()
        expect(page.locator("h1")).to_have_text("How often texts is incorrect")
        assert page.locator(f".chart.{size} svg:visible").count() == 1
        page.get_by_text("Weeks as a table").click()
        check_tables_are_whole(page)
        check(page)
        page.goto(f"{desk.base}/review/loops/texts/progress")
        check_tables_are_whole(page)
        check(page)
        page.goto(f"{desk.base}/review/loops/answers")
        page.get_by_role("link", name="Is the judge right?").click()
        expect(page.locator("p.verdict")).to_contain_text("Certified: judge judge-1")
        check_tables_are_whole(page)
        assert page.locator(f".chart.{size} svg:visible").count() == 1
        check(page)


def test_the_same_is_there_as_json(house: House) -> None:
    a_stream(house)
    a_judge(house, tpr=0.6)
    client = house.client()
    found = client.get("/v1/review/loops/texts/accuracy", headers=house.bearer()).get_json()
    assert 0 < found["low"] < found["value"] < found["high"] < 1
    assert found["champion"]["name"] == "c" * 12
    assert len(found["by"]["week"]) >= 8
    found = client.get("/v1/review/loops/answers/judge", headers=house.bearer()).get_json()
    assert (found["status"], found["needed"]["positive"]) == ("not certified", None)
    said = client.get("/v1/review/loops/answers", headers=house.bearer()).get_json()["judge"]
    assert said == found["sentences"][0]
    page = house.logged_in().get("/review/loops/answers/judge").text
    assert "<p>No number of answers is likely to certify TPR" in page
    assert "Only these looks decide." in page
    refused = client.get("/v1/review/loops/texts/judge", headers=house.bearer())
    assert refused.status_code == 404
    assert "loop texts has no judge" in refused.text
    refused = client.get("/v1/review/loops/digits/judge", headers=house.bearer())
    assert 'add `judge: {positive: "0"}` to its loop.yaml' in refused.get_json()["error"], "YAML reads 0 as a number"
    assert house.logged_in().get("/review/loops/digits/accuracy").status_code == 200
    with house.database.transaction() as conn:
        loops.register(conn, judge_spec().model_copy(update={"name": "new"}))
    page = house.logged_in().get("/review/loops/new/accuracy").text
    assert "so there is nothing to estimate." in page
    assert "<h2>All that is known</h2>" not in page, "no heading without a sentence"


def test_json_can_name_the_judge_and_unknown_parameters_and_values_are_refused(house: House) -> None:
    a_judge(house)
    client, path = house.client(), "/v1/review/loops/answers"
    named = client.get(f"{path}/judge?model_version=judge-1", headers=house.bearer())
    assert (named.status_code, named.get_json()["judge"]) == (200, "judge-1")
    for address, said in (
        ("judge?model_version=nope", "no output of loop answers is of the version 'nope'; there are: 'judge-1'"),
        ("judge?version=judge-1", "this report has no parameter 'version'; it takes: model_version"),
        ("accuracy?by=month", "this report has no parameter 'by'; it takes none"),
    ):
        refused = client.get(f"{path}/{address}", headers=house.bearer())
        assert (refused.status_code, said in refused.get_json()["error"]) == (400, True), refused.text
        assert house.logged_in().get(f"/review/loops/answers/{address}").status_code == 400
    assert client.get("/v1/review/loops/nothing/judge", headers=house.bearer()).status_code == 404


def test_the_loops_page_has_a_line_a_step_and_shows_its_name_as_text(house: House) -> None:
    path = "/review/loops/digits"
    assert "By step" not in house.logged_in().get(path).text
    with house.database.transaction() as conn:
        conn.execute("update outputs set step = %s, trace = key", [XSS])
    page = house.logged_in().get(path).text
    assert "<h3>By step</h3>" in page
    assert "Rest on a corrected step" in page
    assert "<script>alert" not in page

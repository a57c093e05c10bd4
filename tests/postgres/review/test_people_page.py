"""The page on which people see what their answers did."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import ViewportSize

from labelloop.answers.people import Person
from labelloop.reading.ids import UserId
from labelloop.store.tables import access, feedback
from tests.support.review.desk import LAPTOP, PHONE, Desk, check, check_tables_are_whole
from tests.support.review.opinions import crowd
from tests.support.review.review_house import House, log_in


def answered(house: House, email: str, n: int) -> None:
    """Let a person with this address have answered so many outputs, a year from now."""
    with house.database.transaction() as conn:
        project = conn.execute("select instance from projects").fetchone()
        assert project is not None
        feedback.upsert_reviewers(conn, project["instance"], {UserId(7): Person(email, email.partition("@")[0])})
        conn.execute(
            """
            insert into feedback (id, model_output_id, reviewer_id, label, annotation_id, created_at, updated_at)
            select gen_random_uuid(), o.id, r.id, '1', row_number() over (order by o.key), now() + interval '1 year',
                now() + interval '1 year'
            from (select * from outputs order by key limit %s) o cross join reviewers r
            """,
            (n,),
        )


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_person_reads_how_much_they_answered_and_what_the_model_became(house: House) -> None:
    answered(house, "anne@example.org", 140)
    with house.database.transaction() as conn:
        token = access.add(conn, "anne@example.org", ["review"])
        rows = conn.execute("select scores from retrain_runs order by finished_at").fetchall()
    was, now = (f"{100 * row['scores']['champion']['accuracy']:.0f}" for row in rows)
    client = house.client()
    log_in(client, token)
    answer = client.get("/review/loops/digits/people")
    assert answer.status_code == 200
    assert f"People gave 140 answers; the accuracy of the model went from {was} to {now} %." in text(answer.text)
    assert f"You answered 140 ; the accuracy of the model went from {was} to {now} %." in text(answer.text)
    log_in(client, house.tokens["otto"])
    shown = client.get("/review/loops/digits/people").text
    assert "You answered" not in shown
    assert "anne answered 140; the accuracy of the model went" in text(shown), re.findall("<li>.*", shown)
    assert "/review/loops/digits/people" in client.get("/review/loops/digits").text
    told = client.get("/v1/review/loops/digits/people", headers={"Authorization": f"Bearer {token}"}).get_json()
    assert (told["loop"], told["answers"]) == ("digits", 140)
    [anne] = told["people"]
    assert (anne["name"], anne["answered"], anne["you"]) == ("anne", 140, True)


def test_the_page_has_the_rules_of_the_others(house: House) -> None:
    client = house.client()
    answer = client.get("/review/loops/digits/people")
    assert (answer.status_code, answer.location) == (303, "/review/login?next=/review/loops/digits/people")
    with house.database.transaction() as conn:
        token = access.add(conn, "robot", ["submit"])
    asked = client.get("/review/loops/digits/people", headers={"Authorization": f"Bearer {token}"})
    assert asked.status_code == 403
    log_in(client, house.tokens["otto"])
    assert client.get("/review/loops/nothing/people").status_code == 404
    assert client.get("/v1/review/loops/digits/people").status_code == 401
    assert client.get("/v1/review/loops/nothing/people", headers=house.bearer("otto")).status_code == 404


def test_the_page_can_be_used_by_everybody(desk: Desk) -> None:
    with desk.page() as page:
        desk.log_in(page)
        page.goto(f"{desk.base}/review/loops/digits/people")
        page.get_by_text("the model went from").first.wait_for()
        check(page)


def test_the_page_about_opinions_shows_quality_and_gold_on_a_screen_and_on_a_phone(desk: Desk) -> None:
    crowd(desk.database)
    for viewport in (LAPTOP, PHONE):
        with desk.page(viewport=viewport) as page:
            desk.log_in(page)
            page.goto(f"{desk.base}/review/loops/pets")
            page.get_by_role("link", name="How certain the answers are, and how good each person is").click()
            page.get_by_role("heading", name="Opinions on pets").wait_for()
            for words in ("Gold that looks wrong", "k0000", "7 of 7"):
                page.get_by_text(words, exact=False).first.wait_for()
            check_tables_are_whole(page)
            check(page)
            token = {"Authorization": f"Bearer {desk.token}"}
            told = page.request.get(f"{desk.base}/v1/review/loops/pets/opinions", headers=token).json()
            assert told["gold"]["contradicted"] == 1
            assert page.request.get(f"{desk.base}/v1/review/loops/no/opinions", headers=token).status == 404
    assert not desk.strays


@pytest.mark.parametrize(("viewport", "longest"), [(LAPTOP, 26), (PHONE, 14)], ids=["laptop", "phone"])
def test_names_and_captions_are_whole_on_the_page_of_opinions(desk: Desk, viewport: ViewportSize, longest: int) -> None:
    crowd(desk.database)
    names = ("emil@example.org", "margareta.wallenberg-moeller-1", "margareta.wallenberg-moeller-2")
    with desk.database.transaction() as conn:
        for old, new in zip(("p1", "p2", "p3"), names, strict=True):
            conn.execute("update reviewers set name = %s where name = %s", (new, old))
    with desk.page(viewport) as page:
        desk.log_in(page, "/review/loops/pets/opinions")
        chart = page.locator(".chart svg:visible").nth(1)
        left = chart.evaluate("node => node.getBoundingClientRect().left")
        shown = chart.locator("text").evaluate_all(
            "nodes => nodes.map(node => [node.textContent, node.getBoundingClientRect().left])"
        )
        drawn = {words.strip(): at for words, at in shown}
        for name in names:
            end = (longest - 3) // 2
            short = name if len(name) <= longest else f"{name[: longest - 3 - end]}...{name[-end:]}"
            assert len(short) <= longest
            assert drawn[short] >= left, f"{short} is cut on the left"
        ends = page.locator("caption:visible").evaluate_all(
            "nodes => nodes.map(node => node.getBoundingClientRect().right)"
        )
        assert len(ends) == 3
        assert max(ends) <= viewport["width"]
        check(page)

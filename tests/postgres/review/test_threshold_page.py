"""The page about what passes unseen: words, the curve and its table, for everybody, and the same as JSON."""

from __future__ import annotations

from backend.train.certify import revoke
from labelloop.store.promises import certificates
from labelloop.store.tables import loops
from tests.support.data.imported import loop
from tests.support.hops.accepting_desk import AcceptingDesk
from tests.support.review.desk import PHONE, Desk, check
from tests.support.review.review_house import House, log_in


def certified(people: AcceptingDesk) -> str:
    people.send("a", 1500)
    chosen = people.chosen()
    shaky = [
        i for i, (_, key) in enumerate(chosen) if i % 5 == 0 and people.confidences[key] < 0.93
    ]  # fmt: skip
    people.people_say(chosen, wrong=[*range(0, len(chosen), 150), *shaky])
    made = people.certify()
    assert made is not None
    return str(made.id)[:8]


def test_the_page_shows_the_curve_and_the_certificate(desk: Desk) -> None:
    name = certified(AcceptingDesk(desk.database))
    with desk.page() as page:
        desk.log_in(page)
        page.goto(f"{desk.base}/review/loops/pets")
        page.get_by_role("link", name="What passes unseen, and by which promise").click()
        page.get_by_text(f"Certificate {name} is in force since").wait_for()
        assert page.locator(".chart.wide svg:visible").count() == 1
        assert page.get_by_role("cell", name="yes").count() > 3
        check(page)
        page.get_by_role("link", name="Show a curve of each label too").click()
        page.get_by_role("region", name="Incorrect answers by confidence, label eel").wait_for()
        check(page)
    with desk.page(PHONE, "dark") as page:
        desk.log_in(page)
        page.goto(f"{desk.base}/review/loops/pets/threshold")
        page.get_by_text(f"Certificate {name} is in force since").wait_for()
        check(page)


def test_the_page_says_where_the_test_begins_and_cuts_no_column(desk: Desk) -> None:
    people = AcceptingDesk(desk.database)
    certified(people)
    with desk.database.transaction() as conn:
        now = certificates.in_force(conn, "pets")
        assert now is not None
        why = "the guide of March was wrong about cats that look like dogs"
        assert revoke(conn, people.spec, now, "olga@example.org", why)
    people.send("b", 400)
    with desk.page() as page:
        desk.log_in(page)
        page.goto(f"{desk.base}/review/loops/pets/threshold")
        page.get_by_text("It does not decide what passes: the test does. The test would now begin at").wait_for()
        assert page.get_by_text("The promise can be kept as far as").count() == 0
        assert page.get_by_role("cell", name="no", exact=True).count() > 3
        region = page.get_by_role("region", name="Certificates that ended, newest first")
        assert region.evaluate("one => one.scrollWidth <= one.clientWidth")
        check(page)


def test_the_page_has_the_rules_of_the_others_and_the_same_as_json(house: House) -> None:
    client = house.client()
    answer = client.get("/review/loops/digits/threshold")
    assert answer.status_code == 303
    log_in(client, house.tokens["otto"])
    shown = client.get("/review/loops/digits/threshold")
    assert shown.status_code == 200
    assert "This loop makes no promise about what passes unseen." in shown.text
    assert "It would promise: of what passes unseen at most 5 % is incorrect" in shown.text
    assert "The promise: " not in shown.text
    assert ">1,810<" in shown.text
    assert client.get("/review/loops/nothing/threshold").status_code == 404
    told = client.get("/v1/review/loops/digits/threshold", headers=house.bearer("otto")).get_json()
    assert (told["loop"], told["promise"]["is_set"], told["certificate"]) == ("digits", False, None)


def test_a_curve_of_each_label_is_on_the_page_and_in_the_json_where_it_is_asked_for(house: House) -> None:
    people = AcceptingDesk(house.database)
    certified(people)
    client, path = house.client(), "/v1/review/loops/pets/threshold"
    plain = client.get(path, headers=house.bearer()).get_json()
    assert ([curve["label"] for curve in plain["curves"]], plain["by"]) == ([None], None)
    told = client.get(f"{path}?by=label", headers=house.bearer()).get_json()
    assert ([curve["label"] for curve in told["curves"]], told["by"]) == ([None, "cat", "dog", "eel"], "label")
    browser = house.logged_in()
    page = browser.get("/review/loops/pets/threshold").text
    assert "Label eel" not in page
    assert 'href="/review/loops/pets/threshold?by=label"' in page
    page = browser.get("/review/loops/pets/threshold?by=label").text
    assert page.count("<h2>Label ") == 3
    assert "the test does. The test begins at " in page
    assert "?by=label" not in page, "nothing more to show"
    with house.database.transaction() as conn:
        loops.register(conn, loop("stars"))
        loops.register(conn, loop("tags"))
    assert "?by=label" not in browser.get("/review/loops/tags/threshold").text
    for address, said in (
        ("pets/threshold?by=week", "there are no curves by 'week'; there are curves by: label"),
        ("pets/threshold?of=label", "this report has no parameter 'of'; it takes: by"),
        ("stars/threshold?by=label", "no curve of each label: the answer of loop 'stars' is "),
        ("tags/threshold?by=label", "no curve of each label: the answer of loop 'tags' is several labels"),
    ):
        refused = client.get(f"/v1/review/loops/{address}", headers=house.bearer())
        assert (refused.status_code, said in refused.get_json()["error"]) == (400, True), refused.text
        assert browser.get(f"/review/loops/{address}").status_code == 400

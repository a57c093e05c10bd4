"""People are distrusted, and trusted again, on the page of the people at work: in a real browser and over real HTTP."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server

from backend.review import distrusting
from backend.review.actions import Action, Confirmation
from backend.review.own_page import link
from backend.service import create_app
from labelloop.errors import Conflict
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.people import decisions, who
from labelloop.store.people.decisions import Decision
from labelloop.store.tables import access, jobs, loops, projects, versions
from sync.worker import SyncJobs, duties
from tests.support.backend_factory import settings_for, submit, texts_spec
from tests.support.hops.judged_texts import champion_of, judged, texts_loop, truth
from tests.support.hops.people import NAMES, Said, put_to_people, say
from tests.support.review.browser import a_browser
from tests.support.review.desk import LAPTOP, PHONE, Desk, check, check_tables_are_whole

WORKING = "/review/loops/texts/working"
DISTRUST = "/review/loops/texts/distrust"
TRUST = "/review/loops/texts/trust"
MORNING = "2026-05-04T09:00"


@contextmanager
def served(database: Database, settings: Settings) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(settings, database), threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return replace(settings_for(database_url, tmp_path), secret_key="a long random text")


def states(database: Database) -> dict[str, int]:
    with database.transaction() as conn:
        rows = conn.execute("select state::text, count(*) as n from outputs group by 1").fetchall()
    return {row["state"]: row["n"] for row in rows}


def carry_out(database: Database) -> None:
    """Do what the sync worker was asked for, once; Label Studio is not needed."""
    with database.transaction() as conn:
        done = conn.execute("delete from procrastinate_jobs where task_name = %s", (jobs.DECISIONS,)).rowcount
    assert done == 1
    room = SyncJobs(Settings(database_url=database.url), database, None)  # type: ignore[arg-type]
    duties(room).jobs[jobs.DECISIONS]("texts")


def confirm(page: Page, words: str, button: str) -> None:
    """Check the confirmation page, give a reason and press the button."""
    page.get_by_role("heading", name=words).wait_for()
    check(page)
    page.get_by_label("Reason").fill("random answers")
    page.get_by_role("button", name=button).click()
    page.locator(".done").wait_for()


def test_a_person_is_distrusted_with_the_roll_back_and_trusted_again_in_a_browser(
    database: Database, settings: Settings
) -> None:
    spec = texts_loop(database, answered=0)
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(i, 1 + i % 2, truth(i), i) for i in range(70)])
    say(database, spec, ids, [Said(i, 3, truth(i), 60 + i) for i in range(70, 120)])
    assert judged(database, settings).status == "promoted"
    learned = champion_of(database)
    assert learned is not None
    with database.transaction() as conn:
        token = access.add(conn, "mira", ["review", "promote"])
        rob = who.named(conn, "texts", "Rob").ids[0]
    own = urlsplit(link(settings, "texts", rob, datetime.now(UTC) + timedelta(days=1))).path
    with served(database, settings) as base, a_browser() as browser:
        desk = Desk(base, browser, database, token, "", learned, "")
        with desk.page(PHONE) as page:  # nobody is logged in
            page.goto(base + own)
            page.get_by_role("heading", name="Your answers in texts").wait_for()
            shown = page.locator("body").inner_text()
            assert [name for name in NAMES.values() if name in shown] == ["Rob"]
            assert page.get_by_role("navigation").count() == page.locator("form").count() == 0
            check(page)
            page.goto(base + WORKING)
            page.get_by_label("Token").wait_for()
        for viewport in (PHONE, LAPTOP):
            with desk.page(viewport, "dark" if viewport is PHONE else "light") as page:
                desk.log_in(page, WORKING)
                page.get_by_text("Distrust Rob").click()
                check(page)
                check_tables_are_whole(page)
                if viewport is PHONE:
                    continue
                form = page.locator("details[open] form")
                form.get_by_label("From (UTC)").fill("2026-05-04T10:30")
                form.get_by_role("button").click()
                page.get_by_role("heading", name="Let answers of Rob count no more?").wait_for()
                for words in (
                    f"The champion {learned[:12]} learned from these answers, and goes on serving.",
                    "answers since 2026-05-04 10:30 UTC would not count",
                    "50 answers now",
                    "50 answered outputs would wait for other people. 50 of them would have no answer.",
                    f"Version {learned[:12]} (champion) learned from",
                    "Answers that Rob gives later would not count either",
                    "A training run is requested",
                ):
                    page.get_by_text(words).first.wait_for()
                assert states(database) == {"answered": 120}, "nothing is done before the person confirms"
                page.get_by_label("Also roll back to the pipeline's own outputs").check()
                confirm(page, "Let answers of Rob count no more?", "Distrust Rob")
                page.get_by_text("answers from 2026-05-04 10:30 UTC do not count: random answers (mira,").wait_for()
                assert champion_of(database) is None
                carry_out(database)
                assert states(database) == {"answered": 70, "in_review": 50}
                with database.transaction() as conn:
                    wants = conn.execute("select why from retrain_runs where status = 'queued'").fetchall()
                    actors = conn.execute(
                        "select distinct a.name as actor from record_entries r join record_actors a on a.id = r.actor"
                        " where r.what = 'person_decisions'"
                    ).fetchall()
                assert [row["why"] for row in wants] == ["answers of a person do not count any more, or count again"]
                assert [row["actor"] for row in actors] == ["mira"]

                page.get_by_role("link", name="Trust Rob again").click()
                page.get_by_text("This ends: answers from 2026-05-04 10:30 UTC do not count").wait_for()
                confirm(page, "Let the answers of Rob count again?", "Trust Rob again")
                assert page.get_by_role("link", name="Trust Rob again").count() == 0
                carry_out(database)
                assert states(database) == {"answered": 120}
        assert not desk.strays


def test_input_that_cannot_be_is_refused_with_words_and_nothing_is_stored(
    database: Database, settings: Settings
) -> None:
    spec = texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"text {i}"} for i in range(3)], ["ham"] * 3)
        tokens = {
            "mira": access.add(conn, "mira", ["review", "promote"]),
            "otto": access.add(conn, "otto", ["review"]),
        }
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(0, 3, "ham"), Said(1, 1, "ham")])
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"

    with served(database, settings) as base, httpx.Client(base_url=base, follow_redirects=True) as http:

        def form(page: httpx.Response) -> dict[str, str]:
            return {name: value for name in ("csrf", "epoch", "person", "since", "until", "decisions")
                    for value in re.findall(rf'name="{name}" value="([^"]+)"', page.text)[:1]}  # fmt: skip

        def log_in(name: str) -> httpx.Response:
            http.cookies.clear()
            page = http.get("/review/login")
            return http.post("/review/login", data={**form(page), "token": tokens[name], "next": WORKING})

        shown = log_in("otto")
        assert "Rob" in shown.text
        assert "Distrust" not in shown.text
        given = {"person": "Rob", "since": MORNING}
        assert http.get(DISTRUST, params=given).status_code == 403
        assert http.post(DISTRUST, params=given, data={**form(shown), "why": "x", "epoch": "0"}).status_code == 403

        log_in("mira")
        page = http.get(DISTRUST, params=given)
        good = {**form(page), "why": "random"}
        assert page.status_code == 200
        for wrong, status, words in (
            ({"since": tomorrow}, 400, "since is in the future"),
            ({"since": ""}, 400, "since takes a day such as 2026-01-31"),
            ({"since": "the 4th of May"}, 400, "it is &#39;the 4th of May&#39;"),
            ({"since": "0001-01-01T00:00+14:00"}, 400, "since takes a day"),
            ({"since": "0001-01-01"}, 400, "since takes a time of the years 1970 to 9000"),
            ({"until": "9999-12-31T23:59"}, 400, "until takes a time of the years 1970 to 9000"),
            ({"until": "2026-05-04T08:00"}, 400, "until must be later than since"),
            ({"person": "Zoe"}, 404, "nobody in texts is called &#39;Zoe&#39;; there are: Anna, "),
        ):
            for answer in (
                http.get(DISTRUST, params={**given, **wrong}),
                http.post(DISTRUST, data={**good, **wrong}),
            ):
                assert (answer.status_code, words in answer.text) == (status, True), answer.text
        for bad, status, words in (
            ({"csrf": "x"}, 400, "nothing was changed"),
            ({"why": " "}, 400, "needs a reason"),
            ({"epoch": ""}, 409, "nothing was done"),
            ({"to": "pipeline"}, 409, "pipeline is not offered"),
        ):
            answer = http.post(DISTRUST, data={**good, **bad})
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert http.get("/review/loops/no/distrust", params=given).status_code == 404
        none = http.get(TRUST, params=given)
        assert (none.status_code, "all answers of Rob count already" in none.text) == (409, True)
        with database.transaction() as conn:
            assert conn.execute("select 1 from person_decisions").fetchall() == []
            assert versions.epoch(conn, "texts") == int(good["epoch"])

        assert "The answers of Rob do not count any more" in http.post(DISTRUST, data=good).text
        later = {**given, "since": "2026-05-04T10:00"}
        for again in (http.get(DISTRUST, params=later), http.post(DISTRUST, data=good)):
            assert (again.status_code, "decision 1 says already" in again.text) == (409, True)
        with database.transaction() as conn:
            assert len(conn.execute("select 1 from person_decisions").fetchall()) == 1


def test_a_page_stores_what_it_showed_and_a_stale_one_does_nothing(database: Database, settings: Settings) -> None:
    spec = texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"text {i}"} for i in range(3)], ["ham"] * 3)
    say(database, spec, put_to_people(database, spec.name), [Said(0, 3, "ham"), Said(1, 1, "ham")])
    shown_at, pressed_at = datetime.now(UTC) - timedelta(minutes=9), datetime.now(UTC)

    def page(what: str, given: dict[str, str], now: datetime = pressed_at) -> Confirmation:
        with database.transaction() as conn:
            return distrusting.confirmation(conn, what, "texts", given, now)

    def press(what: str, form: dict[str, str], to: str | None = None) -> str:
        asked = replace(page(what, form), offers=[("pipeline", "")])
        action = Action("mira", "random", asked.epoch, to)
        return distrusting.carry_out(database, settings.models_dir, asked, form, action, pressed_at)

    def stored() -> list[Decision]:
        with database.transaction() as conn:
            return decisions.list_(conn, "texts")

    form = dict(page("distrust", {"person": "Rob", "since": "12h"}, shown_at).seen)
    said = press("distrust", form, to="pipeline")  # it serves already, so no roll-back is possible
    assert "The answers of Rob do not count any more." in said
    assert "The roll-back failed: pipeline is champion of texts already" in said
    assert [row.since for row in stored()] == [shown_at - timedelta(hours=12)]

    anna = dict(page("distrust", {"person": "Anna", "since": "12h"}).seen)
    asked = replace(page("distrust", anna), offers=[("pipeline", "")])
    outcomes: list[str] = []

    def at_once() -> None:
        try:
            action = Action("mira", "random", asked.epoch)
            outcomes.append(distrusting.carry_out(database, settings.models_dir, asked, anna, action, pressed_at))
        except Conflict as exc:
            outcomes.append(str(exc))

    with database.transaction() as conn:
        projects.lock_hop(conn, "texts", "decisions")
        both = [threading.Thread(target=at_once) for _ in range(2)]
        for one in both:
            one.start()
        time.sleep(0.3)
        assert not outcomes, "each decision waits for the one before"
    for one in both:
        one.join()
    assert len(stored()) == 2
    assert "decision 2 says already that these answers of Anna do not count" in outcomes

    stale = dict(page("trust", {"person": "Rob"}).seen)
    press("distrust", dict(page("distrust", {"person": "Rob", "since": "30d"}).seen))
    with pytest.raises(Conflict, match="decisions about Rob have changed: nothing was done"):
        press("trust", stale)
    assert [row.ended_at for row in stored()] == [None] * 3
    assert "The answers of Rob count again" in press("trust", dict(page("trust", {"person": "Rob"}).seen))

    with database.transaction() as conn:
        token = access.add(conn, "mira", ["review", "promote"])
        loops.archive(conn, "texts", "ada")
    with pytest.raises(Conflict, match=r"loop 'texts' was archived on .* by ada: `labelloop loop restore texts`"):
        press("distrust", form)
    http = create_app(settings, database).test_client()
    html = http.get(WORKING, headers={"Authorization": f"Bearer {token}"}).text
    assert ("Anna" in html, "Distrust" in html, "Trust" in html) == (True, False, False)

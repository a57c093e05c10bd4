"""The review pages over HTTP, by Flask's test client: who may do what, and what they are told."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from psycopg.types.json import Jsonb
from werkzeug.test import TestResponse

from backend.report.card import card
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, version_report
from backend.review.guard import MAX_BODY
from backend.service import create_app
from labelloop.errors import UsageError
from labelloop.gate import Accuracy
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access, runs, versions
from tests.support.backend_factory import digits_spec, settings_for, submit
from tests.support.judged_loop import JudgedLoop

SECRET = "a-secret-of-tests"
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


@dataclass
class House:
    database: Database
    settings: Settings
    tokens: dict[str, str]

    def client(self, **changes: object) -> FlaskClient:
        return create_app(replace(self.settings, **changes), self.database).test_client()  # type: ignore[arg-type]

    def logged_in(self, name: str = "mira") -> FlaskClient:
        client = self.client()
        assert log_in(client, self.tokens[name]).status_code == 303
        return client

    def bearer(self, name: str = "mira") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}


@pytest.fixture
def house(judged_loop_copy: JudgedLoop, tmp_path: Path) -> Iterator[House]:
    settings = settings_for(judged_loop_copy.url, tmp_path)
    settings = replace(settings, secret_key=SECRET, models_dir=judged_loop_copy.models_dir)
    with Database(judged_loop_copy.url) as database:
        with database.transaction() as conn:
            both = {
                "mira": access.add(conn, "mira", ["review", "promote"]),
                "otto": access.add(conn, "otto", ["review"]),
            }
        yield House(database, settings, both)


@pytest.fixture
def judged(judged_loop_copy: JudgedLoop) -> UUID:
    """A run that asks for a person's decision."""
    return judged_loop_copy.run


def csrf(page: TestResponse) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def log_in(client: FlaskClient, token: str, onward: str = "") -> TestResponse:
    form = {"csrf": csrf(client.get("/review/login")), "token": token, "next": onward}
    return client.post("/review/login", data=form)


def decide(client: FlaskClient, path: str, **form: str) -> TestResponse:
    page = client.get(path)
    epoch = re.search(r'name="epoch" value="(\d+)"', page.text)
    assert epoch is not None, page.text
    return client.post(path, data={"csrf": csrf(page), "epoch": epoch[1], "why": "by hand", **form})


def champion(database: Database) -> str | None:
    with database.transaction() as conn:
        row = versions.champion(conn, "digits")
    return None if row is None else str(row.id)


def test_an_answer_that_nobody_can_read_stands_on_the_loops_page_with_its_reason(house: House) -> None:
    path = "/review/loops/digits"
    assert "Unreadable answers" not in house.logged_in().get(path).text
    with house.database.transaction() as conn:
        conn.execute(
            """
            with asked as (select id, key from outputs where state = 'in_review' order by key limit 1), version as (
                insert into annotation_versions (instance, annotation_id, task_id, output_id, sha256, result,
                    was_cancelled, created_at, updated_at)
                select gen_random_uuid(), 1, 1, id, '', '[]', false, now(), now() from asked returning seq, output_id
            )
            insert into unreadable (loop, output_id, annotation_version, reason, ask, comment, form)
            select 'digits', output_id, seq, 'Choices ' || %(xss)s, false, 'torn', '' from version
            """,
            {"xss": XSS},
        )
    page = house.logged_in().get(path).text
    assert "Unreadable answers" in page
    assert "1 answer cannot be read, and nobody else is asked" in page
    assert "the comment: torn" in page
    assert "<script>alert" not in page
    report = house.client().get("/v1/review/loops/digits", headers=house.bearer()).get_json()
    (answer,) = report["unreadable_answers"]
    assert (answer["again"], answer["reviewer"]) == (False, None)


# -- scopes and logins -----------------------------------------------------------------------------------------------


def test_nobody_sees_anything_without_a_token(house: House) -> None:
    client = house.client()
    for path in ("/review/", "/review/loops/digits", "/review/compare", "/review/runs/x/progress", "/review/x/y"):
        answer = client.get(path)
        assert answer.status_code == 303, path
        assert answer.location.startswith("/review/login?next=/review/")
    for path in ("/v1/review/overview", "/v1/review/loops/digits"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.post("/v1/review/retrain/digits", json={"why": "x"}).status_code == 401
    assert client.get("/review/static/review.css").status_code == 200


def test_a_login_opens_the_pages_and_a_logout_closes_them(house: House) -> None:
    client = house.client()
    assert log_in(client, "wrong").status_code == 401
    answer = log_in(client, house.tokens["mira"], onward="/review/compare?a=1")
    assert answer.location == "/review/compare?a=1"
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Path=/review"))
    assert "Secure" not in cookie
    assert house.tokens["mira"] not in cookie
    page = client.get("/review/")
    assert page.status_code == 200
    assert "mira may decide" in page.text
    assert client.post("/review/logout", data={"csrf": csrf(page)}).status_code == 303
    assert client.get("/review/").status_code == 303


@pytest.mark.parametrize(
    "onward",
    [
        *("https://evil.example/", "//evil.example/", "/review//evil.example", "/review/\\evil", "/predict", ""),
        *("/review/\t/evil.example", "/review/\r\nSet-Cookie: a=b"),
    ],
)
def test_a_login_leads_to_our_own_pages_only(house: House, onward: str) -> None:
    assert log_in(house.client(), house.tokens["mira"], onward).location == "/review/"


def test_behind_a_proxy_with_tls_the_cookie_is_secure(house: House) -> None:
    client = house.client()
    page = client.get("/review/login", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in page.headers["Set-Cookie"]


def test_a_revoked_token_closes_the_page_that_is_open(house: House) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        assert access.revoke(conn, "mira")
    assert client.get("/review/").status_code == 303
    assert client.get("/v1/review/overview", headers=house.bearer()).status_code == 401
    with house.database.transaction() as conn:
        access.add(conn, "mira", ["review"])
    assert client.get("/review/").status_code == 303, (
        "a new token of the same name is no way in for the old one's cookie"
    )


def test_ten_wrong_tokens_stop_the_browser_that_sent_them_and_nobody_else_at_its_address(house: House) -> None:
    app = house.client().application
    client, other = app.test_client(), app.test_client()
    assert [log_in(client, "wrong").status_code for _ in range(11)] == [401] * 10 + [429]
    assert log_in(client, house.tokens["mira"]).status_code == 429
    assert log_in(other, house.tokens["mira"]).status_code == 303


def test_a_stranger_cannot_send_more_than_a_login_needs(house: House) -> None:
    client = house.client()
    large = "x" * (MAX_BODY + 1)
    files = {"file": (io.BytesIO(large.encode()), "large.bin")}
    for answer in (
        client.post("/review/login", data={"token": large}),
        client.post("/review/login", data=files, content_type="multipart/form-data"),
        client.post("/v1/review/retrain/digits", json={"why": large}, headers=house.bearer()),
    ):
        assert answer.status_code == 413


def test_a_name_from_a_proxy_counts_only_where_it_was_set_up_and_proves_itself(house: House) -> None:
    said = {"X-Auth-User": "otto", "X-Labelloop-Proxy": "shared"}
    assert house.client().get("/review/", headers=said).status_code == 303
    with pytest.raises(UsageError, match="LABELLOOP_REVIEW_PROXY_SECRET"):
        house.client(review_proxy_header="X-Auth-User")
    client = house.client(review_proxy_header="X-Auth-User", review_proxy_secret="shared")
    assert "otto may view" in client.get("/review/", headers=said).text
    for wrong in ({"X-Labelloop-Proxy": "guessed"}, {"X-Labelloop-Proxy": ""}, {"X-Auth-User": "nobody"}):
        assert client.get("/review/", headers=said | wrong).status_code == 303
    said["X-Auth-User"] = "mira"
    refused = client.post("/v1/review/retrain/digits", json={"why": "x"}, headers=said)
    assert refused.status_code == 400, "a browser could be made to send this"
    page = client.get("/review/retrain/digits", headers=said)
    form = {"csrf": csrf(page), "why": "x", "epoch": "1"}
    assert client.post("/review/retrain/digits", data=form, headers=said).status_code == 303


def test_without_a_key_for_cookies_there_is_http_and_no_page(house: House) -> None:
    client = house.client(secret_key="")
    assert client.get("/review/").status_code == 503
    assert "LABELLOOP_SECRET_KEY" in client.get("/review/login").text
    assert client.get("/v1/review/overview", headers=house.bearer()).status_code == 200


def test_the_password_of_the_ml_protocol_and_the_tokens_of_the_pages_open_nothing_of_the_other(house: House) -> None:
    client = house.client()
    basic = ("labelloop", house.settings.backend_password)
    assert client.get("/v1/review/overview", auth=basic).status_code == 401
    assert client.get("/review/", auth=basic).status_code == 303
    assert client.get("/versions", headers=house.bearer()).status_code == 401
    assert client.get("/versions", auth=basic).status_code == 200
    assert house.logged_in().get("/versions").status_code == 401


def test_every_answer_tells_the_browser_to_run_and_load_nothing_of_others(house: House) -> None:
    client = house.logged_in()
    for path in ("/review/", "/review/login", "/review/nothing", "/review/static/live.js"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
    assert client.get("/review/").headers["Cache-Control"] == "no-store"


# -- who may decide --------------------------------------------------------------------------------------------------


def test_who_may_only_look_sees_no_button_and_gets_403(house: House, judged: UUID) -> None:
    client = house.logged_in("otto")
    page = client.get(f"/review/runs/{judged}")
    assert page.status_code == 200
    assert 'class="button' not in page.text
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    for path in (f"promote/{version}", f"refuse/{judged}", "rollback/digits", "retrain/digits", f"stop/{judged}"):
        assert client.get(f"/review/{path}").status_code == 403
        answer = client.post(f"/review/{path}", data={"csrf": csrf(page), "why": "x"})
        assert answer.status_code == 403
        assert "This needs the scope promote; otto has: review." in answer.text
        assert client.post(f"/v1/review/{path}", json={"why": "x"}, headers=house.bearer("otto")).status_code == 403


def test_a_version_is_promoted_and_rolled_back_each_with_name_and_reason(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        report = run_report(conn, judged)
    before, new = report["champion"]["version"], report["challenger"]["version"]
    look = client.get(f"/review/promote/{new}").text
    assert f"{new[:12]} becomes the champion of digits, in place of {before[:12]}." in look
    answer = decide(client, f"/review/promote/{new}", why="looked at the eights")
    assert answer.location == f"/review/versions/{new}"
    assert f"{new[:12]} is champion of digits now; before it was {before[:12]}." in client.get(answer.location).text
    assert champion(house.database) == new
    assert client.get(f"/review/promote/{new}").status_code == 409

    back = client.get("/review/rollback/digits").text
    assert re.findall(r'<option value="(\w+)"', back) == [before, "pipeline"]
    assert decide(client, "/review/rollback/digits", to=before).status_code == 303
    assert champion(house.database) == before
    assert decide(client, "/review/rollback/digits", to="pipeline").status_code == 303
    assert champion(house.database) is None
    assert "nothing to go back to" in client.get("/review/rollback/digits").text
    with house.database.transaction() as conn:
        signed = [(p.by, p.why) for p in versions.promotions(conn, "digits")]
    assert signed[:3] == [("mira", "by hand"), ("mira", "by hand"), ("mira", "looked at the eights")]


def test_what_the_gate_refused_is_promoted_only_behind_a_second_step_that_begins_with_its_figures(
    house: House, judged: UUID
) -> None:
    client = house.logged_in()
    scores = {"passed": False, "holdout": 9, "champion": Accuracy.of(5, 9).as_json(),
              "challenger": Accuracy.of(4, 9).as_json()}  # fmt: skip
    with house.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set status = 'refused', reasons = array['not better: refused'], scores = scores || %s"
            " where id = %s",
            (Jsonb(scores), judged),
        )
        version = run_report(conn, judged)["challenger"]["version"]
        conn.execute("update model_versions set stage = 'refused' where id = %s", (version,))
    for path in (f"runs/{judged}", f"versions/{version}"):
        page = client.get(f"/review/{path}").text
        before, _, behind = page.partition('<details class="second">')
        assert f"/review/promote/{version}" not in before
        link = re.search(rf'<a class="button quiet" href="/review/promote/{version}">([^<]+)</a>', behind)
        assert link is not None
        assert link[1] == "Promote although the gate refused it"
    look = client.get(f"/review/promote/{version}").text
    main = look.partition("<main")[2]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main.partition(">")[2])).strip()
    said = f"Promote version {version[:12]} although the gate refused it? "
    measured = "accuracy 44.4 % (4 of 9), the champion 55.6 % (5 of 9)"
    assert words.startswith(f"{said}The gate refused it: {measured}. Not better: refused.")
    assert ">Promote although the gate refused it</button>" in look
    assert decide(client, f"/review/promote/{version}", why=" ").status_code == 400
    assert decide(client, f"/review/promote/{version}", why="checked by hand").status_code == 303
    assert champion(house.database) == version


def test_what_a_person_refused_names_the_person_and_another_champion_is_said(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
    assert decide(client, f"/review/refuse/{judged}", why="worse on sevens").status_code == 303
    assert "Promote although mira refused it" in client.get(f"/review/runs/{judged}").text
    assert decide(client, "/review/rollback/digits", to="pipeline").status_code == 303
    look = client.get(f"/review/promote/{run['challenger']['version']}").text
    mine, theirs, n = run["challenger"]["correct"], run["champion"]["correct"], run["held_out"]
    measured = (
        f"accuracy {100 * mine / n:.1f} % ({mine} of {n}), the champion {100 * theirs / n:.1f} % ({theirs} of {n})"
    )
    assert f"mira refused it: {measured}." in look
    assert f"It was judged against {run['champion']['name']}, which is not the champion any more." in look


def test_a_run_that_asks_is_refused_with_a_reason_and_the_champion_stays(house: House, judged: UUID) -> None:
    client = house.logged_in()
    before = champion(house.database)
    path = f"/review/refuse/{judged}"
    without = decide(client, path, why="  ")
    assert without.status_code == 400
    assert "needs a reason" in without.text
    assert decide(client, path, why="worse on sevens").status_code == 303
    page = client.get(f"/review/runs/{judged}").text
    assert "mira decided: refuse" in page
    assert "worse on sevens" in page
    assert client.get(path).status_code == 409
    assert champion(house.database) == before


def test_a_decision_on_what_has_changed_meanwhile_is_not_done(house: House, judged: UUID) -> None:
    client = house.logged_in()
    page = client.get("/review/rollback/digits")
    assert decide(client, "/review/rollback/digits").status_code == 303
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    assert decide(client, f"/review/promote/{version}").status_code == 303
    form = {"csrf": csrf(page), "epoch": "1", "why": "late", "to": "pipeline"}
    late = client.post("/review/rollback/digits", data=form)
    assert late.status_code == 409
    assert "the champion of digits has changed meanwhile: nothing was done" in late.text
    assert champion(house.database) == version
    unsaid = client.post("/review/rollback/digits", data={**form, "epoch": ""})
    assert unsaid.status_code == 409, "a page that does not say what it saw has seen nothing"


def test_a_run_is_asked_for_and_stopped(house: House) -> None:
    client = house.logged_in()
    assert decide(client, "/review/retrain/digits", why="new labels").location == "/review/loops/digits"
    with house.database.transaction() as conn:
        run = runs.latest(conn, "digits", 1)[0]
    assert run.why == "mira: new labels"
    assert f"Run {str(run.id)[:8]} is queued" in client.get("/review/loops/digits").text
    assert decide(client, "/review/retrain/digits").status_code == 303
    assert "A run was open already: it covers this." in client.get("/review/loops/digits").text
    assert decide(client, f"/review/stop/{run.id}").status_code == 303
    page = client.get(f"/review/runs/{run.id}").text
    assert "Stopped by mira" in page
    assert client.get(f"/review/stop/{run.id}").status_code == 409


def test_a_form_that_another_site_sends_changes_nothing(house: House) -> None:
    client = house.logged_in()
    stranger = house.client()
    for token in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": "ü"}, {"csrf": csrf(stranger.get("/review/login"))}):
        answer = client.post("/review/retrain/digits", data={"why": "x", "epoch": "1", **token})
        assert answer.status_code == 400
        assert "nothing was changed" in answer.text
    assert house.client().post("/review/login", data={"token": house.tokens["mira"]}).status_code == 400
    with house.database.transaction() as conn:
        assert len(runs.latest(conn, "digits")) == 2


def test_the_loop_that_needs_somebody_most_comes_first_and_idle_ones_take_a_line(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        for name in ("a-quiet", "b-failed", "c-refused-outputs"):
            submit(conn, digits_spec(name=name), [{"image": "x"}], ["1"])
            conn.execute("update outputs set state = 'pushing' where loop = %s", (name,))
            conn.execute("update outputs set state = 'in_review' where loop = %s", (name,))
        run = runs.request(conn, "b-failed", "a test")
        conn.execute(
            "update retrain_runs set status = 'failed', error = 'no room', finished_at = now() where id = %s", (run,)
        )
        conn.execute(
            "insert into outputs select (jsonb_populate_record(o, jsonb_build_object("
            "'id', gen_random_uuid(), 'key', 'other', 'state', 'quarantined'))).*"
            " from outputs o where loop = 'c-refused-outputs'"
        )
        found = overview_report(conn)["loops"]
    assert [loop["loop"] for loop in found] == ["digits", "b-failed", "c-refused-outputs", "a-quiet"]
    assert [loop["needs_you"][0]["kind"] for loop in found[:3]] == ["decision", "failed", "fault"]
    assert [loop["idle"] for loop in found] == [False, False, False, True]
    page = house.logged_in().get("/review/").text
    cards, _, lines = page.partition('<ul class="idle">')
    assert re.findall(r'aria-labelledby="loop-([^"]+)"', cards) == ["digits", "b-failed", "c-refused-outputs"]
    assert re.findall(r"<li><a [^>]*>([^<]+)</a>", lines) == ["a-quiet"]
    assert "Label Studio refused 1 output" in cards


def test_drift_needs_somebody_until_a_version_is_promoted(house: House, judged: UUID) -> None:
    def kinds() -> list[str]:
        with house.database.transaction() as conn:
            return [need["kind"] for need in overview_report(conn)["loops"][0]["needs_you"]]

    with house.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set why = 'drift: the labels came apart', status = 'refused' where id = %s", (judged,)
        )
    assert "drift" in kinds()
    with house.database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'promoted' where id = %s", (judged,))
    assert "drift" not in kinds()


# -- what a version is called, and its file --------------------------------------------------------------------------


def described(client: FlaskClient, version: str, **form: str) -> TestResponse:
    page = client.get(f"/review/versions/{version}")
    seen = re.search(r'name="seen" value="(\d+)"', page.text)
    assert seen is not None
    return client.post(f"/review/versions/{version}/description", data={"csrf": csrf(page), "seen": seen[1], **form})


def test_a_version_is_named_tagged_and_noted_and_every_change_is_on_record(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    stale = client.get(f"/review/versions/{version}")
    assert described(client, version, name="Sevens", tags="audited, eu,,audited", note="one\r\ntwo").status_code == 303
    page = client.get(f"/review/versions/{version}").text
    assert "<h1>Sevens, version" in page
    assert re.findall(r"<li>([^<]+)</li>", page.partition('class="tags"')[2])[:2] == ["audited", "eu"]
    late = {"csrf": csrf(stale), "seen": "0", "name": "Mine"}
    assert client.post(f"/review/versions/{version}/description", data=late).status_code == 409
    unseen = client.post(f"/review/versions/{version}/description", data={**late, "seen": ""})
    assert unseen.status_code == 409, "a form that does not say what it has seen has seen nothing"
    assert described(client, version, name=XSS[:60], tags="<b>", note=XSS).status_code == 303
    page = client.get(f"/review/versions/{version}").text
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "Sevens; tags: audited, eu; one" in page, "what it was called before"
    for path in ("loops/digits", f"runs/{judged}", "compare", ""):
        assert "<script>alert" not in client.get(f"/review/{path}").text
    assert "&lt;script&gt;" in client.get("/review/loops/digits").text
    with house.database.transaction() as conn:
        report = version_report(conn, version)
        assert [d["by"] for d in report["descriptions"]] == ["mira", "mira"]
        assert report["descriptions"][1]["note"] == "one\ntwo"


def test_only_who_may_decide_describes_a_version_and_no_other_site_does(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    otto, mira = house.logged_in("otto"), house.logged_in()
    path = f"/review/versions/{version}/description"
    page = otto.get(f"/review/versions/{version}")
    assert "description" not in page.text
    assert otto.post(path, data={"csrf": csrf(page), "seen": "0", "name": "x"}).status_code == 403
    assert mira.post(path, data={"seen": "0", "name": "x"}).status_code == 400
    assert described(mira, version, name="x" * 61).status_code == 400
    assert described(mira, version, note="a\0b").status_code == 400
    api = f"/v1/review/versions/{version}/description"
    client = house.client()
    assert client.post(api, json={"name": "x"}, headers=house.bearer("otto")).status_code == 403
    unreadable: list[object] = [[], {"name": 3}, {"tags": "x"}, {"tags": [3]}, {"note": []}, {"name": "\ud800"}]
    for wrong in unreadable:
        assert client.post(api, json=wrong, headers=house.bearer()).status_code == 400
    done = client.post(api, json={"name": "Sevens", "tags": ["eu"]}, headers=house.bearer()).get_json()
    assert (done["called"], done["tags"], done["note"]) == ("Sevens", ["eu"], None)
    assert client.post("/v1/review/versions/zz/description", json={}, headers=house.bearer()).status_code == 404


def test_the_model_is_downloaded_by_who_may_decide_as_it_was_stored(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    otto, mira = house.logged_in("otto"), house.logged_in()
    assert otto.get(f"/review/versions/{version}/file").status_code == 403
    assert "Download the model" not in otto.get(f"/review/versions/{version}").text
    path = f"/v1/review/versions/{version[:12]}/file"
    assert house.client().get(path, headers=house.bearer("otto")).status_code == 403
    for answer in (mira.get(f"/review/versions/{version}/file"), house.client().get(path, headers=house.bearer())):
        assert answer.status_code == 200
        assert answer.is_streamed
        assert hashlib.sha256(answer.data).hexdigest() == version
        assert answer.headers["Content-Disposition"] == f"attachment; filename={version}.skops"
        assert answer.headers["Content-Length"] == str(len(answer.data))
        assert answer.headers["Content-Type"] == "application/zip"
        assert answer.headers["ETag"] == f'"{version}"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = mira.get(f"/review/versions/{version}/file", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, b"PK\x03\x04")
    assert mira.get("/review/versions/zz/file").status_code == 404


def test_a_damaged_model_does_not_leave_under_its_name(house: House, judged: UUID, tmp_path: Path) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    client = house.client(models_dir=tmp_path)
    path = f"/v1/review/versions/{version}/file"
    assert client.get(path, headers=house.bearer()).status_code == 404
    (tmp_path / f"{version}.skops").write_bytes(b"PK something else")
    answer = client.get(path, headers=house.bearer())
    assert answer.status_code == 404
    assert "damaged or was changed" in answer.get_json()["error"]


# -- what they are told ----------------------------------------------------------------------------------------------


def test_http_gives_the_reports_and_takes_the_same_decisions(house: House, judged: UUID) -> None:
    client = house.client()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
        a, b = run["champion"]["version"], run["challenger"]["version"]
        wanted = {
            "overview": overview_report(conn),
            "loops/digits": loop_report(conn, "digits"),
            f"runs/{judged}": run,
            f"runs/{run['name']}/progress": run_progress(conn, judged),
            f"versions/{b[:12]}": version_report(conn, b),
            f"versions/{b[:12]}/card": card(house.database, b, house.settings.models_dir),
            f"compare?a={a[:12]}&b={b[:12]}": comparison(conn, a, b),
        }
    for path, report in wanted.items():
        assert client.get(f"/v1/review/{path}", headers=house.bearer("otto")).get_json() == report

    def post(path: str, body: object) -> TestResponse:
        return client.post(f"/v1/review/{path}", json=body, headers=house.bearer())

    unreadable: list[object] = [
        {},
        [],
        {"why": 3},
        {"why": "x", "epoch": "1"},
        {"why": "x", "to": 3},
        {"why": " "},
        {"why": "\0"},
        {"why": "\ud800"},
    ]
    for wrong in unreadable:
        assert post(f"promote/{b}", wrong).status_code == 400
    deep = {"data": b"[" * 100_000, "content_type": "application/json"}
    assert client.post(f"/v1/review/promote/{b}", headers=house.bearer(), **deep).status_code == 400
    assert post(f"promote/{b}", {"why": "x", "epoch": 7}).status_code == 409
    assert post(f"promote/{b[:12]}", {"why": "from a script", "epoch": 1}).get_json()["done"].startswith(b[:12])
    assert post("rollback/digits", {"why": "back", "to": a}).status_code == 200
    assert champion(house.database) == a
    assert post("nothing/digits", {"why": "x"}).status_code == 404


def test_what_is_not_there_is_404_in_words(house: House) -> None:
    client = house.logged_in()
    for path, said in [
        ("loops/nope", "no loop &#39;nope&#39;; there are: digits"),
        ("loops/%00", "no loop"),
        ("runs/%00", "no run begins with"),
        ("runs/zz", "no run begins with"),
        ("runs/00000000-0000-0000-0000-000000000000", "no run begins with"),
        ("versions/zz", "no version begins with"),
        ("versions/zz/card", "no version begins with"),
        ("compare?a=zz&b=yy", "no version begins with"),
        ("promote/zz", "no version begins with"),
        ("retrain/nope", "no loop"),
        ("stop/zz", "no run begins with"),
        ("nothing/here", "There is no such page."),
    ]:
        answer = client.get(f"/review/{path}")
        assert answer.status_code == 404, path
        assert said in answer.text, path
    for path in ("loops/nope", "runs/zz", "versions/zz", "compare", "runs/zz/progress"):
        assert client.get(f"/v1/review/{path}", headers=house.bearer()).status_code == 404


def plant(database: Database) -> None:
    """What pipelines, annotators, learners and people can write, everywhere it is shown."""
    with database.transaction() as conn:
        conn.execute("update outputs set data = jsonb_build_object('text', %s::text, %s::text, 'v')", (XSS, XSS))
        conn.execute("update run_items set label = %s, champion_label = 'x', challenger_label = %s", (XSS, XSS + "2"))
        conn.execute(
            "update retrain_runs set why = %(x)s, reasons = array[%(x)s], error = %(x)s, log = %(x)s,"
            " stop_asked_by = %(x)s, tried = to_jsonb(%(x)s::text), progress = jsonb_build_object('step', %(x)s::text),"
            " scores = jsonb_set(jsonb_set(scores, '{slices,0,value}', to_jsonb(%(x)s::text)),"
            " '{confusion,labels,0}', to_jsonb(%(x)s::text))",
            {"x": XSS},
        )
        conn.execute("update promotions set by = %s, why = %s", (XSS, XSS))
        conn.execute("alter table model_versions disable trigger user")
        conn.execute("update model_versions set learner = %s, classes = array[%s]", (XSS, XSS))
        conn.execute("insert into decisions (run_id, decision, by, why) select id, 'refuse', %s, %s from retrain_runs",
                     (XSS, XSS))  # fmt: skip


def test_nothing_that_others_wrote_becomes_markup(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
    a, b = run["champion"]["version"], run["challenger"]["version"]
    plant(house.database)
    for path in ("", "loops/digits", f"runs/{judged}", f"versions/{b}", f"compare?a={a}&b={b}", f"promote/{b}"):
        page = client.get(f"/review/{path}")
        assert page.status_code == 200, page.text
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert(1)" in client.get(f"/review/runs/{judged}").text
    wrong = client.get("/review/loops/<script>alert(1)</script>")
    assert "<script>alert" not in wrong.text


def test_a_name_of_a_token_is_text_too(house: House) -> None:
    with house.database.transaction() as conn:
        token = access.add(conn, XSS, ["review"])
    client = house.client()
    log_in(client, token)
    page = client.get("/review/").text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page

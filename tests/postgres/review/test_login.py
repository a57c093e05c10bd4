"""Access to the review pages: logins, cookies, tokens, and names from a proxy."""

from __future__ import annotations

import io

import pytest

from backend.review.guard import MAX_BODY
from labelloop.errors import UsageError
from labelloop.store.tables import access
from tests.support.review.review_house import House, csrf, log_in


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

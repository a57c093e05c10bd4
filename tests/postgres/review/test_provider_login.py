"""Logging in to the review pages at an identity provider, over its real protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from flask.testing import FlaskClient
from oidc_provider_mock import User

from tests.support.network.oidc_provider import AUDIENCE, CLIENT, Provider, a_provider
from tests.support.review.review_house import House


@pytest.fixture
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        provider.person |= {"groups": ["ml"]}
        yield provider


def client_of(house: House, provider: str, secret: str = "") -> FlaskClient:
    return house.client(
        oidc_client_secret=secret, oidc_issuer=provider, oidc_audience=AUDIENCE, oidc_client_id=CLIENT,
        oidc_scopes_claim="groups",
        oidc_scopes="ml=review,promote; guests=review",
    )  # fmt: skip


def back_from(provider_answer: httpx.Response) -> str:
    """Return the path of our page to which the provider sends the browser."""
    parts = urlsplit(provider_answer.headers["Location"])
    return f"{parts.path}?{parts.query}"


def test_a_person_logs_in_at_the_provider_and_decides_under_the_own_name(house: House, provider: Provider) -> None:
    client = client_of(house, provider.url)
    assert "Log in with your organisation" in client.get("/review/login").text
    to_provider = client.get("/review/login/provider?next=/review/compare")
    asked = parse_qs(urlsplit(to_provider.location).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://localhost/review/login/back"]
    back = back_from(httpx.get(to_provider.location))
    logged_in = client.get(back)
    assert logged_in.location == "/review/compare"
    assert "mira may decide" in client.get("/review/").text
    assert client.get(back).status_code == 401, "a way back counts once"
    assert client.get("/review/").status_code == 200


def test_the_login_ends_after_its_time(house: House, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["backend.review.authenticators"], "PROVIDER_LASTS_S", -1)
    client = client_of(house, provider.url)
    client.get(back_from(httpx.get(client.get("/review/login/provider").location)))
    assert client.get("/review/").status_code == 303


def test_a_way_back_that_this_browser_did_not_start_is_refused(house: House, provider: Provider) -> None:
    client, other = client_of(house, provider.url), client_of(house, provider.url)
    back = back_from(httpx.get(client.get("/review/login/provider").location))
    refused = other.get(back)
    assert refused.status_code == 401
    other.get("/review/login/provider")
    refused = other.get(back)
    assert refused.status_code == 401
    assert "did not confirm this login" in refused.text
    assert other.get("/review/").status_code == 303


@pytest.mark.parametrize("wrong", ["state", "code", "verifier", "nonce"])
def test_a_login_with_a_wrong_part_is_refused(house: House, provider: Provider, wrong: str) -> None:
    client = client_of(house, provider.url)
    back = back_from(httpx.get(client.get("/review/login/provider").location))
    with client.session_transaction(base_url="http://localhost/review/") as session:
        if wrong in session["login"]:
            session["login"] = {**session["login"], wrong: "other"}
    assert client.get(back.replace("code=", "code=x") if wrong == "code" else back).status_code == 401
    assert client.get("/review/").status_code == 303


@pytest.mark.parametrize(
    "said",
    [
        "",
        "state={state}",
        "error=access_denied&state={state}",
        "error=access_denied&code=x&state={state}",
        "code=x",
        "code=x&code=y&state={state}",
        "code=x&state={state}&state=other",
        "code=x&state={state}&iss=https%3A%2F%2Fevil.example",
    ],
)
def test_a_response_without_a_code_for_this_login_is_refused_and_asks_for_no_token(
    house: House, provider: Provider, said: str
) -> None:
    client = client_of(house, provider.url, "s3cret")
    asked = parse_qs(urlsplit(client.get("/review/login/provider").location).query)
    refused = client.get(f"/review/login/back?{said.format(state=asked['state'][0])}")
    assert refused.status_code == 401
    assert "did not confirm this login" in refused.text
    assert provider.token_requests == 0


@pytest.mark.parametrize("answer", [([], 200), ({"id_token": 5}, 200), ("<html>", 200), ("away", 503), ({}, 200)])
def test_a_token_endpoint_that_answers_no_token_lets_nobody_in_and_is_told(
    house: House, provider: Provider, answer: object
) -> None:
    provider.token_answer = answer
    client = client_of(house, provider.url)
    refused = client.get(back_from(httpx.get(client.get("/review/login/provider").location)))
    assert refused.status_code in (401, 503)
    assert client.get("/review/").status_code == 303


def test_a_person_without_a_group_sees_nothing_and_a_guest_may_only_look(house: House, provider: Provider) -> None:
    for groups, status in (([], 403), (["guests"], 200)):
        provider.person |= {"groups": groups}
        client = client_of(house, provider.url)
        client.get(back_from(httpx.get(client.get("/review/login/provider").location)))
        page = client.get("/review/")
        assert page.status_code == status
        assert "mira may decide" not in page.text


def test_programs_use_the_tokens_of_the_provider(house: House, provider: Provider) -> None:
    client = client_of(house, provider.url)
    for token, status in (
        (provider.token(groups=["guests"]), 200),
        (provider.token(groups=["others"]), 403),
        (provider.token(groups=["ml"], aud="another"), 401),
    ):
        answer = client.get("/v1/review/overview", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status


def test_a_provider_of_another_maker_logs_people_in(house: House) -> None:
    mira = User(sub="mira", claims={"preferred_username": "mira", "groups": ["ml"]})
    with oidc_provider_mock.run_server_in_thread(user_claims=[mira], require_nonce=True) as server:
        client = client_of(house, f"http://localhost:{server.server_port}", "s3cret")
        to_provider = client.get("/review/login/provider").location
        back = back_from(httpx.post(to_provider, data={"sub": "mira"}))
        assert client.get(back).status_code == 303
        assert "mira may decide" in client.get("/review/").text


def test_a_provider_that_is_away_is_told_and_tokens_still_open_the_pages(house: House, provider: Provider) -> None:
    provider.is_away = True
    client = client_of(house, provider.url)
    answer = client.get("/review/login/provider")
    assert answer.status_code == 503
    assert "the identity provider does not answer" in answer.text
    assert client.get("/v1/review/overview", headers=house.bearer()).status_code == 200

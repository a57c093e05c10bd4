"""Scopes: what the token of a pipeline opens over HTTP, and what it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop import Client
from labelloop.errors import SettingsError
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import access, loops
from sync.callers import REFRESH_EVERY_S
from sync.intake.asking import MAX_BYTES
from sync.service import create_app
from tests.support.hops.answering_desk import FEEDBACK, Desk
from tests.support.intake_client import URL, output
from tests.support.network.oidc_provider import AUDIENCE, a_provider
from tests.support.network.sync_service import running

ROUTES = {
    ("GET", "/v1/loops/pets"): "read",
    ("POST", URL): "submit",
    ("GET", f"{URL}/a"): "read",
    ("GET", f"{URL}/a/answer"): "read",
    ("POST", "/v1/loops/pets/answers"): "read",
    ("POST", f"{URL}/a/outcome"): "submit",
    ("POST", FEEDBACK): "feedback",
    ("POST", "/feedback/"): "feedback",
    ("POST", "/feedback"): "feedback",
    ("DELETE", FEEDBACK): "feedback",
    ("DELETE", "/feedback/"): "feedback",
    ("DELETE", "/feedback"): "feedback",
    ("GET", FEEDBACK): "read",
}


@pytest.fixture
def desk(database: Database) -> Desk:
    desk = Desk(database)
    with database.transaction() as conn:
        loops.register(conn, parse("toys", "feedback_loop: {trigger: model_confidence < 0.8, labels: [car, doll]}"))
    return desk


def token(desk: Desk, name: str, *scopes: str, **limits: Any) -> dict[str, Any]:
    """Return the headers of a new token, as an argument of `ask`."""
    with desk.database.transaction() as conn:
        made = access.add(conn, name, scopes, access.Limits(**limits))
    return {"headers": {"Authorization": f"Bearer {made}"}}


def test_each_route_needs_its_scope(desk: Desk) -> None:
    callers = {scope: token(desk, scope, scope) for scope in ("submit", "read", "feedback", "review", "admin")}
    for (method, path), needed in ROUTES.items():
        for scope, who in callers.items():
            answer = desk.ask(method, path, **who, **({"json": {}} if method == "POST" else {}))
            if scope in (needed, "admin"):
                assert answer.status_code not in (401, 403), (method, path, scope, answer)
            else:
                assert answer.status_code == 403, (method, path, scope)
                assert answer.json["detail"] == f"this needs the scope {needed}; {scope} has: {scope}"
    for scope, who in callers.items():
        answer = desk.ask("GET", "/metrics", **who)
        assert answer.status_code == (200 if scope == "admin" else 403)
        assert scope == "admin" or answer.json["detail"] == f"this needs the scope admin; {scope} has: {scope}"
        assert desk.ask("GET", "/v1/loops", **who).status_code == 200


def test_every_route_of_pipelines_is_closed_to_strangers(desk: Desk) -> None:
    for rule in desk.web.application.url_map.iter_rules():
        if rule.rule.startswith(("/v1", "/feedback")):
            path = rule.rule.replace("<loop>", "pets").replace("<key:key>", "a")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                answer = desk.ask(method, path, headers={"Authorization": "Bearer other"})
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), (method, path)
                assert answer.json["detail"].startswith("the token is not known, has expired or was revoked")
    for headers in ({}, {"Authorization": "Basic YTpi"}):
        refused = desk.web.get("/v1/loops", headers=headers)
        assert refused.get_json()["detail"].startswith("this needs the header `Authorization: Bearer <token>`")


def test_a_pipeline_sees_answers_and_overwrites_only_its_own(desk: Desk) -> None:
    cats = token(desk, "cats", "submit", "read", "feedback", source="cats")
    dogs = token(desk, "dogs", "submit", "read", "feedback", source="dogs")
    assert desk.ask("POST", URL, json=output("c"), **cats).status_code == 201
    assert desk.ask("POST", URL, json=output("c"), **cats).status_code == 200
    assert desk.ask("POST", URL, json=output("d", source="dogs"), **dogs).status_code == 201
    assert desk.get(f"{URL}/c").json["source"] == "cats"
    desk.submit("of-no-source")
    for who in (cats, dogs):
        counts = desk.ask("GET", "/v1/loops/pets", **who).json
        assert sum(counts["states"].values()) == sum(counts["lanes"].values()) == 1

    assert desk.ask("POST", URL, json=output("c"), **dogs).status_code == 409
    stolen = desk.ask("POST", URL, json=output("e", source="cats"), **dogs)
    assert (stolen.status_code, stolen.json["path"]) == (422, "source")
    assert "'cats' is not the source of this token, which is 'dogs'" in stolen.json["detail"]

    for path in (f"{URL}/c", f"{URL}/c/answer"):
        assert desk.ask("GET", path, **cats).status_code == 200
        assert desk.ask("GET", path, **dogs).status_code == 404
    both = desk.ask("POST", "/v1/loops/pets/answers", json={"keys": ["c", "d"]}, **dogs).json
    assert ([one["key"] for one in both["outputs"]], both["unknown"]) == (["d"], ["c"])
    assert desk.ask("POST", f"{URL}/c/outcome", json={"fallback": "dog"}, **dogs).status_code == 404
    assert desk.get(f"{URL}/c").json["outcome"] is None

    counted = desk.ask("GET", "/v1/loops/pets", **dogs).json
    assert (sum(counted["states"].values()), sum(counted["lanes"].values())) == (1, 1)

    given = {"key": "c", "reviewer_id": "mira", "approval": True}
    assert desk.ask("POST", FEEDBACK, json=given, **dogs).status_code == 404
    by_id = {"model_output_id": desk.get(f"{URL}/c").json["id"], "reviewer_id": "mira", "approval": True}
    assert desk.ask("POST", "/feedback/", json=by_id, **dogs).status_code == 404
    assert desk.ask("POST", FEEDBACK, json=given, **cats).status_code == 201

    exported = {name: desk.web.get(FEEDBACK, **who).text.split() for name, who in (("cats", cats), ("dogs", dogs))}
    assert [json.loads(line)["key"] for line in exported["cats"]] == ["c"]
    assert exported["dogs"] == []


def test_a_token_of_one_loop_opens_no_other_and_names_none(desk: Desk) -> None:
    pets = token(desk, "pets", "submit", "read", "feedback", loop="pets")
    assert desk.ask("GET", "/v1/loops", **pets).json["loops"] == ["pets"]
    other = desk.ask("GET", "/v1/loops/toys", **pets)
    assert (other.status_code, other.json["detail"]) == (403, "the token of pets is for loop 'pets' only")
    toys = token(desk, "toys", "submit", "read", "feedback", loop="toys")
    desk.submit("c")
    by_id = {"model_output_id": desk.get(f"{URL}/c").json["id"], "reviewer_id": "mira", "approval": True}
    assert desk.ask("POST", "/feedback/", json=by_id, **toys).status_code == 404
    assert desk.ask("POST", "/feedback/", json=by_id, **pets).status_code == 201


def test_a_token_is_limited_in_requests_and_bytes(desk: Desk) -> None:
    slow = token(desk, "slow", "read", requests_per_minute=2)
    assert [desk.ask("GET", "/v1/loops", **slow).status_code for _ in range(3)] == [200, 200, 429]
    refused = desk.ask("GET", "/v1/loops", **slow)
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert refused.json["detail"] == "the token of slow allows 2 requests a minute"
    prometheus = token(desk, "prometheus", "admin", requests_per_minute=1)
    measured = [desk.web.get("/metrics", **prometheus) for _ in range(2)]
    assert [one.status_code for one in measured] == [200, 429]
    assert 1 <= int(measured[1].headers["Retry-After"]) <= 60
    small = token(desk, "small", "submit", max_bytes=200)
    assert desk.ask("POST", URL, json=output("a"), **small).status_code == 201
    large = desk.ask("POST", URL, json=output("b", data={"text": "x" * 200}), **small)
    assert (large.status_code, large.json["detail"]) == (413, "more than 200 bytes in one request; send several")


def test_a_program_of_the_identity_provider_submits_under_its_name(database: Database) -> None:
    with a_provider() as provider:
        desk = Desk(database)
        settings = Settings(intake_token="secret", oidc_issuer=provider.url, oidc_audience=AUDIENCE)
        web = create_app(settings, database).test_client()
        bearer = provider.token(scope="submit", preferred_username="cats")
        said = web.post(URL, json=output("c"), headers={"Authorization": f"Bearer {bearer}"})
        assert said.status_code == 201
        assert desk.get(f"{URL}/c").json["source"] == "cats"
        expired = provider.token(scope="submit", exp=1)
        assert web.post(URL, json=output("d"), headers={"Authorization": f"Bearer {expired}"}).status_code == 401


def test_the_client_sends_a_large_request_with_a_token_that_is_a_moment_old(database: Database, tmp_path: Path) -> None:
    desk = Desk(database)
    with running(database.url, tmp_path) as url:
        with database.transaction() as conn:
            made = access.add(conn, "new", ["submit"])
        many = [output(f"k{i}", data={"text": "x" * 1000}) for i in range(400)]
        with Client(url, made, loop="pets") as client:
            assert client.submit(many).new == 400
        body = "\n".join(map(json.dumps, many))
        stranger = httpx.post(f"{url}{URL}", content=body, headers={"Authorization": "Bearer other"})
        assert stranger.status_code == 401
    assert desk.get("/v1/loops/pets").json["states"]["waiting"] == 400


@pytest.mark.parametrize("allowed", ["", "https://app.example, http://localhost:3000"])
def test_pages_of_other_origins_are_shut_out_unless_they_are_configured(database: Database, allowed: str) -> None:
    Desk(database)
    web = create_app(Settings(intake_token="secret", cors_origins=allowed), database).test_client()
    for origin in ("https://app.example", "http://localhost:3000", "https://evil.example"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for answer in (web.options(URL, headers=asked), web.get(URL, headers={"Origin": origin})):
            let_in = answer.headers.get("Access-Control-Allow-Origin")
            assert let_in == (origin if origin in allowed else None)
        said = web.options(URL, headers=asked)
        methods = said.headers.get("Access-Control-Allow-Methods", "")
        assert (said.status_code, methods) == (200, "GET, POST, DELETE" if origin in allowed else "")
        assert ("Content-Encoding" in said.headers.get("Access-Control-Allow-Headers", "")) == (origin in allowed)


@pytest.mark.parametrize("wrong", ["*", "app.example", "https://app.example/", "ftp://app.example"])
def test_an_origin_that_is_none_is_refused_at_the_start(database: Database, wrong: str) -> None:
    with pytest.raises(SettingsError, match="LABELLOOP_CORS_ORIGINS"):
        create_app(Settings(intake_token="secret", cors_origins=wrong), database)


def test_a_body_that_the_server_cuts_is_never_stored_in_part(database: Database, tmp_path: Path) -> None:
    """The token becomes known to the server while a slow body of unknown length comes in."""
    desk = Desk(database)
    lines = [json.dumps(output(f"k{i}", data={"text": "x" * 1000})).encode() + b"\n" for i in range(200)]

    def slowly() -> Iterator[bytes]:
        yield lines[0]
        time.sleep(REFRESH_EVERY_S + 1)
        for line in lines[1:]:
            yield line
            time.sleep(0.001)  # each line is a chunk, so the cut is behind a whole line

    with running(database.url, tmp_path) as url:
        for attempt in range(10):  # now and then the server reads the tokens just before the head comes
            with database.transaction() as conn:
                made = access.add(conn, f"new-{attempt}", ["submit"])
            headers = {"Authorization": f"Bearer {made}", "Content-Type": "application/x-ndjson"}
            before = desk.get("/v1/loops/pets").json["states"]["waiting"]
            refused = httpx.post(f"{url}{URL}", content=slowly(), headers=headers, timeout=30)
            waiting = desk.get("/v1/loops/pets").json["states"]["waiting"]
            if refused.status_code == 503:
                break
            assert (refused.status_code, waiting) in ((201, 200), (200, before))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert waiting == before
        whole = httpx.post(f"{url}{URL}", content=iter(lines), headers=headers, timeout=30).json()
        assert whole["new"] + whole["known"] == 200

        # The server counts the bytes between the chunks too, so it cuts a body that is a little smaller than the limit.
        most = [line.rstrip().ljust(MAX_BYTES // 4000 - 3) + b"\n" for line in lines * 20]
        body = b"".join(most)
        assert len(body) < MAX_BYTES
        # Between small chunks there are more bytes than the server reads at once.
        pieces = (body[start : start + 400] for start in range(0, len(body), 400))
        large = httpx.post(f"{url}{URL}", content=pieces, headers=headers, timeout=60)
        assert (large.status_code, large.json()["detail"]) == (
            413,
            f"more than {MAX_BYTES} bytes in one request; send several",
        )

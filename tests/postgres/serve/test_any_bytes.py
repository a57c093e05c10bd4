"""No route of any service answers 5xx to any bytes: paths, queries, headers and bodies, with credentials and without.
Every refusal is a problem of RFC 9457, except on the pages for people.

The routes are those of the applications themselves, so a new one is tried as soon as it is there.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.routing import Rule
from werkzeug.test import run_wsgi_app

from backend.service import create_app as backend_app
from labelloop.access.identity import SCOPES
from labelloop.store.database import Database
from labelloop.store.tables import access
from sync.project.project import HOOK_HEADER, hook_path
from sync.service import create_app as sync_app
from tests.support.backend_factory import PASSWORD, settings_for
from tests.support.judged_loop import JudgedLoop

TOKEN, HOOK = "token-of-any-bytes", "secret-of-any-bytes"
STATE = b"readyz"
"""Always answers 503 here, with the state of each thing it depends on: no Label Studio is there."""
PAGES = b"/review"
"""The pages for people; their errors are pages too."""
PIECES = (
    b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", b"..", b"%", b"a b", "ü\u202e\U0001f600".encode(), b"0" * 3000, b"-1",
    b"1e999", b"9" * 20, b"00000000-0000-0000-0000-000000000000", b"'\"<>;--", b"a/b", b"/", b"digits", b"pipeline",
)  # fmt: skip
"""Values in paths, queries and forms."""
DEEDS = ("promote", "rollback")
DEEP = b"[" * 20_000
BODIES = (
    b"", b"\xff\0", DEEP, b'{"a":' + DEEP, b"null", b"[[]]", b'"\\ud800"',
    b'{"epoch": 1e999, "project": -0, "tasks": [1e400], "why": 1, "key": NaN}',
    b'{"why": "\\ud800\\u0000", "to": "\\u0000", "project": "30.1", "tasks": [{"data": {"image": "\\ud800"}}]}',
    b'{"key": "a", "data": {"image": "\\u0000"}, "probabilities": {"\\ud800": 1}}',
)  # fmt: skip
KINDS = (
    "application/json",
    "",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
)
HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH", *(f"HTTP_{name}" for name in (
    "AUTHORIZATION", "COOKIE", "CONTENT_ENCODING", "TRANSFER_ENCODING", "HOST", "ACCEPT", "IF_NONE_MATCH",
    "IF_MODIFIED_SINCE", "RANGE", "EXPECT", "REFERER", "X_FORWARDED_PROTO", "X_LABELLOOP_SECRET",
    "X_LABELLOOP_PROXY", "X_FORWARDED_USER",
)))  # fmt: skip
VALUES = (
    b"", b"\xff", b"Basic \xff\xfe", b"Basic " + b64encode(b"\xff:\xff"), b"Basic Zm9v", b"Basic =", b"Bearer \xe9",
    b'Digest username="\xff"', b"Digest a*=UTF-8''%ff", b"Negotiate", b"application/json; charset=\xff",
    b"application/json; charset=utf-32", b"application/json", b"application/x-ndjson", b"multipart/form-data",
    b"multipart/form-data; boundary=\xff", b"application/x-www-form-urlencoded; charset=idna", b"-1", b"1e9",
    b"99999999999", b"chunked", b"gzip", b"[", b"a:b:c", b"bytes=9-1", b'W/"',
    b"Thu, 99 Foo 0000", b'labelloop_review="\\377', b"a\0b",
)  # fmt: skip


@dataclass
class Service:
    """An application, and those who may ask it."""

    app: Flask
    callers: Sequence[Mapping[str, str]]
    """Headers of each, as WSGI has them."""
    known: Sequence[bytes]
    """Names and ids that exist."""
    faults: list[tuple[object, ...]] = field(default_factory=list)
    """Every request that was answered 5xx."""

    @property
    def rules(self) -> list[Rule]:
        return sorted(self.app.url_map.iter_rules(), key=lambda rule: (rule.rule, str(rule.endpoint)))

    def ask(
        self,
        method: str,
        path: bytes,
        *,
        query: bytes = b"",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> int:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"), "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost",
            "CONTENT_LENGTH": str(len(body)), "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        found, status, sent = run_wsgi_app(self.app, {**environ, **(headers or {})}, buffered=True)
        code = int(status.split()[0])
        if code >= 500 and not path.endswith(STATE):
            self.faults.append((method, path, query, dict(headers or {}), body[:100], b"".join(found)[:200]))
        if code >= 400 and method != "HEAD" and not path.startswith(PAGES) and not path.endswith(STATE):
            told = json.loads(b"".join(found)) if sent.get("Content-Type") == "application/problem+json" else {}
            if told.get("status") != code or not told.get("title") or not told.get("detail"):
                self.faults.append((method, path, code, sent.get("Content-Type"), b"".join(found)[:200]))
        return code


@pytest.fixture
def services(judged_loop_copy: JudgedLoop, tmp_path: Path) -> Iterator[list[Service]]:
    said = replace(
        settings_for(judged_loop_copy.url, tmp_path),
        models_dir=judged_loop_copy.models_dir, intake_token=TOKEN, hook_secret=HOOK, secret_key="a key",
        review_proxy_header="X-Forwarded-User", review_proxy_secret="of the proxy",
    )  # fmt: skip
    with Database(judged_loop_copy.url) as database:
        with database.transaction() as conn:
            token = access.add(conn, "mira", SCOPES)
            rows = conn.execute("select id::text from retrain_runs union all select id from model_versions").fetchall()
        known = [row["id"].encode() for row in rows]
        backend = backend_app(said, database)
        browser = backend.test_client()
        page = browser.get("/review/login").text
        csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
        assert browser.post("/review/login", data={"csrf": csrf, "token": token}).status_code == 303
        cookie = browser.get_cookie("labelloop_review", path="/review")
        assert cookie is not None
        basic = "Basic " + b64encode(f"labelloop:{PASSWORD}".encode()).decode()
        callers = [
            {},
            {"HTTP_AUTHORIZATION": basic},
            {"HTTP_AUTHORIZATION": f"Bearer {token}"},
            {"HTTP_COOKIE": f"labelloop_review={cookie.value}"},
        ]
        both = [
            Service(
                sync_app(said, database),
                [{}, {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}", _wsgi(HOOK_HEADER): HOOK}],
                known,
            ),
            Service(backend, callers, known),
        ]
        yield both
        assert [service.faults for service in both] == [[], []]


def test_every_route_takes_every_piece_of_a_path_and_a_query(services: list[Service]) -> None:
    for service in services:
        assert service.rules
        pieces = [*PIECES, *service.known[::2]]
        takes = [(rule, piece) for rule in service.rules for piece in (pieces if _reads(rule) else pieces[:1])]
        for rule, piece in takes:
            query = b"a=%s&b=%s&next=%s" % ((quote_from_bytes(piece).encode(),) * 3)
            body = json.dumps({"why": piece.decode("latin-1"), "project": piece.decode("latin-1")}).encode()
            for path, method, caller in itertools.product(_paths(rule, piece), _methods(rule), service.callers[1:]):
                headers = {**caller, "CONTENT_TYPE": "application/json"}
                service.ask(method, path, query=query, headers=headers, body=body)


def test_every_route_takes_every_authorization(services: list[Service]) -> None:
    for service in services:
        for rule, value in itertools.product(service.rules, VALUES):
            for method in _methods(rule):
                service.ask(method, _paths(rule, b"digits")[0], headers={"HTTP_AUTHORIZATION": value.decode("latin-1")})


def test_every_header_takes_every_value(services: list[Service]) -> None:
    sync, backend = services
    browser = backend.callers[-1]
    asked = [
        (sync, "POST", b"/v1/loops/digits/outputs", sync.callers[1]),
        (backend, "GET", b"/review/", browser),
    ]
    for (service, method, path, caller), header, value in itertools.product(asked, HEADERS, VALUES):
        service.ask(method, path, headers={**caller, header: value.decode("latin-1")}, body=b"a=1")


def test_every_route_takes_every_body(services: list[Service]) -> None:
    for service in services:
        takers = [rule for rule in service.rules if "POST" in _methods(rule)]
        sent = [(body, kind) for n, body in enumerate(BODIES) for kind in (KINDS[0], KINDS[1 + n % (len(KINDS) - 1)])]
        for rule, (body, kind) in itertools.product(takers, sent):
            for path, caller in itertools.product(_paths(rule, service.known[0]), service.callers[1:]):
                service.ask("POST", path, headers={**caller, "CONTENT_TYPE": kind}, body=body)


def test_whatever_comes_nobody_gets_a_5xx(services: list[Service]) -> None:
    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def anything(data: st.DataObject) -> None:
        service = data.draw(st.sampled_from(services))
        rule = data.draw(st.sampled_from(service.rules))
        piece = st.one_of(st.sampled_from([*PIECES, *service.known]), st.binary(min_size=1, max_size=20))
        path = data.draw(st.sampled_from(_paths(rule, data.draw(piece))))
        name = st.one_of(
            st.sampled_from(["a", "b", "next", "why", "epoch", "to", "token", "csrf"]), st.text(max_size=5)
        )
        pairs = data.draw(st.lists(st.tuples(name, piece), max_size=3))
        form = b"&".join(word.encode("utf-8", "surrogatepass") + b"=" + value for word, value in pairs)
        value = st.one_of(st.sampled_from(VALUES), st.binary(max_size=20))
        named = data.draw(st.dictionaries(st.sampled_from(HEADERS), value, max_size=3))
        leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
        names = st.sampled_from(
            ["tasks", "data", "project", "id", "label_config", "why", "to", "epoch", "key", "probabilities"]
        )
        tree = st.recursive(leaf, lambda t: st.one_of(st.lists(t, max_size=3), st.dictionaries(names, t, max_size=4)))
        body = data.draw(st.one_of(st.binary(max_size=50), tree.map(_json), st.just(form)))
        method = data.draw(st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "\xff"]))
        caller = data.draw(st.sampled_from(service.callers))
        headers = {**caller, **{name: value.decode("latin-1") for name, value in named.items()}}
        service.ask(method, path, query=form, headers=headers, body=body)

    anything()


def test_the_hook_is_among_the_routes(services: list[Service]) -> None:
    sync = services[0]
    path = hook_path("digits").encode()
    assert sync.ask("POST", path, headers={"HTTP_X_LABELLOOP_SECRET": "\xff"}) == 401
    assert sync.ask("POST", path, headers={"HTTP_X_LABELLOOP_SECRET": HOOK}, body=b"{}") == 400


def _reads(rule: Rule) -> bool:
    """Whether it takes anything from the path or the query."""
    return bool(rule.arguments) or rule.rule.endswith(("compare", "login"))


def _methods(rule: Rule) -> set[str]:
    return set(rule.methods or ()) - {"HEAD", "OPTIONS"}


def _paths(rule: Rule, piece: bytes) -> list[bytes]:
    """With the piece as each of the rule's arguments in turn, beside names that there are."""
    names = sorted(rule.arguments) or [""]
    deeds = DEEDS if "what" in names else ("",)
    known = [{"loop": "digits", "key": "item-1", "what": deed, "subject": "digits"} for deed in deeds]
    made = [{**said, name: quote_from_bytes(piece)} for said in known for name in names]
    return sorted({_filled(rule.rule, one) for one in made})


def _filled(rule: str, values: Mapping[str, str]) -> bytes:
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda found: values.get(found[1], "x"), rule).encode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _wsgi(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")

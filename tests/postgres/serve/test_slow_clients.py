"""Slow clients cost connections and no threads: the services as `labelloop up` starts them, 40 slow beside a good."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from console.local import services
from console.local.supervisor import ROOT, python_env
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.backend_factory import settings_for, texts_spec
from tests.support.ml_backend import basic, until
from tests.support.network.ports import free_address

TOKEN = "token-of-slow-clients"
LINES = 300
"""Outputs in a submission; its answer is larger than the kernel's buffer for a client that reads nothing."""


@pytest.fixture
def settings(database: Database, database_url: str, tmp_path: Path) -> Settings:
    with database.transaction() as conn:
        loops.register(conn, texts_spec())
    return replace(settings_for(database_url, tmp_path), intake_token=TOKEN)


@contextmanager
def serving(service: str, settings: Settings, log: Path) -> Iterator[tuple[str, int]]:
    address = free_address()
    at = address.split(":")[0], int(address.split(":")[1])
    command = [sys.executable, "-m", *services.gunicorn(service, address)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env={**python_env(), **settings.to_env()}, stdout=out, stderr=out)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://{at[0]}:{at[1]}/health", timeout=5).status_code < 500
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield at
    finally:
        process.terminate()
        process.wait(timeout=30)


def slow(at: tuple[str, int], stack: ExitStack, sent: bytes) -> socket.socket:
    """A client that sends this, and from then on neither sends nor reads."""
    wire = stack.enter_context(socket.socket())
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    wire.connect(at)
    wire.sendall(sent)
    return wire


def p99(http: httpx.Client, path: str, n: int = 100) -> float:
    took = []
    for _ in range(n):
        began = time.perf_counter()
        assert http.get(path).status_code == 200
        took.append(time.perf_counter() - began)
    return sorted(took)[int(0.99 * n) - 1]


def submission() -> bytes:
    said = {"data": {"text": "x"}, "probabilities": {"ham": 0.5, "spam": 0.5}}
    body = b"\n".join(json.dumps({"key": f"{'k' * 150}{i}", **said}).encode() for i in range(LINES))
    head = (
        f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}"
    )
    return f"POST /v1/loops/texts/outputs HTTP/1.1\r\n{head}\r\n\r\n".encode() + body


def prediction() -> bytes:
    body = json.dumps({"tasks": [], "project": "1.1"}).encode()
    head = f"Host: x\r\nAuthorization: {basic()['Authorization']}\r\nContent-Type: application/json"
    return f"POST /predict HTTP/1.1\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("service", "good", "headers", "body", "asked"),
    [
        (services.SYNC, "/v1/loops", {"Authorization": f"Bearer {TOKEN}"}, submission(), submission()),
        (services.BACKEND, "/versions", basic(), prediction(), b"GET /review/login HTTP/1.1\r\nHost: x\r\n\r\n" * 40),
    ],
    ids=["sync", "backend"],
)
def test_forty_slow_clients_hold_up_nobody_and_are_sent_away(
    service: str, good: str, headers: dict[str, str], body: bytes, asked: bytes, settings: Settings, tmp_path: Path
) -> None:
    with serving(service, settings, tmp_path / "log") as at, ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=f"http://{at[0]}:{at[1]}", headers=headers, timeout=20))
        alone = p99(http, good)
        heads = [slow(at, stack, b"POST /v1/loops HTTP/1.1\r\nHost: x\r\nX-Slow: ") for _ in range(14)]
        for _ in range(13):
            slow(at, stack, body[:-20])
        for _ in range(13):
            slow(at, stack, asked)
        time.sleep(3)  # what they asked is answered, as far as they read it
        # 500 ms beside a machine that is at rest; this one may have other work too. A client
        # that holds up others does so for 10 s at least.
        assert any(p99(http, good) < 0.5 + alone for _ in range(3))
        for wire in heads:  # a head has 10 s
            wire.settimeout(30)
            assert wire.recv(100) == b""
        assert http.get(good).status_code == 200


def test_more_connections_than_a_process_takes_are_closed_until_others_find_a_place(
    settings: Settings, tmp_path: Path
) -> None:
    with serving(services.BACKEND, settings, tmp_path / "log") as at, ExitStack() as stack:
        for _ in range(300):
            slow(at, stack, b"")
        answer = httpx.get(f"http://{at[0]}:{at[1]}/health", timeout=10)
    assert answer.status_code == 200


def test_a_body_without_credentials_is_answered_before_it_is_sent(settings: Settings, tmp_path: Path) -> None:
    with serving(services.SYNC, settings, tmp_path / "log") as at, ExitStack() as stack:
        head = "POST /v1/loops/texts/outputs HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n"
        wire = slow(at, stack, head.encode())
        wire.settimeout(20)
        said = b""
        while piece := wire.recv(4000):
            said += piece
        assert said.startswith(b"HTTP/1.1 401 ")
        assert b"Authorization: Bearer" in said
        wrong = httpx.post(
            f"http://{at[0]}:{at[1]}/v1/loops/texts/outputs",
            content=b"x" * 6_000_000,
            headers={"Authorization": "Bearer x"},
            timeout=60,
        )
        assert wrong.status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        large = httpx.post(
            f"http://{at[0]}:{at[1]}/v1/loops/texts/outputs", content=b"x" * 9_000_000, headers=right, timeout=60
        )
        assert (large.status_code, "8388608" in large.json()["error"]) == (413, True)


def test_a_head_that_is_no_http_is_refused_as_a_problem_too(settings: Settings, tmp_path: Path) -> None:
    with serving(services.SYNC, settings, tmp_path / "log") as at, ExitStack() as stack:
        wire = slow(at, stack, b"GET / HTTP/1.1\r\nno header\r\n\r\n")
        wire.settimeout(20)
        said = b""
        while piece := wire.recv(4000):
            said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    assert (b" 400 " in head, b"application/problem+json" in head) == (True, True)
    assert json.loads(body)["status"] == 400


def test_a_request_on_its_way_is_answered_although_the_service_is_told_to_end(
    settings: Settings, tmp_path: Path
) -> None:
    whole = submission().replace(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n")
    with ExitStack() as stack:
        with serving(services.SYNC, settings, tmp_path / "log") as at:
            wire = slow(at, stack, whole[:-20])
            wire.settimeout(30)
            assert wire.recv(4000) == b"HTTP/1.1 100 Continue\r\n\r\n"  # so the head has been read
            rest = threading.Timer(1, wire.sendall, [whole[-20:]])
            rest.start()
        rest.join()
        assert wire.recv(4000).startswith(b"HTTP/1.1 201 ")

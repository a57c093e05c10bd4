"""The client, the service under gunicorn and Postgres together: what was handed in is there once."""

from __future__ import annotations

import random
import socket
import unicodedata
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pytest
from psycopg import sql

from labelloop import Client, Conflict, InvalidOutput, Output, Unreachable, UsageError
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import loops
from labelloop.store.tables import outputs as output_store
from tests.support.data.keys import KEYS
from tests.support.network.faultproxy import Proxy
from tests.support.network.sync_service import PETS, TOKEN, running


def output(i: int, confidence: float = 0.6, **changes: Any) -> Output:
    shares = {"cat": confidence, "dog": 1 - confidence}
    return Output(**{"key": f"pet/{i}", "data": {"text": "miaow"}, "probabilities": shares, **changes})


@pytest.fixture(scope="module")
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A database for this file: a service keeps no state, so that one is enough for all of its tests."""
    name = f"labelloop_client_{uuid.uuid4().hex[:12]}"
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        migrate(url)
        with Database(url) as database:
            yield database
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def address(postgres_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sync service as it is run."""
    with running(postgres_database.url, tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture
def database(postgres_database: Database) -> Database:
    """With nothing in it but the loop `pets`."""
    with postgres_database.transaction() as conn:
        conn.execute("truncate loops cascade")
        loops.register(conn, PETS)
    return postgres_database


@pytest.fixture
def service(address: str, database: Database) -> str:
    return address


class LossyProxy(Proxy):
    """The fault strikes the next submission."""

    def take_fault(self, method: str, path: str) -> str:
        if method != "POST":
            return "none"
        fault, self.fault = self.fault, "none"
        return fault


def rows(database: Database) -> int:
    with database.transaction() as conn:
        return sum(output_store.state_counts(conn, "pets").values())


def test_any_iterable_is_submitted_in_chunks_and_twice_is_once(service: str, database: Database) -> None:
    def stream() -> Iterator[Output | dict[str, Any]]:
        for i in range(1200):
            yield output(i, 0.9 if i % 3 else 0.5)
        share = np.float32(0.25)  # what a model gives
        yield {"key": "np", "data": {"text": "x"}, "probabilities": {"cat": share, "dog": 1 - share}}

    with Client(service, TOKEN) as client:
        first, second = client.submit(stream()), client.submit(stream())
        assert (first.new, first.known, second.new, second.known) == (1201, 0, 0, 1201)
        assert first.states == second.states == {"passed": 800, "waiting": 401}
        assert client.loops() == ["pets"]
        assert client.submit_lines([b'{"key":"l","data":{"text":"x"},"label":"cat"}\n', b"\n"]).new == 1
    assert rows(database) == 1202


@pytest.mark.parametrize("fault", ["drop reply", "cut reply", "answer 502"])
def test_an_answer_lost_after_the_commit_is_asked_for_again_and_stores_nothing_twice(
    service: str, database: Database, fault: str
) -> None:
    with LossyProxy(service) as proxy, Client(proxy.url, TOKEN, sleep=lambda _: None) as client:
        proxy.arm(fault)
        receipt = client.submit([output(i) for i in range(10)])
        assert proxy.struck.is_set()
    assert (receipt.new, receipt.known) == (0, 10), "the first time was stored, its answer lost"
    assert rows(database) == 10


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_a_real_pipeline_goes_in_and_is_found_again(service: str, database: Database, key: str) -> None:
    with Client(service, TOKEN) as client:
        assert client.submit(output(0, key=key)).new == 1, "one output need not stand in a list"
        found = client.get(unicodedata.normalize("NFD", key))
        assert (
            client.submit({"key": key, "data": {"text": "miaow"}, "probabilities": {"cat": 0.6, "dog": 0.4}}).known == 1
        )
    assert found is not None
    assert found.key == key
    with database.transaction() as conn, pytest.raises(psycopg.errors.CheckViolation, match="output_key"):
        conn.execute("update outputs set key = %s", ("a\nb",))


def test_errors_name_the_output(service: str) -> None:
    client = Client(service, TOKEN, loop="pets")
    client.submit([output(1)])
    with pytest.raises(Conflict, match="pet/1"):
        client.submit([output(2), output(1, 0.7)])
    assert client.get("pet/2") is None, "nothing of that request is stored"
    with pytest.raises(InvalidOutput, match=r"^probabilities.cow: no such label.*\(output 'pet/3'\)") as caught:
        client.submit([output(3, probabilities={"cow": 1.0})])
    assert caught.value.path == "probabilities.cow"
    with pytest.raises(InvalidOutput, match=r"^probabilities.cat: must lie between.*\(output 'pet/4'\)"):
        client.submit([output(4, 1.5)])
    with pytest.raises(InvalidOutput, match=r"\(line 2\)"):
        client.submit_lines([b"\n", b"{"])
    with pytest.raises(UsageError, match="no loop 'cats'; there are: pets"):
        client.submit([output(5)], loop="cats")
    with pytest.raises(UsageError, match="refuses the token"):
        Client(service, "wrong").submit([output(6)])


def test_a_service_that_is_away_is_asked_again_after_growing_random_pauses() -> None:
    pauses: list[float] = []
    with (
        Client("http://127.0.0.1:9", TOKEN, loop="pets", sleep=pauses.append, rng=random.Random(0)) as client,
        pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 does not answer after 8 attempts"),
    ):
        client.submit([output(1)])
    assert len(pauses) == 7
    assert all(pause <= 0.25 * 2**i for i, pause in enumerate(pauses))


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 4000\r\n\r\n", b"LINE"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\nLINE\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\nLINE"),
    ],
)
def test_a_request_that_breaks_off_after_a_whole_line_stores_nothing(
    service: str, database: Database, framing: bytes, sent: bytes
) -> None:
    line = b'{"key":"a","data":{"text":"x"},"label":"cat"}\n'
    host, port = service.removeprefix("http://").split(":")
    head = f"POST /v1/loops/pets/outputs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(head.encode() + b"Content-Type: application/x-ndjson\r\n" + framing)
        wire.sendall(sent.replace(b"%x", b"%x" % len(line)).replace(b"LINE", line))
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(100).startswith(b"HTTP/1.1 400 ")
    assert rows(database) == 0
    assert Client(service, TOKEN).submit([output(1)]).new == 1

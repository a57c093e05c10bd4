"""Waiters of the service as it is run: they cost no thread, and leave their places."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.support.waiters import Waiters
from labelloop import Client, Output
from labelloop.store.database import Database
from labelloop.store.tables import access, loops
from tests.support.hops.answered import answer
from tests.support.hops.chained import review, step_of
from tests.support.network.ports import free_address
from tests.support.network.sync_service import PETS, TOKEN, running
from tests.support.workers.processes import sockets


def submit(url: str, keys: Sequence[str], confidence: float = 0.6) -> None:
    shares = {"cat": confidence, "dog": 1 - confidence}
    with Client(url, TOKEN, loop="pets") as client:
        client.submit(Output(key=key, data={"text": "miaow"}, probabilities=shares) for key in keys)


def answer_all(database: Database, keys: Sequence[str]) -> None:
    """All in one transaction, in a few statements."""
    with database.transaction() as conn:
        ids = [
            row["id"]
            for row in conn.execute("select id from outputs where loop = 'pets' and key = any(%s)", (list(keys),))
        ]
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) "
            "select unnest(%s::uuid[]), 'pets', 'cat', 1, 1",
            (ids,),
        )
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s::output_state where id = any(%s)", (state, ids))


def processes(url: str) -> list[psutil.Process]:
    """The processes that listen there."""
    port = int(url.rpartition(":")[2])
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in sockets(one))
    ]


def connections(those: Sequence[psutil.Process]) -> int:
    """Their open connections of clients, also of clients that have hung up."""
    all_ = [c for one in those for c in sockets(one)]
    ports = {c.laddr.port for c in all_ if c.status == psutil.CONN_LISTEN}
    return sum(c.status != psutil.CONN_LISTEN and c.laddr.port in ports for c in all_)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_thousand_waiters_take_no_thread_and_a_submit_is_answered_beside_them(service: str, pets: Database) -> None:
    keys = [f"many-{i}" for i in range(1000)]
    submit(service, keys)
    those = processes(service)
    threads = sum(one.num_threads() for one in those)
    with Waiters(service, TOKEN, "pets", keys) as waiters:
        until(lambda: connections(those) >= 1000)
        assert waiters.answered(1) == {}
        more = sum(one.num_threads() for one in those) - threads
        assert more <= 2 * 4, "a thread of each process that asks Postgres, and those of its pool of connections"
        began = time.monotonic()
        submit(service, ["beside"])
        assert time.monotonic() - began < 8
        answer_all(pets, keys)
        responses = waiters.answered(30)
        assert time.monotonic() - began < 30
    assert len(responses) == 1000
    heads = Counter(one.partition(b"\r\n")[0] for one in responses.values())
    assert heads == {b"HTTP/1.1 200 OK": 1000}
    assert all(b'"label":"cat"' in one for one in responses.values())


def test_more_waiters_than_places_for_connections_leave_the_places_to_others(service: str) -> None:
    keys = [f"place-{i}" for i in range(700)]  # CONNECTIONS is 256 a process, of two
    submit(service, keys)
    with Waiters(service, TOKEN, "pets", keys):
        until(lambda: connections(processes(service)) >= 700)
        assert httpx.get(f"{service}/healthz", timeout=5).status_code == 200


def test_a_waiter_that_hangs_up_frees_its_place_at_once(service: str) -> None:
    keys = [f"gone-{i}" for i in range(50)]
    submit(service, keys)
    those = processes(service)
    with Waiters(service, TOKEN, "pets", keys) as waiters:
        until(lambda: connections(those) >= 50)
        assert waiters.answered(0.5) == {}
        waiters.hang_up()
        until(lambda: connections(those) < 10, 20)


def test_one_token_leaves_places_to_another_and_is_told_to_come_again(service: str, pets: Database) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    submit(service, keys := [f"greedy-{i}" for i in range(2200)])
    with pets.transaction() as conn:
        other = access.add(conn, "modest", ["read"], access.Limits())
    with Waiters(service, TOKEN, "pets", keys) as greedy, Waiters(service, other, "pets", keys[:20]) as modest:
        refused = greedy.answered(60, 200)
        assert len(refused) >= 200, "two processes of 2,000 places, of which half are for one token"
        heads = {one.partition(b"\r\n\r\n")[0] for one in refused.values()}
        assert {head.partition(b"\r\n")[0] for head in heads} == {b"HTTP/1.1 429 TOO MANY REQUESTS"}
        assert all(b"\r\nRetry-After: " in head for head in heads)
        assert modest.answered(1) == {}, "all of them wait"


@pytest.mark.parametrize("early", [True, False])
def test_a_waiter_that_sends_no_more_frees_its_place(service: str, early: bool) -> None:
    submit(service, keys := [f"half-{i}-{early}" for i in range(50)])
    those = processes(service)
    with Waiters(service, TOKEN, "pets", keys) as waiters:
        if not early:
            until(lambda: connections(those) >= 50)
            assert waiters.answered(0.5) == {}
        for wire in waiters.wires:
            wire.shutdown(socket.SHUT_WR)
        ended = waiters.answered(20)
    assert len(ended) == 50
    assert set(ended.values()) == {b""}


def test_a_waiter_is_told_at_its_deadline_that_nobody_has_answered(service: str) -> None:
    submit(service, ["late"])
    for wait_s in (0.1, 0.7):
        began = time.monotonic()
        said = httpx.get(
            f"{service}/v1/loops/pets/outputs/late/answer?wait={wait_s}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert wait_s <= time.monotonic() - began < wait_s + 5
        assert said.json()["settled"] is False


def test_a_waiter_of_one_source_is_not_told_of_the_steps_of_another(service: str, pets: Database) -> None:
    with pets.transaction() as conn:
        rag = access.add(conn, "rag", ["submit", "read"], access.Limits(source="rag"))
    with Client(service, TOKEN, loop="pets") as everybody, Client(service, rag, loop="pets") as own:
        everybody.submit(step_of("chain", "retrieve", source="crawler"))
        own.submit(step_of("chain", "answer"))
        review(pets, "chain/retrieve", "dog")
        for client, keys in ((own, []), (everybody, ["chain/retrieve"])):
            assert [step["key"] for step in client.wait("chain/answer", timeout=0.6).rests_on] == keys


def test_requests_behind_a_waiting_one_on_the_same_connection_are_answered_in_order(
    service: str, pets: Database
) -> None:
    submit(service, ["first"])
    with Waiters(service, TOKEN, "pets", ["first"]) as waiters:
        wire = waiters.wires[0]
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        assert waiters.answered(0.7) == {}
        answer(pets, "pets", "first")
        wire.settimeout(10)
        said = b""
        while said.count(b"HTTP/1.1 200 ") < 3:
            said += wire.recv(4096)
        assert said.index(b'"label":"cat"') < said.index(b'"status":"ok"')


def test_each_of_many_requests_on_one_connection_waits_for_its_own_key(service: str) -> None:
    keys = [f"piped-{i}" for i in range(30)]
    submit(service, keys)
    asked = "GET /v1/loops/pets/outputs/{}/answer?wait=0.1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(service.rpartition(":")[2])), 20) as wire:
        wire.sendall("".join(asked.format(key, TOKEN) for key in keys).encode())
        said = b""
        while said.count(b'"outcome":') < len(keys):
            said += wire.recv(65536)
    assert re.findall(rb'"key":"([^"]+)"', said) == [key.encode() for key in keys]


@pytest.mark.parametrize("key", ["again", "answered-meanwhile"])
def test_a_service_that_restarts_ends_its_waiters_and_the_client_goes_on_waiting(
    database: Database, tmp_path: Path, key: str
) -> None:
    with database.transaction() as conn:
        loops.register(conn, PETS)
    address = free_address()
    found = []
    with ExitStack() as stack:
        with running(database.url, tmp_path, address) as url:
            submit(url, [key])
            waiters = stack.enter_context(Waiters(url, TOKEN, "pets", [key]))
            client = stack.enter_context(Client(url, TOKEN, loop="pets"))
            waiting = threading.Thread(target=lambda: found.append(client.wait(key, timeout=60)))
            waiting.start()
            assert waiters.answered(1) == {}
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 15, "the end of the service waits for nobody who waits"
        assert waiters.answered(1) == {key: b""}
        if key == "answered-meanwhile":
            answer(database, "pets", key)
        with running(database.url, tmp_path, address) as url:
            if key == "again":
                answer(database, "pets", key)
            waiting.join(20)
            began = time.monotonic()
            assert client.wait(key, timeout=30).label == "cat"
            assert time.monotonic() - began < 8, "answered already"
    assert [status.label for status in found] == ["cat"]

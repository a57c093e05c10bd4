"""Client.background(): no call waits for the service, and nothing that was accepted is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from labelloop import Busy, Client, InvalidOutput, Output, UsageError
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.network.ports import free_address
from tests.support.network.sync_service import PETS, TOKEN, running

AWAY = "http://127.0.0.1:9"
ROOT = Path(__file__).resolve().parents[3]
A_FEW_MS = 0.02
"""More than a few: the machine of the tests has other work too."""


def output(key: str, label: str = "cat") -> Output:
    return Output(key=key, data={"text": "miaow"}, probabilities={label: 0.6, "dog": 0.4})


def slowest(times: list[float]) -> float:
    """Return the time that 99 of 100 calls do not exceed."""
    return sorted(times)[int(0.99 * len(times)) - 1]


def stored(database: Database, prefix: str) -> int:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from outputs where key like %s", (f"{prefix}%",)).fetchone()
    assert row is not None
    return int(row["n"])


def until(true: object, seconds: float = 30) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def prefix() -> str:
    return f"bg-{uuid4()}-"


def test_a_service_that_is_away_costs_the_caller_nothing_and_gets_everything_when_it_comes(
    database: Database, tmp_path: Path, prefix: str
) -> None:
    with database.transaction() as conn:
        loops.register(conn, PETS)
    address = free_address()
    background = Client.background(f"http://{address}", TOKEN, loop="pets")
    times = []
    for i in range(2_000):
        began = time.perf_counter()
        assert background.submit(output(f"{prefix}{i}"))
        times.append(time.perf_counter() - began)
    assert slowest(times) < A_FEW_MS
    until(lambda: background.problem)
    assert (background.pending, background.sent, background.dropped) == (2_000, 0, 0)
    assert "does not answer" in str(background.problem)
    for _ in range(2):  # it comes, goes and comes back
        with running(database.url, tmp_path, address):
            assert background.submit(output(f"{prefix}{uuid4()}"))
            assert background.flush(30)
        assert background.submit(output(f"{prefix}{uuid4()}"))
    with running(database.url, tmp_path, address):
        assert background.close(30)
    assert stored(database, prefix) == background.sent == 2_004
    assert (background.pending, background.problem) == (0, None)


def test_a_service_that_never_answers_costs_the_caller_nothing(prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        background = Client.background(f"http://127.0.0.1:{mute.getsockname()[1]}", TOKEN, loop="pets")
        times = []
        for i in range(1_000):
            began = time.perf_counter()
            background.submit(output(f"{prefix}{i}"))
            times.append(time.perf_counter() - began)
        assert slowest(times) < A_FEW_MS
        began = time.monotonic()
        assert not background.flush(0.3)
        assert not background.close(0.3)
        assert time.monotonic() - began < 8


def test_a_full_queue_says_so_and_counts_what_it_did_not_take(prefix: str) -> None:
    background = Client.background(AWAY, TOKEN, loop="pets", max_pending=3)
    assert [background.submit(output(f"{prefix}{i}")) for i in range(5)] == [True] * 3 + [False] * 2
    assert (background.pending, background.dropped) == (3, 2)
    background.close(0)
    strict = Client.background(AWAY, TOKEN, loop="pets", max_pending=1, raise_when_full=True)
    strict.submit(output(f"{prefix}a"))
    with pytest.raises(Busy, match="1 outputs are pending"):
        strict.submit(output(f"{prefix}b"))
    strict.close(0)
    with pytest.raises(UsageError, match="closed"):
        strict.submit(output(f"{prefix}c"))
    with pytest.raises(UsageError, match="max_pending"):
        Client.background(AWAY, TOKEN, max_pending=0)


def test_an_output_that_breaks_the_rules_is_refused_to_the_caller(prefix: str) -> None:
    background = Client.background(AWAY, TOKEN, loop="pets")
    with pytest.raises(InvalidOutput, match="probabilities"):
        background.submit({"key": prefix, "data": {}, "probabilities": {"cat": 2}})
    assert background.pending == 0


def test_an_output_that_only_the_service_refuses_takes_no_other_with_it(
    service: str, pets: Database, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Client.background(service, TOKEN, loop="pets") as background:
        for i in range(300):
            background.submit(output(f"{prefix}{i}", "cow" if i == 137 else "cat"))
    assert (background.sent, background.refused, background.pending) == (299, 1, 0)
    assert stored(pets, prefix) == 299
    assert f"{prefix}137" in caplog.text


def test_a_wrong_token_is_shown_and_loses_nothing(service: str, prefix: str) -> None:
    background = Client.background(service, "wrong", loop="pets")
    background.submit(output(prefix))
    until(lambda: background.problem)
    assert "refuses the token" in str(background.problem)
    assert background.pending == 1
    background.close(0)


def test_a_client_that_cannot_be_made_yet_loses_nothing(
    service: str, pets: Database, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with Client.background(service, TOKEN, loop="pets") as background:
        background.submit(output(prefix))
        until(lambda: background.problem)
        monkeypatch.delenv("SSL_CERT_FILE")
        assert background.flush(20)
    assert (background.sent, stored(pets, prefix)) == (1, 1)


SCRIPT = """
import os, sys, time
from labelloop import Client, Output
url, prefix, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
background = Client.background(url, "secret", loop="pets", flush_s=2)
def submit(key):
    assert background.submit(Output(key=prefix + key, data={"text": "x"}, probabilities={"cat": 0.6, "dog": 0.4}))
for i in range(n):
    submit(str(i))
"""


def ran(script: str, *words: str) -> tuple[float, str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began, done.stderr


def test_the_end_of_the_process_sends_what_is_left(service: str, pets: Database, prefix: str) -> None:
    ran(SCRIPT, service, prefix, "1200")
    assert stored(pets, prefix) == 1_200


def test_the_end_of_the_process_takes_no_longer_than_its_limit_and_says_what_is_lost(prefix: str) -> None:
    took, said = ran(SCRIPT, AWAY, prefix, "7")
    assert took < 10
    assert "7 outputs were not sent" in said


def test_a_forked_process_sends_its_own_outputs_and_not_those_of_its_parent(
    service: str, pets: Database, prefix: str
) -> None:
    fork = """
pid = os.fork()
if pid == 0:
    assert background.pending == 0
    submit("child")
    assert background.flush(10) and background.sent == 1
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
submit("parent")
assert background.flush(10) and background.sent == n + 1
"""
    ran(SCRIPT + fork, service, prefix, "50")
    assert stored(pets, prefix) == 52


def test_a_forked_process_has_connections_of_its_own(service: str, prefix: str) -> None:
    script = """
import os, sys
from labelloop import Client, Output
client = Client(sys.argv[1], "secret", loop="pets", timeout_s=5, attempts=1)
keys = [sys.argv[2] + name for name in ("parent", "child")]
client.submit(Output(key=key, data={"text": "x"}, probabilities={"cat": 0.6, "dog": 0.4}) for key in keys)
pid = os.fork()
for _ in range(100):
    assert client.get(keys[pid == 0]).key == keys[pid == 0]
if pid == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    ran(script, service, prefix)

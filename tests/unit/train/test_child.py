"""The worker's view of its child, with real processes in the role of the child."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.train.child import ERROR_CHARACTERS, LOG_CHARACTERS, Child, Children, Heard, Order, Stopped, kill, train_in
from labelloop.process.settings import Settings
from labelloop.spec.sections import Retrain

SETTINGS = Settings(database_url="postgresql://me:p%40ss-word@db:5432/x", backend_password="other-secret")
ORDER = Order(uuid.uuid4(), Retrain(minutes=1.0))
Play = Callable[[str], Child]


@pytest.fixture
def play() -> Iterator[Play]:
    """Starts a process with this program, as Children starts its own."""
    started = []

    def start(program: str) -> Child:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", f"import os, sys, json, time\n{program}"]
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        started.append(child)
        return child

    yield start
    for child in started:
        kill(child)


class Given(Children):
    """Children that are there already, one after the other; remembers which was to be idle."""

    def __init__(self, *children: Child) -> None:
        self.left, self.idle = list(children), list[bool]()

    def take(self, *, idle: bool = True) -> Child:
        self.idle.append(idle)
        return self.left.pop(0)


def heard(child: Child, order: Order = ORDER, beat: Callable[[], bool] = lambda: True) -> tuple[Heard, dict[str, Any]]:
    known = Heard(SETTINGS.hide)
    return known, train_in(Given(child), order, known, beat, threading.Event())


def test_progress_log_and_outcome_are_told_apart_though_they_come_in_pieces(play: Play) -> None:
    known, outcome = heard(
        play("""
order = json.loads(sys.stdin.readline())
os.write(1, b'{"step": "fitting", "done": 1, "of')
print("a line of the log", file=sys.stderr, flush=True)
time.sleep(0.2)
os.write(1, b'": 3}\\n' + json.dumps({"version": order["run"]}).encode() + b"\\n")
""")
    )
    assert outcome == {"version": str(ORDER.run)}
    assert known.progress is not None
    assert (known.progress["step"], known.progress["done"], known.progress["of"]) == ("fitting", 1, 3)
    assert known.log == "a line of the log\n"


def test_neither_log_nor_error_holds_a_secret_or_what_postgres_cannot_keep(play: Play) -> None:
    known, outcome = heard(
        play(r"""
said = "p@ss-word p%40ss-word other-secret postgresql://you:theirs@db/x \0 \ud800"
os.write(2, b"x" * 200_000 + said.encode("utf-8", "surrogatepass") + b"\xff\n")
print(json.dumps({"error": said + "y" * 5000}, ensure_ascii=False).encode(errors="replace").decode(), flush=True)
""")
    )
    for said in (known.log, outcome["error"]):
        assert "*** *** *** postgresql://you:***@db/x" in said
        assert "\0" not in said
        said.encode()
    assert len(known.log) <= LOG_CHARACTERS
    assert len(outcome["error"]) <= ERROR_CHARACTERS


def test_a_process_that_prints_without_end_is_ended_in_time_and_only_the_end_is_kept(play: Play) -> None:
    child = play("while True: sys.stderr.write('again and again\\n')")
    assert child.stderr is not None
    assert select.select([child.stderr], [], [], 60)[0], "it has begun to print"
    known, outcome = heard(child, Order(uuid.uuid4(), Retrain(minutes=0.01)))
    assert outcome == {"error": "training took longer than 0.01 minutes and was stopped"}
    assert 0 < len(known.log) <= LOG_CHARACTERS
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (
            "os.kill(os.getpid(), 9)",
            "the training process was terminated by SIGKILL, perhaps because it ran out of memory",
        ),
        ("os.kill(os.getpid(), 11)", "the training process was terminated by SIGSEGV"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass",
            "the training process was terminated by SIGXCPU: it used more than 1 minutes of 1 processors",
        ),
        ("sys.exit(3)", "the training process exited with status 3 without a result"),
    ],
)
def test_an_end_without_an_outcome_says_what_it_was(play: Play, program: str, error: str) -> None:
    assert heard(play(program))[1] == {"error": error}


def test_a_child_that_is_stopped_has_ended_when_stop_returns(play: Play) -> None:
    child = play("time.sleep(600)")
    with pytest.raises(Stopped):
        heard(child, beat=lambda: False)
    assert child.returncode == -signal.SIGKILL


def test_a_run_that_gets_no_time_begins_anew_with_a_share(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    starving = play("""os.write(1, b'{"step": "fit'); time.sleep(600)""")
    fed = play("""os.write(1, b'{"version": "made"}\\n')""")
    monkeypatch.setattr("backend.train.child.BEAT_EVERY_S", 0.1)
    monkeypatch.setattr("backend.train.child.starves", lambda pid: True)
    children, known = Given(starving, fed), Heard(SETTINGS.hide)
    assert train_in(children, ORDER, known, lambda: True, threading.Event()) == {"version": "made"}
    assert children.idle == [True, False]
    assert starving.returncode == -signal.SIGKILL

"""Encoding in child processes: the same vectors, at idle priority, and an end in every case."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.encode import children as module
from backend.encode import encoder
from backend.encode.children import Children, Stopped
from backend.encode.encoder import checked
from labelloop.errors import Failed, SettingsError
from labelloop.process import priority, rooms
from tests.support.hops.encoders import model2vec_folder, onnx_folder
from tests.support.judged_loop import _training_takes_its_turn as _training_takes_its_turn

pytestmark = pytest.mark.slow


@pytest.fixture
def words(tmp_path: Path) -> str:
    return str(onnx_folder(tmp_path / "words"))


Mine = Callable[[], list[psutil.Process]]


@pytest.fixture
def mine() -> Mine:
    """Return the encoding children that the test has started, and those that ended without being waited for."""
    others = set(psutil.Process().children())
    return lambda: [one for one in psutil.Process().children() if one not in others and _encodes(one)]


def _encodes(process: psutil.Process) -> bool:
    try:
        return "backend.encode.child" in process.cmdline()
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False


def test_children_give_the_same_vectors_in_order(words: str, mine: Mine) -> None:
    texts = [f"{'the bill ' * (i % 7)}login" for i in range(300)] + ["", "\ud800", "\n"]
    with Children(threading.Event(), most=2) as children:
        np.testing.assert_array_equal(children.of(words)(texts), encoder(words).encode(texts))
        assert 1 <= len(mine()) <= 2
    assert not mine()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no other system has an idle policy")
def test_texts_that_nobody_waits_for_are_encoded_in_time_that_is_left(
    words: str, mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priority, "NICENESS", 19)
    with Children(threading.Event(), most=1) as children:
        children.of(words)(["bill"])
        assert os.sched_getscheduler(mine()[0].pid) in (os.SCHED_IDLE, os.SCHED_OTHER)
        children.of(words, idle=False)(["bill"])
        assert [os.sched_getscheduler(one.pid) for one in mine()] == [os.SCHED_OTHER]


@pytest.mark.parametrize(("idle", "at_work", "rests"), [(True, True, 3), (True, False, 0), (False, True, 0)])
def test_encoding_rests_between_parts_while_people_work_unless_somebody_waits_for_it(
    words: str, idle: bool, at_work: bool, rests: int
) -> None:
    waits = list[float]()

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return False

    texts = ["bill"] * (2 * module.PART + 1)
    with Children(Stop(), most=1, at_work=lambda: at_work) as children:
        assert children.of(words, idle=idle)(texts).shape == (len(texts), 2)
    assert len(waits) == rests
    assert all(0 < seconds <= module.REST_AT_MOST_S for seconds in waits)


def test_a_text_that_somebody_waits_for_is_encoded_while_others_rest(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST", 1e6)
    stop, rests = threading.Event(), threading.Event()

    def at_work() -> bool:
        rests.set()
        return True

    with ThreadPoolExecutor() as threads, Children(stop, most=1, at_work=at_work) as children:
        of_many = threads.submit(children.of(words), ["bill"] * 50 * module.PART)
        assert rests.wait(60)
        assert children.of(words, idle=False)(["bill"]).shape == (1, 2)
        assert not of_many.done()
        stop.set()
        with pytest.raises(Stopped):
            of_many.result(20)


def test_a_resting_child_ends_after_a_while_and_another_encoder_takes_its_place(
    words: str, tmp_path: Path, mine: Mine
) -> None:
    other = str(model2vec_folder(tmp_path / "other"))
    with Children(threading.Event(), most=1) as children:
        children.of(words)(["bill"])
        first = mine()
        children.of(other)(["bill"])
        assert len(mine()) == 1
        assert mine() != first
        children.end_unused(3600)
        assert len(mine()) == 1
        children.end_unused(0)
        assert not mine()


def test_a_child_that_starves_is_restarted_with_a_share(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "starves", lambda pid: True)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    with Children(threading.Event(), most=1) as children:
        assert children.of(words)(["bill"]).shape == (1, 2)
        assert [child.idle for child in children._resting] == [False]


def test_a_killed_child_is_an_error_and_the_next_text_gets_another(words: str, mine: Mine) -> None:
    with Children(threading.Event(), most=1) as children:
        children.of(words)(["bill"])
        mine()[0].kill()
        children._resting[0]._process.wait(60)  # a killed process ends when it gets a processor
        with pytest.raises(Failed, match="the encoding process ended with status -9"):
            children.of(words)(["bill"])
        assert children.of(words)(["bill"]).shape == (1, 2)


@pytest.mark.parametrize("reply", ['{"n": 1, "wi', '{"n": 1, "width": 2}\n', '{"n": 1, "width": 2}\nab'])
def test_a_child_that_ends_within_its_reply_is_an_error(
    words: str, reply: str, mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import sys; sys.stdin.readline(); sys.stdout.write({reply!r}); sys.exit(7)"
    monkeypatch.setattr(rooms, "python", lambda *_: [sys.executable, "-c", code])
    with (
        Children(threading.Event(), most=1) as children,
        pytest.raises(Failed, match="the encoding process ended with status 7"),
    ):
        children.of(words)(["bill"])


def test_the_reason_of_an_error_comes_from_the_child(words: str, tmp_path: Path) -> None:
    known = encoder(words)  # read before the file changes
    with Children(threading.Event(), most=1) as children:
        path = Path(words) / "model.onnx"
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(SettingsError, match="is damaged or of another kind"):
            children.of(words)(["bill"])
    with pytest.raises(SettingsError, match=r"is words:.* in another process .*, and here words:0"):
        checked(known, words, "words:0")


def test_a_worker_that_ends_waits_for_no_text(mine: Mine) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    with Children(stop, most=1) as children, pytest.raises(Stopped):
        children.of("")([f"{i} " * 900 for i in range(module.PART)] * 50)
    assert time.monotonic() - began < 20
    assert not mine()


def test_a_worker_ends_at_once_though_its_child_reads_nothing(words: str, mine: Mine) -> None:
    """As a child that gets no processor time: 64 texts of 2,000 characters are more than its pipe holds."""
    stop, ended = threading.Event(), list[BaseException]()
    with Children(stop, most=1) as children:
        children.of(words)(["bill"])
        [child] = mine()

        def encode() -> None:
            try:
                children.of(words)(["bill " * 400] * module.PART)
            except Stopped as exc:
                ended.append(exc)

        child.suspend()
        thread = threading.Thread(target=encode)
        thread.start()
        try:
            thread.join(1)
            assert thread.is_alive()
            stop.set()
            thread.join(20)
            assert not thread.is_alive()
        finally:
            if child.is_running():
                child.resume()
            thread.join()
    assert ended
    assert not mine()


def test_a_child_that_encodes_while_its_worker_ends_is_not_kept(words: str, mine: Mine) -> None:
    children = Children(threading.Event(), most=1)
    children.end()
    assert children.of(words)(["bill"]).shape == (1, 2)
    assert not mine()


def test_a_child_ends_with_its_worker(words: str, mine: Mine) -> None:
    with Children(threading.Event(), most=1) as children:
        children.of(words)(["bill"])
        child, process = mine()[0], children._resting[0]._process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

"""The process of a hosted model: its limits, and how it ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.learners.others import deadline
from backend.learners.others.form import answer_only
from backend.learners.others.learner_hosted import Hosted
from labelloop.errors import Failed
from tests.support.hosted.environments import HOSTED
from tests.support.hosted.lines import FORM, Data, Line, tickets

pytestmark = pytest.mark.slow  # environments are built and processes started


def test_its_process_knows_nothing_of_ours_and_leaves_nothing(
    modern: Line, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", "postgresql://secret")
    learner = modern.fitted()
    learner.predict(tickets()[0])
    process = child_of(learner)
    environ = Path(f"/proc/{process}/environ").read_bytes()
    assert b"LABELLOOP_" not in environ
    assert f"MODEL_DIR={temporary}".encode() in environ
    assert not next(temporary.iterdir()).stat().st_mode & 0o077, "its folder is private"
    learner.close()
    assert not Path(f"/proc/{process}").exists()
    assert not list(temporary.iterdir())


def test_when_we_are_killed_it_ends_too_and_its_folder_goes(modern: Line, temporary: Path) -> None:
    opening = {"folder": str(HOSTED / "words_2x"), "model": "words:Words", "label_config": answer_only(FORM).xml}
    asks = f"""
import os
from backend.learners.others.process import Process
process = Process({str(modern.python)!r}, 1 << 32, lambda _: {opening!r})
process.ask("predict", 60, tasks=[])
print(process._child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    environ = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", asks], env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: has_ended(int(done.stdout)) and not list(temporary.iterdir()))


def test_a_killed_process_is_started_again(line: Line) -> None:
    data, labels = tickets()
    learner = line.shared
    learner.predict(data)
    os.kill(child_of(learner), signal.SIGKILL)
    assert list(learner.predict(data).labels) == labels


def test_an_item_on_which_the_model_fails_gets_no_label(modern: Line) -> None:
    learner = modern.shared
    said = learner.predict([{"text": "my parcel"}, {"text": "fail here"}, {"text": "my card"}])
    assert list(said.labels) == ["shipping", None, "billing"]
    two: Data = [{"text": "fail"}, {"text": "fail too"}]
    with pytest.raises(Failed, match="ValueError: it fails on this one"):
        learner.predict(two)
    with deadline.within(60):
        assert list(learner.predict(two).labels) == [None, None]
        assert list(learner.predict([*two, {"text": "my card"}]).labels) == [None, None, "billing"]


def test_an_item_that_ends_the_process_costs_no_other_its_label(modern: Line) -> None:
    learner = modern.shared
    said = learner.predict([{"text": "my parcel"}, {"text": "crash now"}, {"text": "my card"}])
    assert list(said.labels) == ["shipping", None, "billing"]
    with pytest.raises(Failed, match="exited with status 3"):
        learner.predict([{"text": "crash now"}, {"text": "crash again"}])


def test_a_model_that_takes_too_long_is_ended(modern: Line) -> None:
    learner = modern.fitted(timeout_s=0.5)
    with pytest.raises(Failed, match=r"longer than 0.5 s to predict and was ended"):
        learner.predict([{"text": "sleep well"}, {"text": "sleep on"}])


def test_a_call_with_a_deadline_gets_nothing_rather_than_wait(modern: Line) -> None:
    learner = modern.shared
    assert list(learner.predict([{"text": "my parcel"}]).labels) == ["shipping"]
    child = child_of(learner)
    with deadline.within(0.2):
        assert list(learner.predict([{"text": "sleep well"}]).labels) == [None]
        assert list(learner.predict([{"text": "my parcel"}]).labels) == [None], "it is busy with the other"
    assert child_of(learner) == child, "it goes on"
    learner.close()


def test_a_model_that_hangs_is_ended_even_if_every_call_has_a_deadline(modern: Line) -> None:
    learner = modern.fitted(timeout_s=3.0)
    assert list(learner.predict([{"text": "my parcel"}]).labels) == ["shipping"]
    child = child_of(learner)
    with deadline.within(0.2):
        assert list(learner.predict([{"text": "sleep well"}]).labels) == [None]

    def says() -> list[str | None]:
        with deadline.within(0.2):
            return list(learner.predict([{"text": "my parcel"}]).labels)

    wait_until(lambda: says() == ["shipping"])
    assert has_ended(child)
    learner.close()


def test_the_process_of_a_learner_that_is_no_longer_used_is_ended_at_once(modern: Line) -> None:
    learner = modern.fitted()
    learner.predict([{"text": "my parcel"}])
    child = child_of(learner)
    gc.disable()
    try:
        del learner
        assert has_ended(child)
    finally:
        gc.enable()


def test_memory_is_bounded(modern: Line) -> None:
    with pytest.raises(Failed, match=r"exited with status|was terminated|cannot be made"):
        modern.fitted(memory_gib=0.005)


def child_of(learner: Hosted) -> int:
    assert learner._process is not None
    assert learner._process._child is not None
    return learner._process._child.pid


def has_ended(pid: int) -> bool:
    """Even where nobody has asked yet of what it died."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)

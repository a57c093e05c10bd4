"""The runtime of the workers: which checks run, and what a failed job leaves in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from labelloop.errors import Failed, Unreachable
from labelloop.process import worker
from labelloop.process.worker import Check, check_all, in_thread, reported


def checked(checks: Callable[[Callable[[], None]], list[Check]], within_s: float = 10) -> None:
    """Run the checks until one of them calls `stop`."""

    async def run() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        await asyncio.wait_for(check_all(checks(stop), stopping), within_s)

    asyncio.run(run())


def test_checks_run_in_order_at_the_start_and_each_again_when_it_is_due() -> None:
    ran: list[str] = []

    def checks(stop: Callable[[], None]) -> list[Check]:
        def often() -> None:
            ran.append("often")
            if ran.count("often") == 3:
                stop()

        return [Check("often", 0.05, in_thread(often)), Check("once", 1000.0, in_thread(ran.append, "once"))]

    checked(checks)
    assert ran[:2] == ["often", "once"]
    assert (ran.count("often"), ran.count("once")) == (3, 1)


def test_without_postgres_the_other_checks_wait_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE_S", 0.01)
    ran: list[str] = []

    def checks(stop: Callable[[], None]) -> list[Check]:
        def away() -> None:
            ran.append("first")
            if ran.count("first") == 1:
                raise Unreachable("Postgres does not answer")

        def second() -> None:
            ran.append("second")
            stop()

        return [Check("first", 0.02, in_thread(away)), Check("second", 1000.0, in_thread(second))]

    checked(checks)
    assert ran[0] == "first"
    assert ran[-1] == "second"


@pytest.mark.parametrize(
    ("error", "level", "words"),
    [
        (Unreachable("Postgres\ndoes not answer"), "WARNING", "sync.push of loop pets is tried again"),
        (Failed("no such file"), "ERROR", "sync.push of loop pets cannot continue: no such file"),
        (ValueError("a defect"), "ERROR", "sync.push of loop pets failed"),
    ],
)
def test_the_log_of_a_failed_job_tells_retries_errors_and_defects_apart(
    error: Exception, level: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: str) -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        reported("sync.push", fails)("pets")
    [record] = caplog.records
    assert (record.levelname, "\n" in record.getMessage()) == (level, False)
    assert words in record.getMessage()
    assert (record.exc_info is not None) == isinstance(error, ValueError)


def test_what_a_check_runs_is_called_in_a_thread_with_its_arguments() -> None:
    given: list[object] = []

    async def run(make: Callable[[], Awaitable[object]]) -> None:
        await make()

    asyncio.run(run(in_thread(given.append, 7)))
    assert given == [7]

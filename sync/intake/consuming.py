"""The common part of the consumers of Kafka and RabbitMQ: waiting for Postgres, an orderly end, counts, heartbeat."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from prometheus_client import CollectorRegistry, Counter, start_http_server

from labelloop.errors import Retriable, UsageError
from labelloop.process.heartbeat import Pulse
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from sync.intake import messages
from sync.intake.messages import Message
from sync.intake.taking import Problem

logger = logging.getLogger(__name__)

LOOP_HEADER = "labelloop-loop"
"""Header that names the loop of a message."""
MAX_REASON = 1_000
"""Characters of a reason in a header."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
REPORT_EVERY_S = 10.0
"""Seconds between two lines of the log about what was stored."""


@dataclass(frozen=True, slots=True)
class Batching:
    """Limits of a batch. A larger one costs less for each message; a shorter wait stores a message sooner."""

    messages: int = 1_000
    wait_s: float = 0.2
    """Seconds that a batch waits for more messages."""


class Consuming:
    """One consumer's process: its database, its counts, and whether it is to end."""

    def __init__(self, settings: Settings, database: Database, loop: str | None, metrics: str | None = None) -> None:
        """`loop`: the loop of all messages; None if each message names its own. `metrics`: their host:port."""
        self.database = database
        self.loop = loop
        self.stopping = threading.Event()
        self.beat = Pulse(settings.heartbeat_file, settings.heartbeat_s).beat
        registry = CollectorRegistry()
        self._counted = Counter("labelloop_intake_outputs", "Outputs submitted", ("loop", "became"), registry=registry)
        self._taken = Counter("labelloop_messages", "Messages that were settled: stored, or dead", registry=registry)
        self._dead = Counter("labelloop_dead_letters", "Messages that became dead letters", registry=registry)
        if metrics is not None:
            host, port = _address(metrics)
            try:
                start_http_server(port, host, registry)
            except OSError as exc:
                raise UsageError(f"the metrics cannot be served at {metrics}: {exc}") from exc
        self._since = dict.fromkeys(("new", "known", "dead"), 0)
        self._report_at = 0.0

    def end_on_signals(self) -> None:
        """At SIGTERM or SIGINT the batch in progress is finished; a second signal ends the process at once."""

        def stop(number: int, _: FrameType | None) -> None:
            self.stopping.set()
            signal.signal(number, signal.SIG_DFL)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def check_loop(self) -> None:
        """Raise UsageError if the loop of all messages takes none. Waits for Postgres."""
        for pause_s in self.pauses():
            try:
                with self.database.transaction() as conn:
                    spec = None if self.loop is None else messages.spec_of(conn, self.loop)
            except Retriable as exc:
                self.wait(pause_s, exc)
                continue
            if isinstance(spec, str):
                raise UsageError(spec)
            return

    def loop_of(self, header: object, otherwise: str) -> str:
        """Return the loop of a message: the one of all messages, else that of its header, else `otherwise`."""
        if self.loop is not None:
            return self.loop
        named = header.decode("utf-8", "replace") if isinstance(header, bytes) else header
        return named if isinstance(named, str) else otherwise

    def settle(self, batch: Sequence[Message], idle: Callable[[float], None]) -> dict[int, Problem] | None:
        """Store the batch; return the reasons of the messages that cannot be stored, by position.

        While Postgres is away it retries, and calls `idle` for the seconds between two tries. Returns None if the
        process was told to end before the batch was stored.
        """
        for pause_s in self.pauses():
            try:
                settled = messages.settle(self.database, batch)
            except Retriable as exc:
                self.wait(pause_s, exc, idle)
                continue
            for became, counts in (("new", settled.new), ("known", settled.known)):
                for loop, n in counts.items():
                    self._counted.labels(loop, became).inc(n)
                self._since[became] += sum(counts.values())
            self._taken.inc(len(batch))
            self._dead.inc(len(settled.refused))
            self._since["dead"] += len(settled.refused)
            _tell_dead(batch, settled.refused)
            self._report()
            return settled.refused
        return None

    def pauses(self) -> Iterator[float]:
        """Yield, for each try, the seconds to wait if it fails. Ends after a try if the process is to end."""
        pause_s = FIRST_PAUSE_S
        while True:
            self.beat()
            yield pause_s
            if self.stopping.is_set():
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def wait(self, seconds: float, why: Exception, idle: Callable[[float], None] | None = None) -> None:
        """Log the failure and wait; at once back when the process is to end. `idle` serves the broker meanwhile."""
        logger.warning("tried again in %g s: %s", seconds, " ".join(f"{type(why).__name__}: {why}".split()))
        until = time.monotonic() + seconds
        while not self.stopping.is_set() and (left := until - time.monotonic()) > 0:
            self.beat()
            (idle or self.stopping.wait)(min(left, 0.5))

    def end(self) -> None:
        """Log the counts since the last report."""
        self._report_at = 0.0
        self._report()

    def _report(self) -> None:
        if time.monotonic() >= self._report_at and any(self._since.values()):
            logger.info("messages stored", extra=dict(self._since))
            self._since = dict.fromkeys(self._since, 0)
            self._report_at = time.monotonic() + REPORT_EVERY_S


def _tell_dead(batch: Sequence[Message], refused: Mapping[int, Problem]) -> None:
    """Log the reason of the first dead letter of a batch."""
    if not refused:
        return
    number = min(refused)
    why, others = refused[number], len(refused) - 1
    more = f", and {others} more" if others else ""
    logger.warning("dead letter of loop %r: %s%s", batch[number].loop, _header(why.message), more)


def reason(message: Message, problem: Problem, **origin: str | int) -> dict[str, str]:
    """Return the headers of a dead letter: the place that the message came from, the faulty field, and the reason."""
    words = {"loop": message.loop, "field": problem.field, "message": problem.message, **origin}
    return {f"labelloop-{name}": _header(str(word)) for name, word in words.items()}


def _header(word: str) -> str:
    return word.encode("utf-8", "replace").decode()[:MAX_REASON]


def _address(given: str) -> tuple[str, int]:
    host, _, port = given.rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"the address of the metrics is {given!r}; it is host:port, such as 127.0.0.1:9108")
    return host or "127.0.0.1", int(port)

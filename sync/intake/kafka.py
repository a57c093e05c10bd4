"""Outputs from topics of Kafka: `labelloop consume kafka`.

The offset is committed after our commit in Postgres, and after the broker has each dead letter. A consumer that is
killed between the two reads the batch again, and an output that is stored already is stored once. A dead letter may
then be there twice, with the same topic, partition and offset in its headers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelloop.errors import Failed, Retriable, UsageError
from sync.intake.consuming import LOOP_HEADER, Batching, Consuming, reason
from sync.intake.messages import MAX_BATCH_BYTES, Message

try:
    import confluent_kafka
    from confluent_kafka import KafkaError, KafkaException, TopicPartition
except ImportError:  # the extra is not installed
    confluent_kafka = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

DEAD = ".dead-letter"
"""Ends the name of the topic of dead letters, unless another is named."""
PIECE = 100
"""Messages that are taken from the client at once; their size is known only then."""
LARGEST_DEAD = 64 << 20
"""Bytes of the largest dead letter that the producer sends; the broker's limit may be lower."""
CUT = 1_000
"""Bytes that a dead letter keeps of the body and of the key if the broker refuses it as too large, without its headers.
"""
END_WITHIN_S = 5.0
"""Seconds that dead letters may take after the process was told to end."""
REPEAT_S = 30.0
"""Seconds between two log lines about the same kind of error. The client tries again 20 times a second."""
QUIET = 2
"""Level of the client's own log, below its errors: _Report logs them."""
OURS = frozenset({"enable.auto.commit", "enable.auto.offset.store", "group.id", "bootstrap.servers"})
"""Settings of the client that the options set, or that would lose messages."""


@dataclass(frozen=True, slots=True)
class Source:
    """Brokers and topics of the messages, and the topic of the dead letters."""

    bootstrap: str
    topics: Sequence[str]
    group: str
    dead_letter: str | None = None
    """Topic of the dead letters; None if it is the message's topic followed by DEAD."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Settings of librdkafka, such as those of TLS and SASL, for the consumer and the producer of dead letters."""

    def check(self) -> None:
        """Raise UsageError for settings that cannot be given, or if dead letters would be consumed again."""
        if confluent_kafka is None:
            raise UsageError("Kafka needs the extra `kafka`: pip install 'labelloop[server,kafka]'")
        if ours := OURS & self.config.keys():
            raise UsageError(f"{', '.join(sorted(ours))} cannot be set by --config")
        for topic in self.topics:
            if (self.dead_letter or topic + DEAD) in self.topics:
                raise UsageError(f"the dead letters of topic {topic!r} would be consumed: name another --dead-letter")


def consume(source: Source, consuming: Consuming, batching: Batching) -> None:
    """Consume until the process is told to end. Raises Failed if the client cannot go on."""
    source.check()
    report = _Report()
    try:
        consumer = confluent_kafka.Consumer(
            {
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 32 << 10,
                "log_level": QUIET,
                **source.config,
                "bootstrap.servers": source.bootstrap,
                "group.id": source.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "error_cb": report,
            },
        )
        consumer.subscribe(list(source.topics))
    except (KafkaException, ValueError, TypeError) as exc:
        raise UsageError(f"Kafka's client refuses its settings: {exc}") from exc
    try:
        _Kafka(source, consuming, batching, consumer, report).run()
    finally:
        consumer.close()


class _Kafka:
    """The consumer. A rebalance happens inside `consume` and `poll`, when every earlier batch is committed."""

    def __init__(
        self, source: Source, consuming: Consuming, batching: Batching, consumer: Any, report: _Report
    ) -> None:
        self._source, self._consuming, self._batching, self._consumer = source, consuming, batching, consumer
        self._report = report
        self._producer: Any = None
        self._paused = False
        self._next: list[Any] = []
        """Messages that came while the consumer waited for Postgres."""

    def run(self) -> None:
        stopping = self._consuming.stopping
        while not stopping.is_set():
            self._consuming.beat()
            found = self._gather()
            if found and not self._finish(found):
                return  # told to end: what is not committed is delivered again

    def _gather(self) -> list[Any]:
        """Return the messages of a batch, in the order of their delivery."""
        found, self._next = self._next, []
        size = sum(map(_size, found))
        until = time.monotonic() + self._batching.wait_s
        while len(found) < self._batching.messages and size < MAX_BATCH_BYTES:
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            piece = self._read(min(PIECE, self._batching.messages - len(found)), left_s)
            found += piece
            size += sum(map(_size, piece))
        return found

    def _read(self, most: int, within_s: float) -> list[Any]:
        """Return at most `most` messages; report what the client says instead of one."""
        try:
            came = self._consumer.consume(most, within_s)
        except KafkaException as exc:
            self._report(exc.args[0])
            self._consuming.stopping.wait(within_s)
            return []
        for message in came:
            if message.error():
                self._report(message.error())
        return [message for message in came if not message.error()]

    def _finish(self, found: Sequence[Any]) -> bool:
        """Store the batch, then send its dead letters, then commit its offsets; False if told to end before that."""
        batch = [Message(self._loop(message), message.value() or b"") for message in found]
        refused = self._consuming.settle(batch, self._idle)
        if refused is None:
            return False
        self._resume()
        letters = [
            (found[number], reason(batch[number], problem, **_origin(found[number])))
            for number, problem in sorted(refused.items())
        ]
        if letters and not self._bury(letters):
            return False
        self._commit(found)
        return True

    def _loop(self, message: Any) -> str:
        headers = dict(message.headers() or ())
        return self._consuming.loop_of(headers.get(LOOP_HEADER), message.topic())

    # -- while Postgres is away --------------------------------------------------------------------------------------

    def _idle(self, seconds: float) -> None:
        """Stay a member of the group without taking messages: partitions that a rebalance brings are paused too."""
        try:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        except KafkaException as exc:
            self._report(exc.args[0])
        message = self._consumer.poll(seconds)
        if message is not None:
            if message.error():
                self._report(message.error())
            else:
                self._next.append(message)

    def _resume(self) -> None:
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    # -- dead letters and offsets ------------------------------------------------------------------------------------

    def _bury(self, letters: Sequence[tuple[Any, Mapping[str, str]]]) -> bool:
        """Send the dead letters; return when the broker has all of them. False if told to end before that."""
        left = dict(enumerate(letters))
        for pause_s in self._consuming.pauses():
            faults: dict[int, KafkaError] = {}
            for number, (message, headers) in list(left.items()):
                self._produce(number, message, headers, left, faults)
            self._flush()
            for number, fault in faults.items():
                if fault.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    message, headers = left[number]
                    left[number] = message, {**headers, "labelloop-cut": str(_size(message))}
            if not left:
                return True
            why = next(iter(faults.values()), "the broker does not answer")
            self._consuming.wait(pause_s, Retriable(f"{len(left)} dead letters are not sent: {why}"))
        return False

    def _produce(
        self, number: int, message: Any, headers: Mapping[str, str], left: dict[int, Any], faults: dict[int, Any]
    ) -> None:
        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is None:
                left.pop(number, None)
            else:
                faults[number] = error

        value, key = message.value(), message.key()
        before = [(name, word) for name, word in message.headers() or () if not name.startswith("labelloop-")]
        if "labelloop-cut" in headers:  # its key or its headers may be what is too large
            value, key, before = value and value[:CUT], key and key[:CUT], []
        topic = self._source.dead_letter or message.topic() + DEAD
        try:
            self._letters().produce(topic, value, key, headers=[*before, *headers.items()], on_delivery=delivered)
        except KafkaException as exc:
            faults[number] = exc.args[0]
        except BufferError:  # the client's queue is full; the next try sends the rest
            self._letters().poll(0.1)

    def _flush(self) -> None:
        """Wait until each dead letter is delivered or has failed; when the process is to end, END_WITHIN_S at most."""
        began = time.monotonic()
        while self._letters().flush(0.5):
            self._consuming.beat()
            if self._consuming.stopping.is_set() and time.monotonic() > began + END_WITHIN_S:
                return

    def _letters(self) -> Any:
        if self._producer is None:
            self._producer = confluent_kafka.Producer(
                {
                    "linger.ms": 5,
                    "message.timeout.ms": 20_000,
                    "message.max.bytes": LARGEST_DEAD,
                    **self._source.config,
                    "bootstrap.servers": self._source.bootstrap,
                    "enable.idempotence": True,
                    "error_cb": self._report,
                }
            )
        return self._producer

    def _commit(self, found: Sequence[Any]) -> None:
        """Commit the offset after the last message of each partition.

        A partition that a rebalance has taken away is refused: its next owner reads the messages again.
        """
        after: dict[tuple[str, int], int] = {}
        for message in found:
            place = message.topic(), message.partition()
            after[place] = max(after.get(place, 0), message.offset() + 1)
        try:
            done = self._consumer.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in after.items()], asynchronous=False
            )
            faults = [part.error for part in done if part.error]
        except KafkaException as exc:
            faults = [exc.args[0]]
        for fault in faults[:1]:
            logger.warning("offsets are not committed, the messages come again: %s", fault)


def _origin(message: Any) -> dict[str, str | int]:
    return {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}


def _size(message: Any) -> int:
    return len(message.value() or b"")


class _Report:
    """Logs what the client says; an error that repeats, as while the broker is away, every REPEAT_S seconds."""

    def __init__(self) -> None:
        self._again_at: dict[object, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Raise Failed if the client cannot go on; otherwise it reconnects by itself."""
        if error.fatal():
            raise Failed(f"Kafka's client cannot go on: {error}")
        now = time.monotonic()
        if now >= self._again_at.get(error.code(), now):
            self._again_at[error.code()] = now + REPEAT_S
            logger.warning("kafka: %s", error.str(), extra={"error": error.name()})

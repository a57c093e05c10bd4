"""Outputs from a queue of RabbitMQ: `labelloop consume rabbitmq`.

A message is acknowledged after our commit in Postgres, and after the broker has confirmed each dead letter. A consumer
that is killed between the two gets the batch again, and an output that is stored already is stored once. A dead letter
may then be there twice.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.errors import Unreachable, UsageError
from sync.intake.consuming import FIRST_PAUSE_S, LONGEST_PAUSE_S, LOOP_HEADER, Batching, Consuming, reason
from sync.intake.messages import MAX_BATCH_BYTES, Message

try:
    import pika
    import pika.data
    from pika.exceptions import AMQPError, ChannelClosedByBroker

    DECODE = pika.data.decode_value
except ImportError:  # the extra is not installed
    pika = None

logger = logging.getLogger(__name__)

DEAD = ".dead-letter"
"""Ends the name of the queue of dead letters, unless an exchange is named."""
NUMBERS = {b"T": ">Q", b"d": ">d", b"f": ">f"}
"""Kinds of values in headers for which pika's reader fails: times beyond the year 9999, NaN and infinity."""
NESTED = (b"F", b"A")
"""Kinds of values that hold others: tables and lists. Both begin with their length."""
TOO_DEEP = "(nested too deep)"
NOT_FOUND = 404
LASTS_S = 30.0
"""After a connection that lasted this long, the next pause is the shortest again."""


@dataclass(frozen=True, slots=True)
class Source:
    """Broker and queue of the messages, and the exchange of the dead letters."""

    url: str
    """amqp:// or amqps://user:password@host:port/vhost"""
    queue: str
    prefetch: int = 2_000
    """Messages that the broker sends ahead of their acknowledgement."""
    dead_letter_exchange: str = ""
    """Exchange of the dead letters, which get the queue's name as their routing key. If empty, they go to the queue
    QUEUE.dead-letter, which is created if it is missing.
    """


@dataclass(frozen=True, slots=True)
class _Delivered:
    tag: int
    exchange: str
    routing_key: str
    properties: Any
    body: bytes


def consume(source: Source, consuming: Consuming, batching: Batching) -> None:
    """Consume until the process is told to end. Connects again whenever the broker goes."""
    if pika is None:
        raise UsageError("RabbitMQ needs the extra `rabbitmq`: pip install 'labelloop[server,rabbitmq]'")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it writes pages about each lost connection
    try:
        parameters = pika.URLParameters(source.url)
    except (ValueError, TypeError, IndexError) as exc:
        raise UsageError(
            f"the URL of RabbitMQ cannot be read ({type(exc).__name__}); amqp://user:password@host:5672/vhost"
        ) from exc
    pika.data.decode_value = _decode_value
    pause_s = FIRST_PAUSE_S
    while not consuming.stopping.is_set():
        consuming.beat()
        began = time.monotonic()
        try:
            _RabbitMQ(source, consuming, batching, pika.BlockingConnection(parameters)).run()
        except (AMQPError, OSError, Unreachable) as exc:
            if time.monotonic() - began > LASTS_S:
                pause_s = FIRST_PAUSE_S
            at = f"{parameters.host}:{parameters.port}"
            missing = isinstance(exc, ChannelClosedByBroker) and exc.reply_code == NOT_FOUND
            todo = "; create the queue first, durable" if missing else ""
            consuming.wait(pause_s, Unreachable(f"RabbitMQ at {at}: {type(exc).__name__} {exc}{todo}"))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _decode_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    """Decode a value in headers as pika does, and one that Python does not have as the text of its number.

    A value that is nested too deep becomes the text TOO_DEEP.

    If pika failed, the message would come again after each new connection, and block the queue.
    """
    try:
        value, end = DECODE(encoded, offset)
    except RecursionError:
        if encoded[offset : offset + 1] not in NESTED:
            raise  # to the table or the list that has it
        return TOO_DEEP, offset + 5 + struct.unpack_from(">I", encoded, offset + 1)[0]
    except (ValueError, OverflowError, OSError):
        form = NUMBERS[encoded[offset : offset + 1]]
        return str(struct.unpack_from(form, encoded, offset + 1)[0]), offset + 1 + struct.calcsize(form)
    return value, end


def _text(word: str | bytes) -> str:
    """Return a short text of the broker; pika gives bytes if it is not UTF-8."""
    return word if isinstance(word, str) else word.decode(errors="replace")


class _RabbitMQ:
    """One connection, until it is lost or the process is told to end."""

    def __init__(self, source: Source, consuming: Consuming, batching: Batching, connection: Any) -> None:
        self._source, self._consuming, self._batching, self._connection = source, consuming, batching, connection
        self._delivered: list[_Delivered] = []
        self._cancelled = False

    def run(self) -> None:
        try:
            self._dead_letters = self._declare_dead_letters()
            self._dead_letters.confirm_delivery()
            self._channel = self._connection.channel()
            self._channel.basic_qos(prefetch_count=self._source.prefetch)
            self._channel.add_on_cancel_callback(self._cancel)
            self._channel.basic_consume(self._source.queue, self._receive)
            while not self._consuming.stopping.is_set():
                self._consuming.beat()
                if (batch := self._gather()) and not self._finish(batch):
                    break
        finally:
            if self._connection.is_open:
                self._connection.close()

    def _declare_dead_letters(self) -> Any:
        """Return a channel for dead letters; make sure that their exchange or queue exists."""
        channel = self._connection.channel()
        if self._source.dead_letter_exchange:
            channel.exchange_declare(self._source.dead_letter_exchange, passive=True)
            return channel
        queue = self._source.queue + DEAD
        try:
            channel.queue_declare(queue, passive=True)
        except ChannelClosedByBroker as exc:
            if exc.reply_code != NOT_FOUND:
                raise
            channel = self._connection.channel()
            channel.queue_declare(queue, durable=True)
        return channel

    def _receive(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        exchange, routing_key = _text(method.exchange), _text(method.routing_key)
        self._delivered.append(_Delivered(method.delivery_tag, exchange, routing_key, properties, body))

    def _cancel(self, _: Any) -> None:
        self._cancelled = True

    def _gather(self) -> list[_Delivered]:
        """Return the messages of a batch, in the order of their delivery."""
        until: float | None = None
        while not self._is_full() and not self._consuming.stopping.is_set():
            if self._cancelled:
                raise Unreachable(f"the queue {self._source.queue!r} is gone")
            if self._delivered and until is None:
                until = time.monotonic() + self._batching.wait_s
            left_s = 0.5 if until is None else until - time.monotonic()
            if left_s <= 0:
                break
            self._connection.process_data_events(left_s)
            self._consuming.beat()
        batch, size = list[_Delivered](), 0
        for one in self._delivered[: self._batching.messages]:
            if batch and size + len(one.body) > MAX_BATCH_BYTES:
                break
            batch.append(one)
            size += len(one.body)
        del self._delivered[: len(batch)]
        return batch

    def _is_full(self) -> bool:
        """Whether no more messages are wanted, or none will come before the acknowledgement."""
        most = min(self._batching.messages, self._source.prefetch)
        return len(self._delivered) >= most or sum(len(one.body) for one in self._delivered) >= MAX_BATCH_BYTES

    def _finish(self, delivered: Sequence[_Delivered]) -> bool:
        """Store the batch, then send its dead letters, then acknowledge it; False if told to end before that."""
        batch = [Message(self._loop(one), one.body) for one in delivered]
        refused = self._consuming.settle(batch, self._connection.process_data_events)
        if refused is None:
            return False
        for number, problem in sorted(refused.items()):
            one = delivered[number]
            origin = {"queue": self._source.queue, "exchange": one.exchange, "routing-key": one.routing_key}
            self._bury(one, reason(batch[number], problem, **origin))
        self._channel.basic_ack(delivered[-1].tag, multiple=True)
        return True

    def _loop(self, one: _Delivered) -> str:
        return self._consuming.loop_of((one.properties.headers or {}).get(LOOP_HEADER), one.routing_key)

    def _bury(self, one: _Delivered, headers: dict[str, str]) -> None:
        """Send one dead letter and wait for the broker's confirmation. Raises AMQPError if it is not delivered."""
        before = {k: v for k, v in (one.properties.headers or {}).items() if not _text(k).startswith("labelloop-")}
        exchange = self._source.dead_letter_exchange
        self._dead_letters.basic_publish(
            exchange,
            self._source.queue if exchange else self._source.queue + DEAD,
            one.body,
            pika.BasicProperties(
                content_type=one.properties.content_type,
                content_encoding=one.properties.content_encoding,
                message_id=one.properties.message_id,
                headers={**before, **headers},
                delivery_mode=2,  # survives a restart of the broker
            ),
            mandatory=True,
        )

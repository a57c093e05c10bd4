"""The consumer of RabbitMQ on a real broker, where one is installed."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.intake.consuming import Batching
from sync.intake.rabbitmq import DEAD, Source, _decode_value, consume
from tests.support.data.malformed import MALFORMED, body
from tests.support.intake_client import SPEC
from tests.support.network.rabbitmq import IS_HERE, MISSING, RabbitMQ
from tests.support.workers.consumers import Process, consuming, keys, killed_three_times, line_to, stored, until

pytestmark = pytest.mark.skipif(not IS_HERE, reason=MISSING)


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    yield broker
    broker.end()


@pytest.fixture
def queue(database: Database) -> str:
    """A queue of the test's own; its loop is `pets`."""
    with database.transaction() as conn:
        loops.register(conn, SPEC)
    return f"queue-{uuid4().hex}"


def said(letters: list[tuple[Any, bytes]], name: str) -> list[str]:
    """Return this header of each dead letter."""
    return [properties.headers[f"labelloop-{name}"] for properties, _ in letters]


@pytest.mark.parametrize("batch", [1, 1_000])
def test_each_malformed_message_is_a_dead_letter_alone_and_in_the_middle_of_a_batch(
    database: Database, rabbitmq: RabbitMQ, queue: str, batch: int
) -> None:
    bodies: list[bytes] = []
    for number, bad in enumerate(MALFORMED.values()):
        bodies += [body(f"good/{number}"), bad]
    bodies += [body("good/0", model_version="8"), body("good/1")]  # a conflict, a repeated output
    rabbitmq.send(queue, bodies, headers={"mine": 7})
    source = Source(rabbitmq.url, queue)
    with consuming(database, lambda *how: consume(source, *how), batching=Batching(batch, 0.05)):
        until(lambda: rabbitmq.left(queue + DEAD) == len(MALFORMED) + 1)
        until(lambda: stored(database) == len(MALFORMED))
    assert rabbitmq.left(queue) == 0
    assert keys(database) == sorted(f"good/{number}" for number in range(len(MALFORMED)))
    letters = rabbitmq.read(queue + DEAD)
    assert [one for _, one in letters] == [*MALFORMED.values(), body("good/0", model_version="8")]
    assert all(said(letters, "message"))
    assert set(said(letters, "queue")) == set(said(letters, "routing-key")) == {queue}
    assert {properties.headers["mine"] for properties, _ in letters} == {7}


def test_without_a_loop_the_header_names_it_else_the_routing_key(
    database: Database, rabbitmq: RabbitMQ, queue: str
) -> None:
    rabbitmq.send("pets", [body("a")])
    rabbitmq.send("pets", [body("b")], headers={"labelloop-loop": "cows"})
    rabbitmq.send("pets", [body("c")], headers={"labelloop-loop": 7})
    source = Source(rabbitmq.url, "pets")
    with consuming(database, lambda *how: consume(source, *how), loop=None):
        until(lambda: stored(database) == 2 and rabbitmq.left("pets" + DEAD))
    letters = rabbitmq.read("pets" + DEAD)
    assert (said(letters, "field"), said(letters, "message")) == (["loop"], ["no loop 'cows'; there are: pets"])


class Late(datetime):
    """A time that pika can write and not read: the year 10000."""

    def utctimetuple(self) -> Any:
        return (9999, 12, 31, 24, 0, 0)


ODD = {"at": Late(2026, 1, 1), b"\xff": 1, "in": [{"at": Late(2026, 1, 1)}], "ok": Decimal("1.5")}


def test_headers_that_python_cannot_hold_block_no_message(database: Database, rabbitmq: RabbitMQ, queue: str) -> None:
    rabbitmq.send(queue, [body("a"), b"{"], headers=ODD, timestamp=(1 << 64) - 1)
    rabbitmq.send(queue, [body("b")])
    source = Source(rabbitmq.url, queue)
    with consuming(database, lambda *how: consume(source, *how), batching=Batching(1, 0.05)):
        until(lambda: stored(database) == 2 and rabbitmq.left(queue + DEAD))
    ((properties, raw),) = rabbitmq.read(queue + DEAD)
    assert (raw, rabbitmq.left(queue)) == (b"{", 0)
    kept = {name: properties.headers[name] for name in ODD}
    assert kept == {**ODD, "at": "253402300800", "in": [{"at": "253402300800"}]}


def test_headers_that_are_nested_deeper_than_pika_can_read_block_no_message(
    database: Database, rabbitmq: RabbitMQ, queue: str
) -> None:
    deep: Any = "x"
    for level in range(400):
        deep = {"a": deep} if level % 2 else [deep]
    rabbitmq.send(queue, [body("a"), b"{"], headers={"deep": deep})
    rabbitmq.send(queue, [body("b")])
    source = Source(rabbitmq.url, queue)
    with consuming(database, lambda *how: consume(source, *how), batching=Batching(1, 0.05)):
        until(lambda: stored(database) == 2 and rabbitmq.left(queue + DEAD))
    ((properties, raw),) = rabbitmq.read(queue + DEAD)
    assert (raw, rabbitmq.left(queue), "deep" in properties.headers) == (b"{", 0, True)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", ["d", "f"])
def test_a_header_that_is_no_finite_number_is_a_text(number: float, form: str) -> None:
    encoded = b"?" + form.encode() + struct.pack(f">{form}", number) + b"rest"
    assert _decode_value(encoded, 1) == (str(number), len(encoded) - 4)


def test_fifty_thousand_messages_are_stored_once_by_a_consumer_that_is_killed_three_times(
    database: Database, database_url: str, rabbitmq: RabbitMQ, queue: str
) -> None:
    total, every = 50_000, 1_000
    rabbitmq.send(queue, (b"{poison %d" % i if i % every == 7 else body(f"k{i:05}") for i in range(total)))
    words = ["rabbitmq", "--queue", queue, "--loop", "pets"]
    last = killed_three_times(
        lambda: Process(database_url, words, LABELLOOP_RABBITMQ_URL=rabbitmq.url), lambda: stored(database), total
    )
    until(lambda: stored(database) == total * (every - 1) // every, 60)
    until(lambda: rabbitmq.left(queue) == 0)
    status, log = last.end()
    assert status == 0, log
    assert "guest:guest" not in log
    assert keys(database) == [f"k{i:05}" for i in range(total) if i % every != 7]
    assert rabbitmq.left(queue) == 0, "at the end all were acknowledged"
    poison = {b"{poison %d" % i for i in range(7, total, every)}
    assert {one for _, one in rabbitmq.read(queue + DEAD)} == poison


def test_while_postgres_is_away_nothing_is_lost_or_a_dead_letter(
    database: Database, database_url: str, rabbitmq: RabbitMQ, queue: str
) -> None:
    source = Source(rabbitmq.url, queue)
    rabbitmq.send(queue, [body("before")])
    with line_to(database_url) as (wire, behind), consuming(behind, lambda *how: consume(source, *how)):
        until(lambda: stored(database) == 1)
        wire.cut()
        rabbitmq.send(queue, [body(f"k{i}") for i in range(100)])
        with pytest.raises(AssertionError):
            until(lambda: stored(database) > 1, 3)
        wire.mend()
        until(lambda: stored(database) == 101)
    assert rabbitmq.left(queue) == rabbitmq.left(queue + DEAD) == 0


def test_a_broker_that_restarts_is_connected_again_and_nothing_is_lost(
    database: Database, rabbitmq: RabbitMQ, queue: str
) -> None:
    source = Source(rabbitmq.url, queue)
    rabbitmq.send(queue, [body(f"a{i}") for i in range(100)])
    with consuming(database, lambda *how: consume(source, *how)):
        until(lambda: stored(database) == 100)
        rabbitmq.stop()
        rabbitmq.start()
        rabbitmq.send(queue, [body(f"b{i}") for i in range(100)])
        until(lambda: stored(database) == 200)
    assert rabbitmq.left(queue) == 0


def test_a_dead_letter_that_the_broker_cannot_route_is_kept_in_the_queue(
    database: Database, rabbitmq: RabbitMQ, queue: str
) -> None:
    exchange = f"exchange-{queue}"
    connection = rabbitmq.connect()
    channel = connection.channel()
    channel.exchange_declare(exchange, durable=True)
    rabbitmq.send(queue, [b"{", body("a")])
    source = Source(rabbitmq.url, queue, dead_letter_exchange=exchange)
    with consuming(database, lambda *how: consume(source, *how)):
        until(lambda: stored(database) == 1)
        channel.queue_declare(exchange + "-letters", durable=True)
        channel.queue_bind(exchange + "-letters", exchange, queue)
        until(lambda: rabbitmq.left(exchange + "-letters") == 1)
    connection.close()
    assert (rabbitmq.left(queue), stored(database)) == (0, 1)

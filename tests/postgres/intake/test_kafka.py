"""The consumer of Kafka over its real protocol, on a mock cluster of librdkafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from labelloop.errors import UsageError
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.intake.consuming import Batching
from sync.intake.kafka import DEAD, Source, consume
from tests.support.data.malformed import MALFORMED, body
from tests.support.intake_client import SPEC
from tests.support.network.kafka import Kafka, headers
from tests.support.workers.consumers import Process, consuming, keys, killed_three_times, line_to, stored, until

GROUP = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "log_level": "3"}


@pytest.fixture(scope="module")
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def topic(database: Database) -> str:
    """A topic of the test's own; its loop is `pets`."""
    with database.transaction() as conn:
        loops.register(conn, SPEC)
    return f"topic-{uuid4().hex}"


def source(kafka: Kafka, *topics: str, **more: Any) -> Source:
    return Source(kafka.bootstrap, topics, "g-" + topics[0], config=GROUP, **more)


@pytest.mark.parametrize("batch", [1, 1_000])
def test_each_malformed_message_is_a_dead_letter_alone_and_in_the_middle_of_a_batch(
    database: Database, kafka: Kafka, topic: str, batch: int
) -> None:
    bodies: list[bytes | None] = []
    for number, bad in enumerate(MALFORMED.values()):
        bodies += [body(f"good/{number}"), bad]
    bodies += [None, body("good/0", model_version="8"), body("good/1")]  # a tombstone, a conflict, a repeated output
    kafka.send(topic, bodies, partitions=1)
    of = source(kafka, topic)
    with consuming(database, lambda *how: consume(of, *how), batching=Batching(batch, 0.05)):
        until(lambda: kafka.committed(topic, of.group) == len(bodies))
    assert keys(database) == sorted(f"good/{number}" for number in range(len(MALFORMED)))
    dead = kafka.read(topic + DEAD)
    poison = [*range(1, 2 * len(MALFORMED), 2), len(bodies) - 3, len(bodies) - 2]
    assert sorted(int(headers(letter)["labelloop-offset"]) for letter in dead) == poison
    for letter in dead:
        said = headers(letter)
        assert letter.value() == bodies[int(said["labelloop-offset"])]
        assert said["labelloop-message"]
        assert (said["labelloop-topic"], said["labelloop-partition"], said["labelloop-loop"]) == (topic, "0", "pets")


def test_without_a_loop_the_header_names_it_else_the_topic(database: Database, kafka: Kafka, topic: str) -> None:
    with database.transaction() as conn:
        loops.register(conn, SPEC.model_copy(update={"name": "cats"}))
        loops.register(conn, SPEC.model_copy(update={"name": "old"}))
        loops.archive(conn, "old", "somebody")
    kafka.send("pets", [body("a")])
    kafka.send("pets", [body("b")], headers={"labelloop-loop": b"cats"})
    kafka.send("pets", [body("c")], headers={"labelloop-loop": b"no\xff\x00"})
    kafka.send("pets", [body("d")], headers={"labelloop-loop": b"old"})
    of = source(kafka, "pets")
    with consuming(database, lambda *how: consume(of, *how), loop=None):
        until(lambda: kafka.committed("pets", of.group) == 4)
    with database.transaction() as conn:
        assert [(r["loop"], r["key"]) for r in conn.execute("select loop, key from outputs order by key")] == [
            ("pets", "a"),
            ("cats", "b"),
        ]
    said = [headers(letter) for letter in kafka.read("pets" + DEAD)]
    assert {one["labelloop-field"] for one in said} == {"loop"}
    assert sorted(one["labelloop-message"][:35] for one in said) == [
        "loop 'old' takes no outputs: it was",
        "no loop 'no\ufffd\\x00'; there are: cats,",
    ]


def test_a_message_whose_headers_fill_the_limit_becomes_a_dead_letter_without_them(
    database: Database, kafka: Kafka, topic: str
) -> None:
    kafka.send(topic, [b"{", body("a")], partitions=1, headers={"mine": b"x" * 150_000})
    of = Source(kafka.bootstrap, (topic,), topic, config={**GROUP, "message.max.bytes": "100000"})
    with consuming(database, lambda *how: consume(of, *how)):
        until(lambda: kafka.committed(topic, of.group) == 2)
    (letter,) = kafka.read(topic + DEAD)
    said = headers(letter)
    assert (letter.value(), said["labelloop-cut"], "mine" in said) == (b"{", "1", False)
    assert keys(database) == ["a"]


def test_fifty_thousand_messages_are_stored_once_by_a_consumer_that_is_killed_three_times(
    database: Database, database_url: str, kafka: Kafka, topic: str
) -> None:
    total, every = 50_000, 1_000
    bodies = [b"{poison" if i % every == 7 else body(f"k{i:05}") for i in range(total)]
    kafka.send(topic, bodies)
    words = ["kafka", "--bootstrap", kafka.bootstrap, "--topic", topic, "--group", "killed", "--loop", "pets"]
    # A member with a name of its own gets its partitions back at once when it starts again.
    config = {**GROUP, "group.instance.id": "one"}
    words += [word for pair in config.items() for word in ("--config", "=".join(pair))]
    last = killed_three_times(lambda: Process(database_url, words), lambda: stored(database), total)
    until(lambda: kafka.committed(topic, "killed") == total, 60)
    status, log = last.end()
    assert status == 0, log
    assert keys(database) == [f"k{i:05}" for i in range(total) if i % every != 7]
    said = [headers(letter) for letter in kafka.read(topic + DEAD)]
    places = {(one["labelloop-partition"], one["labelloop-offset"]) for one in said}
    assert places == {(str(i % 4), str(i // 4)) for i in range(7, total, every)}


def test_while_postgres_is_away_nothing_is_lost_or_a_dead_letter(
    database: Database, database_url: str, kafka: Kafka, topic: str
) -> None:
    of = source(kafka, topic)
    with line_to(database_url) as (wire, behind), consuming(behind, lambda *how: consume(of, *how)):
        kafka.send(topic, [body("before")])
        until(lambda: stored(database) == 1)
        wire.cut()
        kafka.send(topic, [body(f"k{i}") for i in range(100)])
        until(lambda: kafka.committed(topic, of.group) == 1)
        with pytest.raises(AssertionError):
            until(lambda: stored(database) > 1, 3)
        wire.mend()
        until(lambda: kafka.committed(topic, of.group) == 101)
    assert stored(database) == 101
    assert kafka.read(topic + DEAD) == []


def test_a_second_consumer_of_the_group_takes_its_share_and_nothing_is_lost(
    database: Database, kafka: Kafka, topic: str
) -> None:
    of = source(kafka, topic)
    with consuming(database, lambda *how: consume(of, *how)):
        kafka.send(topic, [body(f"a{i}") for i in range(1_000)])
        until(lambda: stored(database) >= 500)
        with consuming(database, lambda *how: consume(of, *how)):
            kafka.send(topic, [body(f"b{i}") for i in range(1_000)])
            until(lambda: stored(database) == 2_000)
        kafka.send(topic, [body(f"c{i}") for i in range(1_000)])
        until(lambda: kafka.committed(topic, of.group) == 3_000)
    assert stored(database) == 3_000


def test_a_batch_in_progress_is_finished_when_the_process_is_told_to_end(
    database: Database, kafka: Kafka, topic: str
) -> None:
    of = source(kafka, topic)
    kafka.send(topic, [body("a"), b"{"], partitions=1)
    with consuming(database, lambda *how: consume(of, *how)) as own, database.transaction() as conn:
        conn.execute("lock table outputs in exclusive mode")
        blocked = "select 1 from pg_locks where not granted and relation = 'outputs'::regclass"
        until(lambda: conn.execute(blocked).fetchone())
        own.stopping.set()
    assert kafka.committed(topic, of.group) == 2
    assert (keys(database), len(kafka.read(topic + DEAD))) == (["a"], 1)


def test_a_dead_letter_that_is_too_large_for_the_broker_is_cut(database: Database, kafka: Kafka, topic: str) -> None:
    of = Source(kafka.bootstrap, [topic], "g-" + topic, config={**GROUP, "message.max.bytes": "2000"})
    kafka.send(topic, [b"{" + b"x" * 5_000])
    with consuming(database, lambda *how: consume(of, *how)):
        until(lambda: kafka.committed(topic, of.group) == 1)
    (letter,) = kafka.read(topic + DEAD)
    assert (letter.value(), headers(letter)["labelloop-cut"]) == (b"{" + b"x" * 999, "5001")


def test_without_a_broker_it_waits_and_ends_in_order(database_url: str, topic: str, tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    words = ["kafka", "--bootstrap", "127.0.0.1:9", "--topic", topic, "--loop", "pets"]
    process = Process(database_url, words, LABELLOOP_HEARTBEAT_FILE=str(heartbeat), LABELLOOP_HEARTBEAT_S="0.2")
    until(heartbeat.exists)
    first = heartbeat.stat().st_mtime
    until(lambda: heartbeat.stat().st_mtime > first)
    status, log = process.end()
    assert (status, "kafka: 127.0.0.1:9/bootstrap: Connect" in log) == (0, True), log
    assert len(log.splitlines()) < 20, "one line for each kind of error, and not for each try"


def test_settings_that_would_lose_messages_are_refused() -> None:
    with pytest.raises(UsageError, match=r"enable\.auto\.commit cannot be set"):
        Source("b", ["t"], "g", config={"enable.auto.commit": "true"}).check()
    with pytest.raises(UsageError, match="would be consumed"):
        Source("b", ["t", "t.dead-letter"], "g").check()
    with pytest.raises(UsageError, match="would be consumed"):
        Source("b", ["t"], "g", dead_letter="t").check()


def test_an_unknown_loop_or_setting_ends_the_command_with_status_2(
    database_url: str, kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    words = ["kafka", "--bootstrap", kafka.bootstrap, "--topic", topic]
    file = tmp_path / "kafka.conf"
    file.write_text("# TLS\nsecurity.protocoll = SSL\n")
    for more, said in (
        (["--loop", "cows"], "no loop 'cows'; there are: pets"),
        (["--config-file", str(file)], "security.protocoll"),
        (["--config", "x"], "it takes KEY=VALUE"),
    ):
        status, log = Process(database_url, [*words, *more]).wait()
        assert (status, said in log) == (2, True), log

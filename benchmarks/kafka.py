"""Intake from Kafka: messages in a topic to durable rows, against the same outputs over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import count
from statistics import median

import httpx
import numpy as np
from confluent_kafka import Producer

from benchmarks.support.goals import KAFKA_RATE, Measured
from benchmarks.support.items import texts, texts_spec
from benchmarks.support.rooms import House, Servers, house, wait_until
from benchmarks.support.turns import in_turn, ratios
from console.local.services import SYNC
from labelloop.client import CHUNK_LINES
from labelloop.store.tables import loops

LOOP = "intake"
PARTITIONS = 4
"""Partitions of a topic of the mock cluster."""


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (5_000, 1) if quick else (10_000, 4)
    broker = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 3, "linger.ms": 50})
    brokers = ",".join(f"{one.host}:{one.port}" for one in broker.list_topics(timeout=10).brokers.values())
    lines = [json.dumps(item.to_json()).encode() for item in texts(n, np.random.default_rng(0))]
    topics = count()
    with house(servers) as our:
        with our.database.transaction() as conn:
            loops.register(conn, texts_spec(LOOP))
        with our.serving(SYNC, our.settings.sync_url), _http(our) as http:
            _send(http, lines[:1_000])  # both workers have their connection
            ours, peer = in_turn(
                repeats,
                lambda: _from_kafka(our, broker, brokers, f"outputs-{next(topics)}", lines),
                lambda: _over_http(our, http, lines),
            )
    facts = (
        f"{n / median(ours):,.0f} outputs/s from 4 partitions by one consumer, from its first row on; over HTTP "
        f"{n / median(peer):,.0f}/s over one connection in requests of {CHUNK_LINES}"
    )
    return [Measured(KAFKA_RATE, ratios(peer, ours), facts)]  # ratios of rates


def _http(our: House) -> httpx.Client:
    return httpx.Client(
        base_url=our.settings.sync_url,
        headers={"Authorization": f"Bearer {our.settings.intake_token}", "Content-Type": "application/x-ndjson"},
        timeout=60,
    )


def _over_http(our: House, http: httpx.Client, lines: Sequence[bytes]) -> float:
    """Seconds until all of them are committed."""
    _empty(our)
    began = time.perf_counter()
    _send(http, lines)
    return time.perf_counter() - began


def _send(http: httpx.Client, lines: Sequence[bytes]) -> None:
    for start in range(0, len(lines), CHUNK_LINES):
        body = b"\n".join(lines[start : start + CHUNK_LINES])
        http.post(f"/v1/loops/{LOOP}/outputs", content=body).raise_for_status()


def _from_kafka(our: House, broker: Producer, brokers: str, topic: str, lines: Sequence[bytes]) -> float:
    """Seconds from the first output to the last, for a consumer that finds all of them in the topic.

    Its start and its entry into the group are left out, as those of the service are. The first output is one that waits
    in the topic alone, until the consumer has its partitions.
    """
    _empty(our)
    _produce(broker, topic, lines[:1])
    words = ["labelloop", "consume", "kafka", "--bootstrap", brokers, "--topic", topic, "--loop", LOOP]
    with our.consuming(words):
        wait_until(lambda: _stored(our) == 1, what="the consumer")
        began = time.perf_counter()
        _produce(broker, topic, lines[1:])
        wait_until(lambda: _stored(our) == len(lines), what="the last output")
        return time.perf_counter() - began


def _produce(broker: Producer, topic: str, lines: Sequence[bytes]) -> None:
    for number, line in enumerate(lines):
        broker.produce(topic, line, partition=number % PARTITIONS)
    broker.flush()


def _stored(our: House) -> int:
    with our.database.transaction() as conn:
        row = conn.execute("select count(*) as n from outputs").fetchone()
    return int(row["n"]) if row else 0


def _empty(our: House) -> None:
    """Every turn begins with the same tables."""
    with our.database.transaction() as conn:
        conn.execute("truncate outputs cascade")

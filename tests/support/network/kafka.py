"""A broker of Kafka that lives in the test's process: librdkafka's mock cluster, reached over its real protocol."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import confluent_kafka
from confluent_kafka import TopicPartition

PARTITIONS = 4
"""Partitions of each topic of the mock cluster. Each keeps 5 MB."""


class Kafka:
    """A mock cluster of one broker; topics appear when they are first used."""

    def __init__(self) -> None:
        mock = {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 3, "linger.ms": 20}
        mock["message.max.bytes"] = 2_000_000
        self._producer = confluent_kafka.Producer(mock)
        brokers = self._producer.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def send(
        self, topic: str, bodies: Iterable[bytes | None], *, partitions: int = PARTITIONS, headers: Any = None
    ) -> None:
        """Send the bodies to the first partitions in turn, and wait until the broker has them."""
        for number, body in enumerate(bodies):
            self._producer.produce(topic, body, partition=number % partitions, headers=headers)
            if number % 1_000 == 0:
                self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def read(self, topic: str) -> list[Any]:
        """Return all messages of the topic, partition by partition; none if there is no topic."""
        reader = confluent_kafka.Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "reader", "enable.auto.commit": False, "log_level": 3}
        )
        if topic not in reader.list_topics(timeout=10).topics:
            reader.close()
            return []
        reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        ends = [
            reader.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in range(PARTITIONS)
        ]
        found: list[Any] = []
        until = time.monotonic() + 20
        while len(found) < sum(ends) and time.monotonic() < until:
            found += [message for message in reader.consume(1_000, 0.1) if not message.error()]
        reader.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def committed(self, topic: str, group: str) -> int:
        """Return how many messages of the topic the group has done with."""
        reader = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 3})
        parts = reader.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=10)
        reader.close()
        return sum(max(0, part.offset) for part in parts)


def headers(message: Any) -> dict[str, str]:
    """Return the headers of a message as text."""
    return {name: value.decode() for name, value in message.headers() or ()}

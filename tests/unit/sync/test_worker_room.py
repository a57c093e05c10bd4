"""The sync worker's jobs: how many places it fills at once, and two that fail beside each other."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from labelloop.errors import Unreachable
from labelloop.process.settings import Settings
from labelloop.queue.order import MAX_BATCH
from labelloop.spec.folder import parse
from sync import worker
from tests.support.sync_loop import XML, YAML


@pytest.mark.parametrize(("window", "places"), [(1, 1), (5, 2), (50, 15), (667, MAX_BATCH), (10_000, MAX_BATCH)])
def test_it_never_waits_for_more_places_than_a_push_counts(
    window: int, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def push(*_: Any, at_least: int, **__: Any) -> None:
        asked.append(at_least)

    monkeypatch.setattr(worker, "push", push)
    monkeypatch.setattr(worker, "ensure_project", lambda *_: Mock(missing=[]))
    room = worker.SyncJobs(Settings(), Mock(), Mock())
    spec = parse("pets", YAML.replace("window: 50", f"window: {window}"), XML)
    room._answered_at["pets"] = time.monotonic()
    room._push(spec)
    room._answered_at["pets"] -= worker.IDLE_BEFORE_TOP_UP_S
    room._push(spec)
    assert asked == [places, 1]


def test_two_looks_that_fail_beside_each_other_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is given to us again when our heartbeat was late, though we are still about it."""
    room, spec, begun = worker.SyncJobs(Settings(), MagicMock(), Mock()), parse("pets", YAML, XML), list[int]()

    def pull(*_: Any, **__: Any) -> None:
        begun.append(1)
        if len(begun) == 1:
            with pytest.raises(Unreachable):
                room._pull(spec)
        raise Unreachable("Label Studio does not answer")

    monkeypatch.setattr(worker, "pull", pull)
    with pytest.raises(Unreachable):
        room._pull(spec)

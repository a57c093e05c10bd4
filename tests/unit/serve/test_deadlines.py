"""The time that a client may take to read an answer."""

from __future__ import annotations

import pytest

from labelloop.process.serving import PHASE_TIMEOUTS_S, SLOWEST, _Channel

ANSWER = 200 << 20
"""Bytes: a model's file."""


@pytest.mark.parametrize(
    ("reads", "most"),
    [(0, PHASE_TIMEOUTS_S["answer"] + 2), (SLOWEST // 2, 2 * PHASE_TIMEOUTS_S["answer"] + 2), (1 << 20, None)],
    ids=["nothing", "next to nothing", "a MiB a second"],
)
def test_an_answer_is_broken_off_where_it_is_hardly_read_not_where_it_is_long(reads: int, most: float | None) -> None:
    """`reads`: bytes a second. `most`: seconds until the connection ends, None if the client has read all of it."""
    channel = _Channel.__new__(_Channel)
    channel.requests, channel.total_outbufs_len = [], ANSWER
    channel._phase, channel._since, channel._unread = ("work", None, 0), 0.0, 0
    at = 0
    while channel.total_outbufs_len and not channel.is_overdue(float(at), crowded=True):
        at += 1
        channel.total_outbufs_len = max(0, ANSWER - reads * at)
    if most is None:
        assert channel.total_outbufs_len == 0
        assert at > PHASE_TIMEOUTS_S["answer"]
    else:
        assert PHASE_TIMEOUTS_S["answer"] <= at <= most

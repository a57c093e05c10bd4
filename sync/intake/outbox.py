"""Outputs that programs write into the table outbox with SQL. The sync worker takes them within seconds.

The output is stored, and its row deleted, in one transaction: a worker that is killed leaves either the row or the
output. Several workers may take at the same time, because each skips the rows that another holds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from labelloop.errors import Unstorable
from labelloop.store.database import Database
from labelloop.store.pipelines import outbox
from sync.intake import messages
from sync.intake.messages import MAX_BATCH_BYTES, Message

logger = logging.getLogger(__name__)

MOST = 1_000
"""Rows of one transaction."""
BUDGET_S = 4.0
"""Seconds after which the worker does its other checks, even if rows are left."""


def take_all(database: Database) -> None:
    """Store the outputs of the rows that wait, until none is left or the time is over. Raises Retriable."""
    until = time.monotonic() + BUDGET_S
    stored = refused = 0
    while time.monotonic() < until:
        new, bad = take_some(database, MOST)
        stored, refused = stored + new, refused + bad
        if new + bad < 1:
            break
    if stored or refused:
        logger.info("outbox taken", extra={"stored": stored, "refused": refused})


def take_some(database: Database, most: int) -> tuple[int, int]:
    """Take at most `most` rows in one transaction. Returns how many were stored or known, and how many refused."""
    claimed: list[int] = []
    try:
        return _take(database, most, claimed)
    except Unstorable as exc:
        if most > 1:
            return take_some(database, most // 2)
        return _refuse(database, claimed, str(exc))


def _take(database: Database, most: int, claimed: list[int]) -> tuple[int, int]:
    """`claimed` gets the ids of the rows, for a caller that sees the transaction fail."""
    with database.transaction() as conn:
        rows = outbox.claim(conn, most, MAX_BATCH_BYTES)
        claimed += (row.id for row in rows)
        if not rows:
            return 0, 0
        settled = messages.store(conn, [Message(row.loop, row.body.encode()) for row in rows])
        for number, problem in settled.refused.items():
            outbox.refuse(conn, rows[number].id, problem.field, problem.message)
        done = [row.id for number, row in enumerate(rows) if number not in settled.refused]
        outbox.delete(conn, done)
        return len(done), len(settled.refused)


def _refuse(database: Database, ids: Sequence[int], why: str) -> tuple[int, int]:
    """Refuse the rows that Postgres cannot store, and no other row: another worker may hold them by now."""
    with database.transaction() as conn:
        for id_ in ids:
            outbox.refuse(conn, id_, "", why)
    return 0, len(ids)

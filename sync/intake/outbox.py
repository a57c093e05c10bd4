"""Outputs that programs write into the table outbox with SQL. The sync worker takes them within seconds.

The output is stored, and its row deleted, in one transaction: a worker that is killed leaves either the row or the
output. Several workers may take at the same time, because each skips the rows that another holds.
"""

from __future__ import annotations

import logging
import time

from labelloop.errors import Unstorable
from labelloop.store import outbox
from labelloop.store.database import Database
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
    try:
        return _take(database, most)
    except Unstorable as exc:
        if most > 1:
            return take_some(database, most // 2)
        return _refuse_first(database, str(exc))


def _take(database: Database, most: int) -> tuple[int, int]:
    with database.transaction() as conn:
        rows = outbox.claim(conn, most, MAX_BATCH_BYTES)
        if not rows:
            return 0, 0
        settled = messages.store(conn, [Message(row.loop, row.body.encode()) for row in rows])
        for number, problem in settled.refused.items():
            outbox.refuse(conn, rows[number].id, problem.field, problem.message)
        done = [row.id for number, row in enumerate(rows) if number not in settled.refused]
        outbox.delete(conn, done)
        return len(done), len(settled.refused)


def _refuse_first(database: Database, why: str) -> tuple[int, int]:
    """Refuse the one row that Postgres cannot store."""
    with database.transaction() as conn:
        for row in outbox.claim(conn, 1, MAX_BATCH_BYTES):
            outbox.refuse(conn, row.id, "", why)
    return 0, 1

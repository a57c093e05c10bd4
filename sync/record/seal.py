"""Seal: entries of the record come into the chain, and the newest seal into the file of heads.

The seals are committed before the head is published. A worker that is killed in between publishes at its next turn.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from labelloop.process import heads
from labelloop.process.heads import Published
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.record import sealing

logger = logging.getLogger(__name__)

SEAL_EVERY_S = 5.0
"""Seconds between two turns."""


class Sealer:
    """Seals for one worker. If several workers run, one of them seals at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._path: Path = settings.record_heads or settings.data_dir / heads.FILE

    def seal(self) -> int:
        """Seal all entries that are committed, and return their number."""
        total = 0
        while True:
            with self._database.transaction() as conn:
                found = sealing.seal(conn)
            if found is None:
                return total
            total += found.sealed
            last = heads.last(self._path, found.chain)
            if found.head and (last is None or (last.seq, last.hash) != (found.head, found.hash)):
                heads.append(self._path, Published(found.chain, found.head, found.hash, datetime.now(UTC)))
                if last is not None and last.seq > found.head:
                    logger.error(
                        "the record ends at %d, and %s has a head at %d: `labelloop audit verify` says what to do",
                        found.head, self._path, last.seq,
                    )  # fmt: skip
            if found.sealed < sealing.MOST:
                return total

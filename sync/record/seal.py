"""Seal: entries of the record come into the chain, and the newest seal into the file of heads.

The seals are committed before the head is published. A worker that is killed in between publishes at its next turn.
Where the head cannot be published, sealing goes on, and the table unpublished_heads says why.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from labelloop.process import heads
from labelloop.process.heads import Published
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.record import publishing, sealing
from labelloop.store.record.sealing import Head

logger = logging.getLogger(__name__)

SEAL_EVERY_S = 5.0
"""Seconds between two turns."""


class Place:
    """A place to which heads are published. Remembers whether the last one arrived, so that only changes are stored."""

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._name = database, name
        self._error: str | None = ""  # not known yet

    def say(self, error: str | None) -> None:
        """Store whether the newest head arrived; `error` is None if it did."""
        if error == self._error:
            return
        with self._database.transaction() as conn:
            if error is None:
                publishing.reached(conn, self._name)
            else:
                publishing.failed(conn, self._name, error)
        if error is not None:
            logger.error("the head of the record cannot be published (%s), it is tried again: %s", self._name, error)
        self._error = error


class Sealer:
    """Seals for one worker. If several workers run, one of them seals at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._path: Path = settings.record_heads or settings.data_dir / heads.FILE
        self._file = Place(database, publishing.FILE)
        self.newest: Published | None = None
        """The newest head that is to be published; None before the first."""

    def seal(self) -> int:
        """Seal all entries that are committed, and return their number."""
        total = 0
        while True:
            with self._database.transaction() as conn:
                found = sealing.seal(conn)
            if found is None:
                return total
            total += found.sealed
            if found.head:
                self._publish(found)
            if found.sealed < sealing.MOST:
                return total

    def _publish(self, found: Head) -> None:
        if self.newest is None or (self.newest.chain, self.newest.hash) != (found.chain, found.hash):
            self.newest = Published(found.chain, found.head, found.hash, datetime.now(UTC))
        try:
            last = heads.last(self._path, found.chain)
            if last is None or (last.seq, last.hash) != (found.head, found.hash):
                heads.append(self._path, self.newest)
                if last is not None and last.seq > found.head:
                    logger.error(
                        "the record ends at %d, and %s has a head at %d: `labelloop audit verify` says what to do",
                        found.head, self._path, last.seq,
                    )  # fmt: skip
            elif last.restored_by is None:
                self.newest = last
        except OSError as exc:
            self._file.say(f"{self._path}: {exc.strerror or exc}")
        else:
            self._file.say(None)

"""Watching: the periodic look of the worker, in a thread of its own, so that no job and no other check waits for it."""

from __future__ import annotations

import logging
import threading
import time

from labelloop.errors import LabelloopError
from labelloop.process.settings import Settings
from labelloop.process.worker import one_line
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.media import holding
from labelloop.store.tables import loops
from sync.media.hold import Report, look_at_loop

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""Seconds between two passes over all loops."""
CLEAN_EVERY_S = 3_600.0
FIRST_LOOK_S = 20.0
"""Seconds for which a new output stays out of the window, unless its media were looked at before."""


class Watch:
    """One pass at a time. `look` returns at once."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def look(self) -> None:
        """Start a pass, unless one is going on."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self.look_at_all, name="media", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Start no further request."""
        self._stop.set()

    def look_at_all(self) -> Report:
        """Look at the media of every loop at work; return the counts of all."""
        counts = [0, 0, 0]
        try:
            with self._database.transaction() as conn:
                names = loops.names(conn)
            for name in names:
                if self._stop.is_set():
                    break
                with self._database.transaction() as conn:
                    spec = loops.at_work(conn, name)
                if spec is not None:
                    report = look_at_loop(self._database, self._settings, spec, self._stop)
                    counts = [counts[0] + report.looked_at, counts[1] + report.held, counts[2] + report.released]
        except LabelloopError as exc:  # Postgres is away, which the job queue reports
            logger.debug("media are looked at later: %s", one_line(exc))
        except Exception:
            logger.exception("the look at media failed")
        return Report(*counts)

    def clean(self) -> None:
        """Delete what was found long ago."""
        with self._database.transaction() as conn:
            holding.delete_old(conn)


def look_again(database: Database, settings: Settings, spec: LoopSpec, limit_s: float = 60.0) -> Report:
    """Look at all held outputs of a loop again, and at those that come next, within about `limit_s` seconds."""
    with database.transaction() as conn:
        if not holding.look_at_held(conn, spec.name):
            return Report()
    counts, ends, stop = [0, 0, 0], time.monotonic() + limit_s, threading.Event()
    while (left := ends - time.monotonic()) > 0:
        report = look_at_loop(database, settings, spec, stop, limit_s=left)
        counts = [counts[0] + report.looked_at, counts[1] + report.held, counts[2] + report.released]
        if not report.looked_at:
            break
    return Report(*counts)

"""Champions in memory. The recorded champion is read from Postgres at most once a second; a swap is by reference.

A request answers from one `Serving` only, so no answer mixes two versions. If a version cannot be loaded, or Postgres
is unreachable, the previous version keeps serving. A thread loads a new champion while the old one answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from backend import models
from backend.learners import Learner
from labelloop.errors import Failed, LabelloopError, Retriable
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import serving
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import short

CHECK_EVERY_S = 1.0
"""Seconds between two checks of a project's champion."""
RELOAD_WAIT_S = 0.05
"""Seconds that a request waits for the check that it started: enough for Postgres, too short to load a large file."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """The version that serves a loop. Without a learner, the pipeline's own outputs serve."""

    loop: str
    spec: LoopSpec
    version_id: str | None
    learner: Learner | None
    trouble: str | None
    """Reason why an older version serves instead of the recorded champion; None if the champion serves."""

    @property
    def version(self) -> str:
        return short(self.version_id)


class Champions:
    """The serving version of each Label Studio project. Safe for threads."""

    def __init__(
        self, database: Database, models_dir: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._models_dir = models_dir
        self._clock = clock
        # A fixed number of locks, shared by projects: a caller may name any number of projects that do not exist.
        self._checking = [threading.Lock() for _ in range(16)]
        self._serving: dict[ProjectId, Serving] = {}
        self._checked: dict[ProjectId, float] = {}

    def of(self, project_id: ProjectId) -> Serving | None:
        """Return the version that serves this project; None if no loop uses the project.

        Raises Retriable only before the first answer for the project.
        """
        checking = self._checking[project_id % len(self._checking)]
        if project_id not in self._serving:
            with checking:  # one request reads the champion, the others wait for its result
                if project_id not in self._serving:
                    self._renew(project_id)
        elif self._clock() - self._checked[project_id] >= CHECK_EVERY_S and checking.acquire(blocking=False):
            done = threading.Event()
            threading.Thread(target=self._renew_in_thread, args=(project_id, checking, done), daemon=True).start()
            done.wait(RELOAD_WAIT_S)
        return self._serving.get(project_id)

    def warm(self) -> None:
        """Load all champions before the first request."""
        try:
            with self._database.transaction() as conn:
                projects = serving.project_ids(conn)
            for project_id in projects:
                self.of(project_id)
        except LabelloopError as exc:
            logger.warning("the champions could not be loaded before the first request: %s", exc)

    def serving(self) -> list[Serving]:
        """Return the serving versions of all projects that were requested so far."""
        return list(self._serving.values())

    def troubles(self) -> list[str]:
        return sorted({f"{s.loop}: {s.trouble}" for s in self.serving() if s.trouble})

    def _renew_in_thread(self, project_id: ProjectId, checking: threading.Lock, done: threading.Event) -> None:
        """Check for a new champion. If Postgres is unreachable or the check fails, the old version keeps serving."""
        try:
            self._renew(project_id)
        except Retriable:
            pass
        except Exception:
            logger.exception("could not check the champion of project %d", project_id)
        finally:
            self._checked[project_id] = self._clock()
            checking.release()
            done.set()

    def _renew(self, project_id: ProjectId) -> None:
        found = self._read(project_id, self._serving.get(project_id))
        if found is None:
            self._serving.pop(project_id, None)
        else:
            self._checked[project_id] = self._clock()
            self._serving[project_id] = found

    def _read(self, project_id: ProjectId, known: Serving | None) -> Serving | None:
        with self._database.transaction() as conn:
            loop = serving.loop_of(conn, project_id)
            spec = None if loop is None else loops.get(conn, loop)
            champion = None if loop is None else version_store.champion(conn, loop)
        if loop is None or spec is None:
            return None
        if champion is None:
            return Serving(loop, spec, None, None, None)
        if known is not None and known.loop == loop and known.version_id == champion.id:
            return replace(known, spec=spec, trouble=None)
        try:
            learner = models.load(self._models_dir, champion.id)
            # Set once, after the model's libraries are loaded: setting it for each request takes longer than an answer.
            threadpool_limits(1)
        except Failed as exc:
            trouble = f"version {short(champion.id)} cannot be loaded"
            if known is None or known.trouble != trouble:  # logged once, not at every check
                logger.error("loop %s: %s", loop, exc)
            if known is None or known.loop != loop:
                return Serving(loop, spec, None, None, trouble)
            return replace(known, spec=spec, trouble=trouble)
        logger.info("loop %s: champion %s serves", loop, short(champion.id))
        return Serving(loop, spec, champion.id, learner, None)

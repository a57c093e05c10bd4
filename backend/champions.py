"""Champions: what serves now, in memory. The pointer in Postgres is read once a second at most; a swap is by reference.

A request takes one `Serving` and answers from that alone, so no answer mixes two versions. What cannot be loaded, and a
Postgres that is away, leave in place what served before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from backend import models
from backend.learners import Learner
from labelloop.errors import Failed, Retriable
from labelloop.spec import LoopSpec
from labelloop.store import loops, serving
from labelloop.store import versions as version_store
from labelloop.store.database import Database
from labelloop.versions import short

LOOK_EVERY_S = 1.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """Who answers for one loop. Without a learner these are the pipeline's own outputs."""

    loop: str
    spec: LoopSpec
    version_id: str | None
    learner: Learner | None
    trouble: str | None
    """Why it is not the champion of record that serves; None: it is."""

    @property
    def version(self) -> str:
        return short(self.version_id)


class Champions:
    """Who serves which project of Label Studio. Safe for threads."""

    def __init__(
        self, database: Database, models_dir: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._models_dir = models_dir
        self._clock = clock
        self._looking = threading.Lock()
        self._serving: dict[int, Serving] = {}
        self._looked: dict[int, float] = {}

    def of(self, project_id: int) -> Serving | None:
        """Who serves this project; None: no loop of ours is there. Raises Retriable only before a first answer."""
        known = self._serving.get(project_id)
        if known is not None and self._clock() - self._looked[project_id] < LOOK_EVERY_S:
            return known
        # One request looks; the others go on with what they have, and wait only where they have nothing.
        if not self._looking.acquire(blocking=known is None):
            return known
        try:
            found = self._look(project_id, self._serving.get(project_id))
        except Retriable:
            if known is None:
                raise
            found = known
        finally:
            self._looking.release()
        if found is None:
            self._serving.pop(project_id, None)
        else:
            self._serving[project_id] = found
            self._looked[project_id] = self._clock()
        return found

    def troubles(self) -> list[str]:
        return sorted({f"{s.loop}: {s.trouble}" for s in list(self._serving.values()) if s.trouble})

    def _look(self, project_id: int, known: Serving | None) -> Serving | None:
        with self._database.transaction() as conn:
            loop = serving.loop_of(conn, project_id)
            spec = None if loop is None else loops.get(conn, loop)
            champion = None if loop is None else version_store.champion(conn, loop)
        if loop is None or spec is None:
            return None
        if champion is None:
            return Serving(loop, spec, None, None, None)
        if known is not None and known.loop == loop and known.version_id == champion["id"]:
            return replace(known, spec=spec, trouble=None)
        try:
            learner = models.load(self._models_dir, champion["id"])
        except Failed as exc:
            trouble = f"version {short(champion['id'])} cannot be loaded"
            logger.error("loop %s: %s", loop, exc)
            if known is None or known.loop != loop:
                return Serving(loop, spec, None, None, trouble)
            return replace(known, spec=spec, trouble=trouble)
        logger.info("loop %s: champion %s serves", loop, short(champion["id"]))
        return Serving(loop, spec, champion["id"], learner, None)

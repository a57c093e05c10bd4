"""Champions: what serves now, in memory. The pointer in Postgres is read once a second at most; a swap is by reference.

A request takes one `Serving` and answers from that alone, so no answer mixes two versions. What cannot be loaded, and a
Postgres that is away, leave in place what served before. A new champion is read beside the requests: until it is there,
the old one answers.
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
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import serving
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import short

LOOK_EVERY_S = 1.0
PATIENCE_S = 0.05
"""How long the request that looks waits for what it finds: enough for Postgres, not for a large file."""
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
        # Projects share them by chance: what is asked for may be no project at all, so they are a fixed number.
        self._looking = [threading.Lock() for _ in range(16)]
        self._serving: dict[int, Serving] = {}
        self._looked: dict[int, float] = {}

    def of(self, project_id: int) -> Serving | None:
        """Who serves this project; None: no loop of ours is there. Raises Retriable only before a first answer."""
        looking = self._looking[project_id % len(self._looking)]
        if project_id not in self._serving:
            with looking:  # one request looks, the others wait for what it finds
                if project_id not in self._serving:
                    self._renew(project_id)
        elif self._clock() - self._looked[project_id] >= LOOK_EVERY_S and looking.acquire(blocking=False):
            done = threading.Event()
            threading.Thread(target=self._renew_beside, args=(project_id, looking, done), daemon=True).start()
            done.wait(PATIENCE_S)
        return self._serving.get(project_id)

    def warm(self) -> None:
        """Read all champions before anybody asks for them."""
        try:
            with self._database.transaction() as conn:
                projects = serving.project_ids(conn)
            for project_id in projects:
                self.of(project_id)
        except LabelloopError as exc:
            logger.warning("the champions could not be read ahead: %s", exc)

    def serving(self) -> list[Serving]:
        """Who serves, of the loops that were asked for so far."""
        return list(self._serving.values())

    def troubles(self) -> list[str]:
        return sorted({f"{s.loop}: {s.trouble}" for s in self.serving() if s.trouble})

    def _renew_beside(self, project_id: int, looking: threading.Lock, done: threading.Event) -> None:
        """What served before goes on where Postgres is away, or anything else fails."""
        try:
            self._renew(project_id)
        except Retriable:
            pass
        except Exception:
            logger.exception("could not look who serves project %d", project_id)
        finally:
            self._looked[project_id] = self._clock()
            looking.release()
            done.set()

    def _renew(self, project_id: int) -> None:
        found = self._look(project_id, self._serving.get(project_id))
        if found is None:
            self._serving.pop(project_id, None)
        else:
            self._looked[project_id] = self._clock()
            self._serving[project_id] = found

    def _look(self, project_id: int, known: Serving | None) -> Serving | None:
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
            # For good, once what it needs is loaded: to set and reset it with each request takes longer than an answer.
            threadpool_limits(1)
        except Failed as exc:
            trouble = f"version {short(champion.id)} cannot be loaded"
            if known is None or known.trouble != trouble:  # said once, not with every look
                logger.error("loop %s: %s", loop, exc)
            if known is None or known.loop != loop:
                return Serving(loop, spec, None, None, trouble)
            return replace(known, spec=spec, trouble=trouble)
        logger.info("loop %s: champion %s serves", loop, short(champion.id))
        return Serving(loop, spec, champion.id, learner, None)

"""The sync worker: `python -m sync.worker`. It pushes and pulls when a job asks for it, and every few seconds anyway.

Label Studio or Postgres may be away, and the worker may be killed at any point: the next push or pull continues where
the last one stopped.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime

from labelloop.errors import LabelloopError, Refused, Retriable
from labelloop.labelstudio.gateway import Gateway
from labelloop.process import log, worker
from labelloop.process.settings import Settings
from labelloop.process.worker import Check, Duties, in_thread
from labelloop.queue.order import MAX_BATCH
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.people import decisions
from labelloop.store.record.publishing import WEBHOOK
from labelloop.store.tables import jobs, loops
from sync.adopting.newcomers import take_newcomers
from sync.callbacks.heads import SEND_EVERY_S, HeadSender
from sync.callbacks.send import CLEAN_EVERY_S, LOOK_EVERY_S, Sender
from sync.intake import outbox
from sync.media.watching import CLEAN_EVERY_S as CLEAN_MEDIA_EVERY_S
from sync.media.watching import FIRST_LOOK_S, Watch
from sync.media.watching import LOOK_EVERY_S as LOOK_AT_MEDIA_EVERY_S
from sync.project.project import ensure_project
from sync.pull.distrust import settle_decisions
from sync.pull.opinions import settle_opinions
from sync.pull.pull import CHECK_EVERY_S, Memory, pull
from sync.pull.relabel import retell
from sync.push.push import push
from sync.record.seal import SEAL_EVERY_S, Place, Sealer

logger = logging.getLogger(__name__)

TOKEN = "LABELLOOP_LABEL_STUDIO_TOKEN"
CONCURRENCY = 4
SWEEP_EVERY_S = 900.0
"""Seconds between two full sweeps of a loop's project."""
CONNECT_EVERY_S = 30.0
"""Seconds between two tries to connect what could not be connected, such as a backend that started later."""
REFILL = 0.3
"""While people answer, the window is refilled when this share of it is free: an import of 15 tasks costs Label Studio
twice what an import of one does."""
IDLE_BEFORE_TOP_UP_S = 20.0
"""After this many seconds without an answer the window is refilled to the last place."""
OUTBOX_EVERY_S = 2.0
"""Seconds between two looks into the outbox."""
END_WITHIN_S = 8.0
"""After SIGTERM a job may finish within this time. A job that is cut off is found again as if it had been killed."""


class SyncJobs:
    """The jobs of one process, and what they share. Jobs of one kind and loop never run at the same time."""

    def __init__(self, settings: Settings, database: Database, gateway: Gateway) -> None:
        self.settings, self.database, self.gateway = settings, database, gateway
        self._token = settings.label_studio_token
        self._connect_at: dict[str, float] = {}
        self._check_at: dict[str, float] = {}
        self._sweep_at: dict[str, float] = {}
        self._forms: dict[str, str] = {}
        self._memories: dict[str, Memory] = {}
        self._unshown: dict[str, dict[TaskId, datetime]] = {}
        self._rules: dict[str, bytes] = {}
        self._pulled_at: dict[str, float] = {}
        self._answered_at: dict[str, float] = {}

    def push(self, loop: str) -> None:
        self._do(loop, self._push)

    def pull(self, loop: str) -> None:
        self._do(loop, self._pull)

    def opinions(self, loop: str) -> None:
        self._do(loop, self._opinions)

    def decisions(self, loop: str) -> None:
        self._do(loop, self._decisions)

    def ask_for_all(self) -> None:
        """Ask for a push and a pull of every loop, in case a doorbell or a job was lost; no pull of a loop that was
        pulled just now. A decision about a person that is not carried out is asked for too.
        """
        since = time.monotonic() - 0.8 * self.settings.pull_every_s
        with self.database.transaction() as conn:
            for loop in loops.names(conn):
                if self._pulled_at.get(loop, -math.inf) <= since:
                    jobs.ask(conn, jobs.PULL, loop)
                jobs.ask(conn, jobs.PUSH, loop)
                if decisions.unsettled(conn, loop, None, 1):
                    jobs.ask(conn, jobs.DECISIONS, loop)

    def _push(self, spec: LoopSpec) -> None:
        check = _due(self._check_at, spec.name, CHECK_EVERY_S) or self._forms.get(spec.name) != spec.labels_xml
        busy = time.monotonic() - self._answered_at.get(spec.name, -math.inf) < IDLE_BEFORE_TOP_UP_S
        try:
            push(
                self.database,
                self.gateway,
                spec,
                self.settings,
                check=check,
                at_least=_batch(spec.queue.window) if busy else 1,
                first_look_s=FIRST_LOOK_S,
            )
            self._forms[spec.name] = spec.labels_xml
        except Exception:
            self._check_at.pop(spec.name, None)
            raise
        finally:
            if _due(self._connect_at, spec.name, CONNECT_EVERY_S):
                self._connect(spec)

    def _connect(self, spec: LoopSpec) -> None:
        """Connect the project: after the push, which people wait for, and after a failed one, which this may repair."""
        missing = ensure_project(self.database, self.gateway, spec, self.settings).missing
        if missing:
            logger.info("loop %s: not connected yet: %s", spec.name, ", ".join(missing))
        else:
            self._connect_at[spec.name] = time.monotonic() + SWEEP_EVERY_S

    def _pull(self, spec: LoopSpec) -> None:
        full = _due(self._sweep_at, spec.name, SWEEP_EVERY_S)
        memory = self._memories.setdefault(spec.name, Memory())
        self._settle_if_new(spec)
        self._pulled_at[spec.name] = time.monotonic()  # before the pull: a doorbell during it asks for another
        try:
            if pull(self.database, self.gateway, spec, full=full, memory=memory).outputs:
                self._answered_at[spec.name] = time.monotonic()
            if memory.form_is_wrong:
                self._connect_at.pop(spec.name, None)  # the next push sends the loop's form
            if full:
                retell(self.database, spec)
                take_newcomers(self.database, self.gateway, spec, unshown=self._unshown.setdefault(spec.name, {}))
        except Exception as exc:
            self._memories.pop(spec.name, None)  # a job of a worker taken for dead may have failed at the same time
            self._pulled_at.pop(spec.name, None)
            if full and isinstance(exc, Retriable):
                self._sweep_at.pop(spec.name, None)
            raise

    def _opinions(self, spec: LoopSpec) -> None:
        settle_opinions(self.database, spec)

    def _decisions(self, spec: LoopSpec) -> None:
        settle_decisions(self.database, spec)

    def _settle_if_new(self, spec: LoopSpec) -> None:
        """Ask for a look at all opinions, and tell Label Studio, if loop.yaml has changed or this worker is new."""
        rule = spec.sha256()
        if self._rules.get(spec.name) == rule:
            return
        with self.database.transaction() as conn:
            jobs.ask(conn, jobs.OPINIONS, spec.name)
            jobs.ask(conn, jobs.PUSH, spec.name)
        self._rules[spec.name] = rule

    def _do(self, loop: str, hop: Callable[[LoopSpec], None]) -> None:
        """Run a hop on a loop that is at work. A failed job is not retried by itself: the next check asks for it."""
        with self.database.transaction() as conn:
            spec = loops.at_work(conn, loop)
        if spec is None:
            return
        try:
            hop(spec)
        except Refused as exc:
            if exc.status != 401 or not self._take_new_token():
                raise

    def _take_new_token(self) -> bool:
        """Use another token if the settings name one now; False if they name the one that Label Studio refuses.

        A token that only the environment names cannot change while the process runs.
        """
        try:
            now = Settings.from_env(os.environ)
            if now.label_studio_token == self._token:
                only_here = TOKEN in os.environ and TOKEN + "_FILE" not in os.environ
                logger.error(
                    "Label Studio refuses LABELLOOP_LABEL_STUDIO_TOKEN: %s",
                    "set another one and restart this worker, because only its environment names it"
                    if only_here
                    else "replace it in settings.env or in the secret's file; no restart is needed",
                )
                return False
            self.gateway = Gateway(now.label_studio_url, now.label_studio_token)
        except LabelloopError as exc:
            logger.error("the new settings cannot be used: %s", exc)
            return False
        self._token = now.label_studio_token
        for at in (self._connect_at, self._check_at, self._pulled_at, self._sweep_at):
            at.clear()  # each hop that was refused is due again
        logger.info("Label Studio refuses the token; the new one is used from now on")
        return True


def _batch(window: int) -> int:
    """Return how many places of a window must be free before it is refilled while people answer."""
    return min(MAX_BATCH, math.ceil(REFILL * window))  # a push never counts more free places than one import fills


def _due(at: dict[str, float], loop: str, every_s: float) -> bool:
    """Return whether the loop is due; if so, set when it is due next."""
    now = time.monotonic()
    if now < at.get(loop, 0.0):
        return False
    at[loop] = now + every_s
    return True


def duties(own: SyncJobs) -> Duties:
    """Return what the worker does: four jobs, and periodic checks."""
    sender = Sender(own.settings, own.database)
    watch = Watch(own.settings, own.database)
    sealer = Sealer(own.settings, own.database)
    heads = HeadSender(own.settings, lambda: sealer.newest, Place(own.database, WEBHOOK).say)
    return Duties(
        queue=jobs.SYNC_QUEUE,
        jobs={
            jobs.PUSH: own.push,
            jobs.PULL: own.pull,
            jobs.OPINIONS: own.opinions,
            jobs.DECISIONS: own.decisions,
        },
        checks=[
            Check("every loop is pushed and pulled", own.settings.pull_every_s, in_thread(own.ask_for_all)),
            Check("callbacks are sent", LOOK_EVERY_S, sender.look),
            Check("old deliveries are deleted", CLEAN_EVERY_S, sender.clean),
            Check("media are looked at", LOOK_AT_MEDIA_EVERY_S, watch.look),
            Check("old looks at media are deleted", CLEAN_MEDIA_EVERY_S, in_thread(watch.clean)),
            Check("the outbox is taken", OUTBOX_EVERY_S, in_thread(outbox.take_all, own.database)),
            Check("the record is sealed", SEAL_EVERY_S, in_thread(sealer.seal)),
            Check("the head of the record is sent", SEND_EVERY_S, heads.look),
        ],
        concurrency=CONCURRENCY,
        on_stop=watch.stop,
        end_within_s=END_WITHIN_S,
    )


def main() -> int:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url", "label_studio_url", "label_studio_token")
    gateway = Gateway(settings.label_studio_url, settings.label_studio_token)
    with Database(settings.database_url, actor="sync worker") as database:
        worker.run(settings, duties(SyncJobs(settings, database, gateway)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sending: the requests of a push, one at a time. Each leaves as soon as the reply to the one before is there.

The tasks of a request are stored while Label Studio makes those of the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self
from uuid import UUID

from labelloop.errors import Failed, LabelloopError, Refused, Unreachable
from labelloop.labeling.form_xml import same_form
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.queue.batches import BatchState
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import TaskDraft
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import batches, loops
from labelloop.store.tables import tasks as task_store
from sync.push.batches import PushReport, adopt, put_back
from sync.push.drafts import task_drafts, with_draws

logger = logging.getLogger(__name__)

REFUSALS_THAT_BLAME_THE_BATCH = 5
"""If Label Studio refuses this many outputs of one batch and takes none, the fault is not in the outputs."""
RECORDS_FAULT = frozenset({400, 413, 422})
"""Statuses that refuse what was sent. Other refusals are about labelloop or the project."""


class Ready(NamedTuple):
    """A batch whose request can leave."""

    batch_id: UUID
    drafts: list[TaskDraft]
    differs: Mapping[UUID, str]
    """See `task_drafts`."""


class Sent(NamedTuple):
    """A request on its way."""

    batch: Ready
    reply: Future[list[TaskId]]


class Sending:
    """The requests of one push; leave the context to store what is still on its way."""

    def __init__(self, database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
        self._database, self._gateway, self._spec, self._project = database, gateway, spec, project
        self._sender = ThreadPoolExecutor(1, "import")
        self._sent: Sent | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.end()
        except LabelloopError:
            if kind is None:
                raise
            logger.exception("loop %s: the last request of a push that failed", self._spec.name)
        finally:
            self._sender.shutdown()

    def ready(self, batch_id: UUID, differs: Mapping[UUID, str]) -> Ready:
        """Return the batch with its tasks. An error here means that Label Studio has not received anything."""
        with self._database.transaction() as conn:
            rows = with_draws(conn, self._spec, batches.items(conn, batch_id))
            version = batches.version(conn, batch_id)
            return Ready(batch_id, task_drafts(conn, self._spec, self._project, rows, version, differs), differs)

    def send(self, batch: Ready) -> PushReport:
        """Send the batch once the reply to the one before is there, then store the tasks of that one; report them."""
        before = self._sent
        if before is None or before.reply.exception() is not None:
            report = self.end()
            self._sent = self._start(batch)
            return report
        self._sent = self._start(batch)
        return self._adopt(before)

    def end(self) -> PushReport:
        """Wait for the reply to the last request and store its tasks.

        A batch that Label Studio refuses is sent in halves, down to the outputs at fault.
        """
        sent, self._sent = self._sent, None
        report, left, refusals = PushReport(), list[UUID](), dict[UUID, Refused]()
        while sent is not None:
            differs = sent.batch.differs
            try:
                report += self._adopt(sent)
            except Refused as exc:
                self._check_whose_fault(sent.batch.batch_id, exc)
                if len(sent.batch.drafts) == 1:
                    refusals[sent.batch.batch_id] = exc
                else:
                    left += self._halves(sent.batch.batch_id, exc)
            sent = None
            while left and sent is None:
                sent = self._start(self.ready(left.pop(), differs))
        self._check_not_all(refusals, report.pushed)
        for batch_id, why in refusals.items():
            report += self._quarantine(batch_id, why)
        return report

    def _start(self, batch: Ready) -> Sent | None:
        """Let the request leave; None if another push has sent or released the batch."""
        with self._database.transaction() as conn:
            if not batches.send(conn, batch.batch_id):
                return None
        return Sent(batch, self._sender.submit(self._gateway.import_tasks, self._project.id, batch.drafts))

    def _adopt(self, sent: Sent) -> PushReport:
        """Wait for the reply and store the tasks. Without a reply the outputs wait again, or the next push asks."""
        try:
            ids = sent.reply.result()
        except Unreachable as exc:
            self._put_back(sent.batch.batch_id, BatchState.ABANDONED, exc)
            raise
        made = {draft.output_id: id_ for draft, id_ in zip(sent.batch.drafts, ids, strict=True)}
        with self._database.transaction() as conn:
            pushed, _ = adopt(conn, self._project, sent.batch.batch_id, made)
            if not loops.knows_labels(conn, self._spec):  # they show a label of before: the next push sends it again
                task_store.show(conn, "", {draft.output_id: draft.priority for draft in sent.batch.drafts})
        return PushReport(pushed=pushed)

    def _put_back(self, batch_id: UUID, became: BatchState, why: Exception) -> None:
        with self._database.transaction() as conn:
            put_back(conn, batch_id, BatchState.SENDING, became, str(why))

    def _check_whose_fault(self, batch_id: UUID, why: Refused) -> None:
        """Raise unless the fault is in the outputs; those of the batch then wait again."""
        if why.status not in RECORDS_FAULT:
            self._put_back(batch_id, BatchState.REFUSED, why)
            raise why
        if same_form(self._spec.labels_xml, self._gateway.project(self._project.id).labels_xml):
            return
        self._put_back(batch_id, BatchState.REFUSED, why)
        raise Failed(
            f"the labeling config of project {self._project.id} was changed in Label Studio, which now refuses the "
            f"tasks of loop {self._spec.name!r}. Make the same change in its labels.xml, or undo it ({why})"
        )

    def _check_not_all(self, refusals: Mapping[UUID, Refused], pushed: int) -> None:
        """Raise if Label Studio took none of many outputs; they wait again."""
        if len(refusals) < REFUSALS_THAT_BLAME_THE_BATCH or pushed:
            return
        for batch_id, why in refusals.items():
            self._put_back(batch_id, BatchState.REFUSED, why)
        raise Failed(
            f"Label Studio takes none of {len(refusals)} outputs of loop {self._spec.name!r}, so the fault is not in "
            f"them. They wait again ({next(iter(refusals.values()))})"
        )

    def _halves(self, batch_id: UUID, why: Refused) -> list[UUID]:
        """Replace a batch of which nothing was imported by two batches; empty if another push has ended it already."""
        with self._database.transaction() as conn:
            if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why)):
                return []
            rows = batches.items(conn, batch_id)
            version = batches.version(conn, batch_id)
            halves = []
            for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                half = batches.intend(conn, self._spec.name, version, len(part))
                batches.hand_over(conn, batch_id, half, [row.output_id for row in part])
                halves.append(half)
            return halves

    def _quarantine(self, batch_id: UUID, why: Refused) -> PushReport:
        """Quarantine the only output of a batch, which Label Studio refuses for good."""
        with self._database.transaction() as conn:
            if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why)):
                return PushReport()
            key = batches.items(conn, batch_id)[0].key
            quarantined = batches.release(conn, batch_id, OutputState.QUARANTINED, str(why))
            batches.forget_items(conn, batch_id)
        logger.warning("loop %s: output %s is quarantined: %s", self._spec.name, key, why)
        return PushReport(quarantined=quarantined)

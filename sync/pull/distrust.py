"""Distrust: the answers that a person gave in some time stop to count, and count again when somebody decides so.

A decision is one row. What follows from it is resolved anew, a page of outputs in a transaction. The command settles by
itself; a decision on a review page asks the worker. A page that was not reached, because the process was killed, is
found by the worker's periodic check.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane, headline, utility_in
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.people import decisions
from labelloop.store.pipelines import direct
from labelloop.store.questions import routed
from labelloop.store.tables import jobs, pool, projects, runs
from sync.pull.resolve import Resolved, resolve

logger = logging.getLogger(__name__)
PAGE = 200
"""Outputs that are resolved in one transaction. People's next answers wait for it."""
CHANGED = "answers of a person do not count any more, or count again"


def settle_decisions(database: Database, spec: LoopSpec, why: str = CHANGED) -> Resolved:
    """Resolve the outputs whose answers count otherwise than the decisions in force say. A second call changes nothing.

    If answers change, and the loop has trained, a training run with the reason `why` is requested in the same
    transaction. The backend's worker looks at the certificate by itself. Returns the number of outputs as `feedback`,
    and of changed answers.
    """
    done, after, page = Resolved(), None, [UUID(int=0)]
    while page:
        with database.transaction() as conn:
            # In the order of `take_in`: answers first, then the push that may be claiming an output now.
            projects.lock_hop(conn, spec.name, "answers")
            projects.lock_hop(conn, spec.name, "push")
            page = decisions.unsettled(conn, spec.name, after, PAGE)
            answers = resolve_everywhere(conn, spec, page)
            if answers and runs.has_trained(conn, spec):
                runs.request(conn, spec.name, why)
                jobs.ask(conn, jobs.RETRAIN, spec.name)
            done += Resolved(len(page), answers)
            after = page[-1] if page else after
    if done != Resolved():
        logger.info("decisions about people", extra={"loop": spec.name, "report": done})
    return done


def resolve_everywhere(conn: Conn, spec: LoopSpec, output_ids: list[UUID]) -> int:
    """Resolve these outputs in every instance in which somebody answered them; return the number of changed answers."""
    answers = 0
    by_instance = decisions.instances(conn, output_ids)
    # An answer of the same person in another instance may count again once the newer one does not: hence twice.
    for instance in [*by_instance] * (2 if len(by_instance) > 1 else 1):
        answers += resolve(conn, spec, instance, by_instance[instance], {}).answers
    settle_without_task(conn, spec, output_ids)
    return answers


def settle_without_task(conn: Conn, spec: LoopSpec, output_ids: Sequence[UUID]) -> None:
    """Set the states of those of these outputs that have no task: answered over HTTP, or in a task that is lost."""
    direct.settle(conn, output_ids)
    for output_id in output_ids:
        ask_again_without_task(conn, spec, output_id)


def ask_again_without_task(conn: Conn, spec: LoopSpec, output_id: UUID) -> None:
    """Have people asked again about an output that has no answer any more, if they were to be asked before."""
    if direct.unsettle(conn, output_id) != OutputState.WAITING:
        return
    row = routed.one(conn, output_id)
    output = row.output()
    utility = utility_in(Lane(row.lane), output, spec, headline(output, spec)[1])
    assert utility is not None  # an output of the lane pass never waited
    pool.add(conn, output_id, utility)
    for job in (jobs.PRELABEL, jobs.PUSH):
        jobs.ask(conn, job, spec.name)

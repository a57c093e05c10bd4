"""Settle: carry out decisions about alerts, so that the answers are as they say. A second call changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.alerts import Alert, AlertKind, AlertState
from labelloop.answers.people import Person, person
from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane, headline, utility_in
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.alerts import restoring, rows
from labelloop.store.alerts.restoring import RESTORED
from labelloop.store.database import Conn, Database
from labelloop.store.questions import routed
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import jobs, pool, projects
from labelloop.store.tables import outputs as output_store
from sync.pull.distrust import settle_without_task
from sync.pull.resolve import Resolved, resolve

AT_ONCE = 200
"""Alerts that are settled in one transaction."""
DELETED = "its task was deleted in Label Studio"


def settle_alerts(database: Database, spec: LoopSpec) -> Resolved:
    """Compute the answers again that decided alerts are about.

    Those about many deleted tasks are left to the pull, which asks Label Studio what is gone.
    """
    done, last = Resolved(), False
    while not last:
        with database.transaction() as conn:
            projects.lock_hop(conn, spec.name, "answers")
            alerts = rows.unsettled(conn, spec.name, AT_ONCE)
            last = len(alerts) < AT_ONCE
            if not alerts:
                break
            # In the order of `take_in`: answers first, then the push that may be claiming an output now.
            projects.lock_hop(conn, spec.name, "push")
            mine = [alert for alert in alerts if not is_about_many(alert)]
            done += _settle(conn, spec, mine)
            rows.set_settled(conn, [alert.id for alert in mine])
    return done


def is_about_many(alert: Alert) -> bool:
    """Whether an accepted alert is about many deleted tasks, none of which was withdrawn yet."""
    return alert.kind == AlertKind.DELETED and alert.output_id is None and alert.state == AlertState.ACCEPTED


def _settle(conn: Conn, spec: LoopSpec, alerts: Sequence[Alert]) -> Resolved:
    outputs = rows.outputs_of(conn, [alert.id for alert in alerts])
    done = Resolved()
    for instance in dict.fromkeys(alert.instance for alert in alerts):
        ids = {id_ for alert in alerts if alert.instance == instance for id_ in outputs[alert.id]}
        done += _resolve(conn, spec, instance, ids, _people(conn, instance, alerts))
    begun = _set_states(conn, spec, [alert for alert in alerts if alert.kind == AlertKind.DELETED])
    settle_without_task(conn, spec, sorted({id_ for ids in outputs.values() for id_ in ids}.difference(begun)))
    return done


def _resolve(
    conn: Conn, spec: LoopSpec, instance: UUID, output_ids: Iterable[UUID], users: Mapping[UserId, Person]
) -> Resolved:
    """Resolve these outputs by what people said in this project, over HTTP, and in the loop's project of today."""
    project = projects.get(conn, spec.name)
    instances = dict.fromkeys([instance, given.instance_of(spec.name), *([project.instance] if project else [])])
    done, ids = Resolved(), set(output_ids)
    for one in instances:
        done += resolve(conn, spec, one, ids, users if one == instance else {})
    return done


def _people(conn: Conn, instance: UUID, alerts: Sequence[Alert]) -> dict[UserId, Person]:
    """Return the people of these alerts who never answered until now; a full pull finds their names."""
    known = feedback_store.reviewers(conn, instance)
    return {
        alert.person_id: person(alert.person_id, alert.person)
        for alert in alerts
        if alert.person_id is not None and alert.person is not None and "@" in alert.person
        if alert.instance == instance and alert.person_id not in known
    }


def _set_states(conn: Conn, spec: LoopSpec, deletions: Sequence[Alert]) -> list[UUID]:
    """Set the states of outputs whose task is gone, after decisions about deletions; return those with too few answers.

    An output with enough answers that count is answered; with fewer it waits again. Without any it is withdrawn, if its
    task was deleted or a decision had restored it before.
    """
    deleted = [alert.output_id for alert in deletions if alert.output_id is not None]
    found = restoring.without_task(conn, deleted, spec.overlap)
    of_task = {
        alert.output_id for alert in deletions if alert.annotation_id is None and alert.state != AlertState.REJECTED
    }
    complete = [id_ for id_, reviewers in found.items() if reviewers >= spec.overlap]
    begun = [id_ for id_, reviewers in found.items() if 0 < reviewers < spec.overlap]
    unanswered = [id_ for id_, reviewers in found.items() if not reviewers]
    restored = restoring.with_reason(conn, unanswered, RESTORED)
    nothing = [id_ for id_ in unanswered if id_ in of_task or id_ in restored]
    output_store.set_state(conn, complete, [OutputState.WITHDRAWN], OutputState.ANSWERED, RESTORED)
    for id_ in output_store.set_state(conn, begun, [OutputState.WITHDRAWN], OutputState.WAITING, RESTORED):
        row = routed.one(conn, id_)
        output = row.output()
        pool.add(conn, id_, utility_in(Lane(row.lane), output, spec, headline(output, spec)[1]) or 0.0)
        jobs.ask(conn, jobs.PRELABEL, spec.name)
    for id_ in nothing:
        pool.remove(conn, id_)
    output_store.set_state(conn, nothing, [OutputState.ANSWERED, OutputState.WAITING], OutputState.WITHDRAWN, DELETED)
    return begun

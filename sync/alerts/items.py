"""Alerts about the data of tasks: a task shows another item than its output has, or names another output.

Answers from before stay. An answer that is first read with the edited data does not count until the alert is accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.answers.alerts import AlertKind, AlertState, Found, cut, hash_of
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_xml import shown_data, shown_name
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import OUTPUT, SIGNATURE, Task, sign
from labelloop.reading import paths
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks
from labelloop.store.alerts import deciding, found, rows
from labelloop.store.database import Conn, Database
from labelloop.store.tables import outputs as output_store

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""Outputs whose data are read at the same time; each may hold an image."""
DATA, KEY = "data", "key"
"""First word of a fact: the shown data differ, or only the key by which labelloop knows the task."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A task that somebody edited."""

    task_id: TaskId
    output_id: UUID
    fact: str
    before: str
    after: str

    @property
    def shows_another(self) -> bool:
        """Whether annotators see another item."""
        return self.fact.startswith(DATA)


def edited(
    conn: Conn,
    config: LabelingConfig,
    instance: UUID,
    tasks: Sequence[Task],
    outputs: Mapping[TaskId, UUID],
    tampered: Collection[TaskId],
) -> dict[TaskId, Edited]:
    """Return those of these tasks that somebody edited. `outputs`: the output of each; `tampered`: with a wrong key."""
    mine = [task for task in tasks if task.id in outputs]
    changed: dict[TaskId, Edited] = {}
    for start in range(0, len(mine), AT_ONCE):
        few = mine[start : start + AT_ONCE]
        stored = output_store.data_of(conn, [outputs[task.id] for task in few])
        for task in few:
            output_id = outputs[task.id]
            if (one := _compared(config, instance, task, output_id, stored[output_id])) is not None:
                changed[task.id] = one
            elif task.id in tampered:
                key = [str(task.data.get(OUTPUT)), str(task.data.get(SIGNATURE))]
                fact = f"{KEY} {instance} {task.id} {hash_of(key)}"
                before, after = f"{OUTPUT}: {output_id}", f"{OUTPUT}: {cut(key[0])}, or its signature"
                changed[task.id] = Edited(task.id, output_id, fact, before, after)
    return changed


def watch_items(
    conn: Conn, spec: LoopSpec, instance: UUID, since: int, tasks: Sequence[Task], changed: Mapping[TaskId, Edited]
) -> None:
    """Open an alert for each edited task, and exclude the versions of such tasks that were stored after `since`."""
    standing = rows.in_force(conn, instance, spec.name, AlertKind.DATA)
    read = {task.id for task in tasks}
    same = {alert.task_id: alert for alert in standing if alert.task_id in changed}
    same = {id_: alert for id_, alert in same.items() if id_ is not None and changed[id_].fact == alert.fact}
    rows.end(conn, [alert.id for alert in standing if alert.task_id in read and alert not in same.values()])
    for one in changed.values():
        alert = same.get(one.task_id)
        if alert is not None and alert.state == AlertState.ACCEPTED:
            continue
        alert_id = alert.id if alert is not None else rows.open_(conn, spec.name, _found(instance, one))
        if one.shows_another:
            versions = found.written(conn, instance, since, [one.task_id])
            rejected = alert is not None and alert.state == AlertState.REJECTED
            deciding.cover(conn, spec.name, alert_id, AlertKind.DATA, versions, ask=rejected)


def restore_items(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Give tasks in Label Studio their data back: of rejected alerts, and their keys of accepted ones too."""
    with database.transaction() as conn:
        wrong = rows.to_restore(conn, project.instance, spec.name)
        data = output_store.data_of(conn, list(wrong.values()))
        adopted = adopted_tasks.by_task(conn, project.instance, list(wrong))
    for task in gateway.tasks(project.id, list(wrong), annotations=False) if wrong else []:
        output_id = wrong[task.id]
        fields = shown_data(spec.config.data_fields, data[output_id])
        names = {shown_name(name).partition("[")[0].partition(".")[0] for name in spec.config.data_fields}
        restored: dict[str, Any] = {**task.data, **{name: fields[name] for name in names if name in fields}}
        if task.id not in adopted:
            restored |= {OUTPUT: str(output_id), SIGNATURE: sign(project.signing_key, output_id)}
        gateway.set_data(task.id, restored)
        logger.info("loop %s: task %d shows its item again", spec.name, task.id)


def _compared(
    config: LabelingConfig, instance: UUID, task: Task, output_id: UUID, stored: Mapping[str, Any]
) -> Edited | None:
    expected, seen = shown_data(config.data_fields, stored), dict[str, Any]()
    first: tuple[str, object, object] | None = None
    for field in config.data_fields:
        name = shown_name(field)
        seen[name], want = _value(task.data, name), _value(expected, name)
        if first is None and seen[name] != want:
            first = field, want, seen[name]
    if first is None:
        return None
    field, want, has = first
    fact = f"{DATA} {instance} {task.id} {hash_of(seen)}"
    return Edited(task.id, output_id, fact, f"{field}: {cut(want)}", f"{field}: {cut(has)}")


def _value(data: Mapping[str, Any], name: str) -> object:
    name = name.partition("[")[0]
    return paths.below(data, name) if "." in name else data.get(name)


def _found(instance: UUID, one: Edited) -> Found:
    return Found(
        AlertKind.DATA,
        one.fact,
        instance,
        output_id=one.output_id,
        task_id=one.task_id,
        before=one.before,
        after=one.after,
    )

"""Assign: share the open tasks out among the people of loop.yaml, and show each of them the own tasks in a tab.

The decision is stored first. Then each person's tab gets a filter of those tasks: one write a person, and none
if nothing has changed. A push that is killed in between is completed by the next one, which compares all tabs.

Label Studio's pages do not open a tab that filters ids by a list. A pattern on our field of the data works; only tasks
that were in the project before the loop, which lack that field, are named by their ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from labelloop.answers.people import Person
from labelloop.labelstudio.answers import View
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.assigning import share_out
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import OUTPUT
from labelloop.reading.ids import ProjectId, UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.people import assignments, decisions
from labelloop.store.people.assignments import AskedTask, Assignee
from labelloop.store.people.sharing import sharing
from labelloop.store.tables import feedback, projects
from sync.project.signposts import ORDERING, WIDTHS, hidden_columns

TASKS = ": tasks"
"""End of the title of a person's tab, behind the address: Label Studio shows the first characters only."""
IN_TAB = 500
"""Tasks in a tab, the most useful ones; the others come into it when some of these have an answer."""


def assign(
    database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, tabs: Callable[[], Iterable[View]]
) -> None:
    """Share the open tasks out, and write the tabs that differ. Without the section `people`, undo that once.

    `tabs` reads the project's tabs.
    """
    with database.transaction() as conn:
        if spec.people is None and not assignments.any_(conn, spec.name):
            return
    if spec.people is None:
        _keep_tabs(database, gateway, spec, project.id, tabs(), [])  # first: the rows say that it is still to be done
    now = datetime.now(UTC)
    users = gateway.users() if spec.people is not None else {}
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "assign")
        _keep_people(conn, spec, project, users, now)
    if spec.people is None:
        return
    with database.transaction() as conn:  # no lock on people while the shares are computed: a pull would wait
        projects.lock_hop(conn, spec.name, "assign")
        found = sharing(conn, spec, now)
        assert found is not None
        shares = share_out(found.items, found.workers, found.rule.rotate_after)
        assignments.store(conn, spec.name, shares.given, shares.handed_on)
    mine = [(one, [task for task in found.tasks if one.id in shares.given[task.output_id]]) for one in found.people]
    _keep_tabs(database, gateway, spec, project.id, tabs(), [(one, tasks[:IN_TAB]) for one, tasks in mine])


def _keep_people(
    conn: Conn, spec: LoopSpec, project: LoopProject, users: Mapping[UserId, Person], now: datetime
) -> None:
    """Store the people of loop.yaml whom Label Studio knows, without those who are forgotten or distrusted now."""
    wanted = {address.lower() for address in (spec.people.who if spec.people else ())}
    forgotten = feedback.forgotten(conn, project.instance)
    distrusted = decisions.in_force(conn, spec.name, project.instance)
    listed = {
        id_: person
        for id_, person in sorted(users.items())  # in the order of a pull, which locks the same rows
        if person.email.lower() in wanted
        and id_ not in forgotten
        and not any(one.covers(now) for one in distrusted.get(id_, ()))
    }
    feedback.upsert_reviewers(conn, project.instance, listed)
    rows = feedback.reviewers(conn, project.instance)
    assignments.keep_assignees(conn, spec.name, [rows[id_].id for id_ in listed])


def is_of_person(view: View) -> bool:
    """Whether this is the tab of a person's tasks."""
    return re.fullmatch(rf"\S+@\S+{TASKS}", view.title) is not None


def _keep_tabs(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project_id: ProjectId,
    tabs: Iterable[View],
    tasks: Sequence[tuple[Assignee, Sequence[AskedTask]]],
) -> None:
    """Keep one tab of each person, with the person's tasks; delete those of people who left."""
    standing: dict[str, list[View]] = {}
    for view in tabs:
        if is_of_person(view):
            standing.setdefault(view.title, []).append(view)
    ids: dict[UUID, int] = {}
    for person, mine in tasks:
        there = standing.get(person.email + TASKS, [])
        wanted = _tab(spec, person, mine, there[0].data if there else {})
        ids[person.id] = there[0].id if there else gateway.create_view(project_id, wanted)
        if there and wanted != there[0].data:
            gateway.update_view(there[0].id, wanted)
    titles = {person.email + TASKS for person, _ in tasks}
    for title, views in standing.items():
        for view in views[1 if title in titles else 0 :]:  # a creation whose reply was lost may have been repeated
            gateway.delete_view(view.id)
    with database.transaction() as conn:
        for person_id, tab_id in ids.items():
            assignments.set_tab(conn, spec.name, person_id, tab_id)


def _tab(spec: LoopSpec, person: Assignee, tasks: Sequence[AskedTask], has: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tab of these tasks. People may choose its columns, and nothing else."""
    filters = {"conjunction": "or", "items": _filters(tasks)}
    ours = {"type": "list", "target": "tasks", "title": person.email + TASKS, "ordering": ORDERING, "filters": filters}
    return {"hiddenColumns": hidden_columns(spec), "columnsWidth": WIDTHS, **has, **ours}


def _filters(tasks: Sequence[AskedTask]) -> list[dict[str, Any]]:
    def same(id_: int) -> dict[str, Any]:
        return {"filter": "filter:tasks:id", "operator": "equal", "type": "Number", "value": id_}

    ours: list[UUID] = sorted(task.output_id for task in tasks if not task.adopted)
    found = [same(id_) for id_ in sorted(task.label_studio_id for task in tasks if task.adopted)]
    if ours:
        pattern = f"^({'|'.join(map(str, ours))})$"
        column = f"filter:tasks:data.{OUTPUT}"
        found.append({"filter": column, "operator": "regex", "type": "String", "value": pattern})
    return found or [same(0)]

"""Sharing: the open tasks and the people of a loop at this moment, as the pure decision needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.queue.assigning import Item, Worker, rests, why_nobody
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.spec.people import People
from labelloop.store.database import Conn
from labelloop.store.people import assignments
from labelloop.store.people.assignments import AskedTask, Assignee, Assignment


@dataclass(frozen=True, slots=True)
class Sharing:
    """The open tasks and the people of a loop with the section `people`."""

    rule: People
    people: Sequence[Assignee]
    tasks: Sequence[AskedTask]
    """The most useful first, as `items`."""
    items: Sequence[Item]
    workers: Sequence[Worker]

    def open_tasks(self, person: UUID) -> list[AskedTask]:
        """Return the tasks that the person is to answer, the most useful first."""
        return [task for task, item in zip(self.tasks, self.items, strict=True) if person in item.held - item.closed]

    def left_over(self) -> list[tuple[AskedTask, str]]:
        """Return the tasks that are meant for fewer people than wanted, each with the reason."""
        return [
            (task, why_nobody(item, self.workers))
            for task, item in zip(self.tasks, self.items, strict=True)
            if len(item.held - item.closed) < item.wanted
        ]

    def standing(self, person: UUID) -> str:
        """Return whether the person gets new tasks, in words."""
        worker = next(one for one in self.workers if one.id == person)
        if worker.idle:
            return f"no answer for {self.rule.hand_on_after}: gets no new tasks until the next answer"
        if rests(worker, self.workers, self.rule.rotate_after):
            return f"{worker.answers} answers this {self.rule.period}: others come first"
        return "gets new tasks"

    def unknown(self) -> list[str]:
        """Return the addresses of loop.yaml that nobody in Label Studio has."""
        there = {one.email.lower() for one in self.people}
        return [address for address in self.rule.who if address.lower() not in there]


def sharing(conn: Conn, spec: LoopSpec, now: datetime) -> Sharing | None:
    """Return how tasks are shared out; None without the section `people`."""
    rule = spec.people
    if rule is None:
        return None
    people = assignments.assignees(conn, spec.name, rule.begin(now))
    tasks = assignments.tasks(conn, spec.name, spec.overlap, rule.needs)
    rows, late = assignments.list_(conn, spec.name), now - rule.hand_on
    of_task: dict[UUID, list[Assignment]] = {}
    for row in rows:
        of_task.setdefault(row.output_id, []).append(row)
    tags = {address.lower(): frozenset(map(str.casefold, tags)) for address, tags in rule.who.items()}
    workers = [
        Worker(
            one.id,
            tags.get(one.email.lower(), frozenset()),
            one.answers,
            idle=any(
                row.at < late and (one.last_at is None or row.at > one.last_at)
                for row in rows
                if row.reviewer_id == one.id
            ),
            at_work=one.last_at is not None and one.last_at > late,
        )
        for one in people
    ]
    users = {id_: one.user_id for one in people for id_ in one.ids}
    items = []
    for task in tasks:
        mine = of_task.get(task.output_id, [])
        done: set[UserId | UUID] = {*task.answered, *(users.get(id_, id_) for id_ in task.said)}
        shut = done | {*task.skipped}
        items.append(
            Item(
                task.output_id,
                max(0, task.wanted - len(done)),
                frozenset(_values(task.needs.values())),
                closed=frozenset(one.id for one in people if one.user_id in shut),
                let_go=frozenset(row.reviewer_id for row in mine if row.handed_on_at is not None),
                held=frozenset(row.reviewer_id for row in mine if row.handed_on_at is None),
                late=frozenset(row.reviewer_id for row in mine if row.handed_on_at is None and row.at < late),
            )
        )
    return Sharing(rule, people, tasks, items, workers)


def _values(found: Any) -> Iterator[str]:
    """Yield the tags that values of data name: texts, numbers, and lists of them."""
    for value in found:
        if isinstance(value, list):
            yield from _values(value)
        elif value is not None and str(value).strip():
            yield str(value).strip().casefold()

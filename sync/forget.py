"""Forget: remove the data of outputs, first in Label Studio and then in Postgres.

Before the first change in Label Studio, a transaction of its own stores that the removal begins. Tasks and examples in
the instruction go next; at last all of Postgres changes in one transaction. If the program is killed in between,
another call finds the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.answers import given
from labelloop.errors import Busy, Failed, LabelloopError, Refused, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.pictures.kept import picture_name
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import TaskId
from labelloop.reading.texts import text_of
from labelloop.selection.sentences import text_hash
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.privacy import proofs, texts
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import jobs, projects
from labelloop.store.tables import tasks as task_store
from sync.project.guide import without_examples
from sync.project.project import check_is_ours
from sync.project.texts import INSTRUCTION
from sync.pull.resolve import resolve

logger = logging.getLogger(__name__)

BEGUN = "the removal has begun in Label Studio, and nothing is removed from Postgres yet"


@dataclass(frozen=True, slots=True)
class Wish:
    """Outputs of a loop to forget: by key, or a group."""

    keys: tuple[str, ...] = ()
    group: str | None = None

    @property
    def kind(self) -> str:
        return "key" if self.group is None else "group"

    @property
    def names(self) -> tuple[str, ...]:
        return self.keys if self.group is None else (self.group,)


@dataclass(frozen=True, slots=True)
class Plan:
    """Effect of a removal before it is carried out."""

    outputs: Sequence[UUID]
    counts: Mapping[str, int]
    """Rows of these outputs, by table."""
    learned: Sequence[forgetting.Learned]
    missing: Sequence[str]
    """Keys, or the group, of which there is no output."""
    waiting: int
    """Rows of the outbox that are not stored yet."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Effect of a removal that was carried out."""

    outputs: int
    tasks: int
    """Tasks deleted in Label Studio."""
    counts: Mapping[str, int]
    versions: Sequence[str]


def plan(database: Database, loop: str, wish: Wish) -> Plan:
    """Return what a removal would do. Raises UsageError if nothing of it is there, Busy if it has to wait."""
    with database.transaction() as conn:
        found, waiting = _gather(conn, loop, wish)
        ids = [one.id for one in found]
        known = {one.key for one in found} | {one.group_key for one in found if wish.group is not None}
        missing = [name for name in wish.names if name not in known]
        return Plan(ids, forgetting.counts(conn, loop, ids), forgetting.learned_from(conn, ids), missing, waiting)


def forget(
    database: Database,
    gateway: Callable[[], Gateway],
    spec: LoopSpec,
    wish: Wish,
    by: str,
    why: str | None,
    announce: Callable[[str], object] = logger.debug,
) -> Forgotten:
    """Remove the data, with the tasks and examples in Label Studio. A second call finds nothing.

    `gateway` is called only if Label Studio may have a text. Raises Busy while an output is on its way to Label Studio
    or a run trains. Raises Unreachable if Label Studio does not answer, and Failed if it fails after the beginning.
    Then nothing is removed from Postgres, and another call finishes the removal.
    """
    with database.transaction() as conn:
        found, _ = _gather(conn, spec.name, wish)
        project = projects.get(conn, spec.name)
        ids = [one.id for one in found]
        tasks = [] if project is None else forgetting.tasks_of(conn, project.instance, ids)
    shown = set(_texts(found))
    deleted, cleared = 0, None
    if project is not None and project.project_id is not None:
        instruction = project.words.get(INSTRUCTION, "")
        if any(one.sent for one in found) or without_examples(instruction, shown) != instruction:
            announce("waiting for Label Studio: looking for the tasks")
            studio = gateway()
            if (wanted := _tasks_there(studio, project, ids, tasks)) is not None:
                with database.transaction() as conn:
                    proofs.begin(conn, wish.kind, spec.name, wish.names, by, why)
                announce("waiting for Label Studio: deleting the tasks, and examples in the instruction")
                deleted, cleared = _clear_label_studio(studio, project, wanted, shown), studio
    announce("removing the data from Postgres")
    with database.transaction() as conn:
        for hop in ("answers", "push"):  # in the order of sync/answering/feedback.py
            projects.lock_hop(conn, spec.name, hop)
        again, _ = _gather(conn, spec.name, wish)
        if {one.id for one in again} - set(ids):
            raise Busy("an output with this name has just come: nothing is removed from Postgres yet, run it again")
        done = _remove(conn, spec, wish, again, deleted, by, why)
    if cleared is not None and project is not None:
        _clear_examples(cleared, project, shown)  # a check of the project may have written one meanwhile
    return done


def _gather(conn: Conn, loop: str, wish: Wish) -> tuple[list[forgetting.Named], int]:
    """Return the outputs, locked, and the number of rows of the outbox. Raises if there is nothing, or work on it."""
    found = forgetting.named(conn, loop, wish.keys, wish.group)
    waiting = texts.count_in_outbox(conn, loop, wish.keys, wish.group)
    begun = proofs.begun(conn, wish.kind, loop, wish.names)
    so_far = BEGUN if begun else "nothing was removed"
    if not found and not waiting and not begun:
        earlier = [proof for proof in proofs.list_(conn, loop) if any(map(proof.is_of, wish.names))]
        before = f"; it was forgotten on {earlier[0].at:%Y-%m-%d %H:%M} UTC" if earlier else ""
        raise UsageError(f"no output of loop {loop!r} has the {wish.kind} {', '.join(map(repr, wish.names))}{before}")
    if moving := sum(one.state == OutputState.PUSHING for one in found):
        raise Busy(
            f"{moving} of the {len(found)} outputs are on their way to Label Studio; {so_far}: run it again in a minute"
        )
    if forgetting.is_training(conn, loop):
        raise Busy(
            f"a run of loop {loop!r} is training and has read the data; {so_far}. Wait for its end, or stop it with "
            f"`labelloop retrain --stop --loop {loop}`, and run this again"
        )
    return found, waiting


def _tasks_there(
    gateway: Gateway, project: LoopProject, ids: Sequence[UUID], stored: Sequence[TaskId]
) -> set[TaskId] | None:
    """Return the tasks of these outputs, also those that are not stored; None if the whole project is gone."""
    try:
        check_is_ours(gateway, project)
    except Failed as exc:
        if isinstance(exc.__cause__, Refused):
            return None
        raise
    wanted = set(stored)
    for output_id in ids:
        wanted |= set(gateway.tasks_of_output(project.id, output_id))
    return gateway.there(project.id, wanted)


def _clear_label_studio(gateway: Gateway, project: LoopProject, tasks: set[TaskId], shown: Collection[str]) -> int:
    """Delete the tasks with their annotations, and examples with these texts; return the number of tasks."""
    try:
        for task_id in sorted(tasks):
            gateway.delete_task(task_id)
        if left := gateway.there(project.id, tasks):
            raise Failed(f"Label Studio still has {len(left)} of the tasks")
        _clear_examples(gateway, project, shown)
    except LabelloopError as exc:
        raise Failed(
            f"{exc}. The removal has begun and is not finished, as `labelloop forget --list` shows: nothing is removed "
            "from Postgres yet. Run the same command again to finish it"
        ) from exc
    return len(tasks)


def _clear_examples(gateway: Gateway, project: LoopProject, shown: Collection[str]) -> None:
    instruction = gateway.project(project.id).instruction
    if (without := without_examples(instruction, shown)) != instruction:
        gateway.update_project(project.id, expert_instruction=without)


def _remove(
    conn: Conn,
    spec: LoopSpec,
    wish: Wish,
    found: Sequence[forgetting.Named],
    tasks: int,
    by: str,
    why: str | None,
) -> Forgotten:
    loop, ids = spec.name, [one.id for one in found]
    conn.execute("set local statement_timeout = 0")
    counts = forgetting.counts(conn, loop, ids)
    learned = [one.version for one in forgetting.learned_from(conn, ids)]
    said = list(_texts(found))
    own = {name for one in found for name in (one.key, one.group_key)} | set(wish.names)

    forgetting.clear(conn, loop, ids)
    for instance in forgetting.instances_of(conn, ids):
        annotation_store.write_tombstones_of_outputs(conn, instance, ids)
    task_store.forget(conn, ids)
    feedback_store.forget(conn, ids)
    project = projects.get(conn, loop)
    if project is not None:
        words = {name: without_examples(text, said) for name, text in project.words.items()}
        projects.set_words(conn, loop, words)
    resolve(conn, spec, given.instance_of(loop) if project is None else project.instance, ids, {})
    forgetting.clear_answers(conn, loop, ids)
    counts |= forgetting.clear_kept(conn, loop, *_names_of(found))
    counts |= {name: n for name, n in {
        "texts of runs and reasons": texts.remove(conn, loop, own, said, ids),
        "outbox": texts.remove_from_outbox(conn, loop, wish.keys, wish.group),
        "tasks in Label Studio": tasks,
    }.items() if n}  # fmt: skip
    rest = counts
    for name in wish.names:  # rows of other tables count with the first of several keys
        these = [one.id for one in found if wish.group is not None or one.key == name]
        rest = {**rest, "outputs": len(these)}
        forgetting.record(conn, these, proofs.write(conn, wish.kind, loop, name, by, why, rest, learned))
        rest = {}
    jobs.ask(conn, jobs.PUSH, loop)
    logger.info("forgotten", extra={"loop": loop, "outputs": len(ids), "tasks": tasks})
    return Forgotten(len(ids), tasks, counts, learned)


def _names_of(found: Sequence[forgetting.Named]) -> tuple[list[bytes], list[bytes]]:
    """Return the hashes by which sentence vectors and pictures of the outputs' data are kept."""
    vectors = {text_hash(text) for one in found for value in _values(one.data) if (text := text_of(value)) is not None}
    addresses = {text for one in found for text in texts.leaves(one.data) if "://" in text or text.startswith("/")}
    return sorted(vectors), [
        picture_name(text, colour=colour) for text in sorted(addresses) for colour in (True, False)
    ]


def _texts(found: Sequence[forgetting.Named]) -> Iterator[str]:
    return texts.leaves([[one.data, one.meta] for one in found])


def _values(value: Any) -> Iterator[Any]:
    """Yield every value inside a JSON value, and the value itself."""
    yield value
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, list):
        for one in value:
            yield from _values(one)

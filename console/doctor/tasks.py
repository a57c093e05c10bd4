"""Checks of the set of tasks: every task in Label Studio, compared with every task in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from uuid import UUID

from console.doctor.findings import Finding, fault, good
from labelloop.outputs.output import OutputState
from labelloop.queue.tasks import KnownTask
from sync.pull.sweep import Standing, by_output, gone_from, too_many

TASKS_SHOWN = 5
"""Tasks or outputs named in one finding."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Ids of outputs or of tasks in Label Studio; all empty if the two sets are the same."""

    missing: frozenset[str] = frozenset()
    """Outputs without an answer whose task is not in Label Studio."""
    answered: frozenset[str] = frozenset()
    """Answered outputs whose task is not in Label Studio."""
    doubled: frozenset[str] = frozenset()
    """Outputs with several tasks in Label Studio, fewer than two of which are annotated."""
    unknown: frozenset[str] = frozenset()
    """Outputs of this loop with a task that Postgres does not know: a late import, or a restored Label Studio."""
    foreign: frozenset[str] = frozenset()
    """Tasks without an output of this loop, or with data that somebody changed."""

    def __and__(self, other: Differences) -> Differences:
        """Return the differences that are in both."""
        return Differences(**{f.name: getattr(self, f.name) & getattr(other, f.name) for f in fields(self)})


def differences(rows: Sequence[KnownTask], standing: Sequence[Standing], states: Mapping[UUID, str]) -> Differences:
    """Compare Postgres with Label Studio.

    `rows` are those of store.tasks.ids; `states` those of this loop's outputs in `standing`. An output that is being
    pushed is no difference.
    """
    ours = by_output(standing)
    known = {row.output_id for row in rows}
    adopted = {row.label_studio_id for row in rows if row.adopted}
    gone = gone_from(rows, standing, ours)
    stray = {output_id: tasks for output_id, tasks in ours.items() if output_id not in known}
    return Differences(
        missing=_names(one.task.output_id for one in gone if one.task.state != OutputState.ANSWERED),
        answered=_names(one.task.output_id for one in gone if one.task.state == OutputState.ANSWERED),
        doubled=_names(
            output_id for output_id, tasks in ours.items() if len(tasks) > 1 and sum(t.annotated > 0 for t in tasks) < 2
        ),
        unknown=_names(output_id for output_id in stray if states.get(output_id) in ("waiting", "withdrawn")),
        foreign=_names(
            task.id for task in standing if task.output_id is None and task.id not in adopted and not task.is_faulty
        )
        | _names(task.id for output_id, tasks in stray.items() if output_id not in states for task in tasks),
    )


def tasks(loop: str, found: Differences, known: int) -> list[Finding]:
    """Report each kind of difference with the line that repairs it. `known`: number of tasks in Postgres."""
    pull = f"labelloop pull --full --loop {loop}"
    lost = len(found.missing) + len(found.answered)
    held = too_many(lost, known)
    again = f"labelloop project recreate --loop {loop}"
    findings = []
    if lost and held:
        findings.append(
            fault(
                "tasks",
                f"{lost} of {known} tasks are gone from Label Studio ({len(found.answered)} of them answered)",
                why="that is more than people delete, so they are not treated as deleted, and nobody is asked again",
                repair=f"{again}  # or, if they were deleted on purpose: {pull} --confirm-deletions",
                loop=loop,
            )
        )
    elif lost:
        words = (
            [f"{len(found.missing)} tasks are gone from Label Studio: {_few(found.missing)}"] if found.missing else []
        )
        if found.answered:
            words.append(f"{len(found.answered)} answered outputs have no task there any more: {_few(found.answered)}")
        why = "they cannot be answered, and answers of deleted tasks count until a full pull"
        findings.append(fault("tasks", "; ".join(words), why=why, repair=pull, loop=loop))
    if found.doubled:
        says = f"{len(found.doubled)} outputs have two tasks there: {_few(found.doubled)}"
        findings.append(fault("tasks twice", says, why="annotators answer the same item twice", repair=pull, loop=loop))
    if found.unknown:
        says = f"{len(found.unknown)} outputs have a task there that Postgres does not know: {_few(found.unknown)}"
        findings.append(fault("tasks unknown", says, why="their answers are not read", repair=pull, loop=loop))
    if found.foreign:
        findings.append(
            fault(
                "tasks of others",
                f"{len(found.foreign)} tasks have no output of this loop, or changed data: {_few(found.foreign)}",
                why="annotators answer them, but the answers do not count",
                repair="delete them in Label Studio, and submit their items as outputs",
                loop=loop,
            )
        )
    return findings or [good("tasks", f"{known}, each once", loop)]


def _names(values: Iterable[object]) -> frozenset[str]:
    return frozenset(map(str, values))


def _few(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)[:TASKS_SHOWN]) + (", ..." if len(values) > TASKS_SHOWN else "")

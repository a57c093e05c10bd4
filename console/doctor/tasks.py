"""The set of tasks: every task in Label Studio beside every task that Postgres knows of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from uuid import UUID

from console.doctor.findings import Finding, fault, good
from labelloop.outputs.output import OutputState
from labelloop.queue.tasks import KnownTask
from sync.pull.sweep import Standing, by_output, gone_from, too_many

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Differences:
    """Keys of outputs, or ids of tasks in Label Studio; empty where the two sets are the same."""

    missing: frozenset[str] = frozenset()
    """Outputs whose task is not in Label Studio, without those that are answered."""
    answered: frozenset[str] = frozenset()
    """Answered outputs whose task is not in Label Studio."""
    doubled: frozenset[str] = frozenset()
    """Outputs that stand there as several tasks, of which somebody has answered less than two."""
    unknown: frozenset[str] = frozenset()
    """Tasks of outputs of this loop that are in no task of ours: their import took effect late, or they came back."""
    foreign: frozenset[str] = frozenset()
    """Tasks that carry no output of this loop, or whose data somebody changed."""

    def __and__(self, other: Differences) -> Differences:
        """What is in both."""
        return Differences(**{f.name: getattr(self, f.name) & getattr(other, f.name) for f in fields(self)})


def differences(rows: Sequence[KnownTask], standing: Sequence[Standing], states: Mapping[UUID, str]) -> Differences:
    """`rows`: of store.tasks.ids. `states`: of the outputs in `standing` that are the loop's; what is on its way there
    is no difference.
    """
    ours = by_output(standing)
    known = {row.output_id for row in rows}
    gone = gone_from(rows, standing, ours)
    stray = {output_id: tasks for output_id, tasks in ours.items() if output_id not in known}
    return Differences(
        missing=_names(one.task.output_id for one in gone if one.task.state != OutputState.ANSWERED),
        answered=_names(one.task.output_id for one in gone if one.task.state == OutputState.ANSWERED),
        doubled=_names(
            output_id for output_id, tasks in ours.items() if len(tasks) > 1 and sum(t.annotated > 0 for t in tasks) < 2
        ),
        unknown=_names(output_id for output_id in stray if states.get(output_id) in ("waiting", "withdrawn")),
        foreign=_names(task.id for task in standing if task.output_id is None)
        | _names(task.id for output_id, tasks in stray.items() if output_id not in states for task in tasks),
    )


def tasks(loop: str, found: Differences, known: int) -> list[Finding]:
    """What is different, each kind with the line that repairs it; `known`: how many tasks Postgres knows of."""
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
                why="that is more than people delete: nothing is concluded from it, so nobody is asked for them again",
                repair=f"{again}  # or, if it was done on purpose: {pull} --confirm-deletions",
                loop=loop,
            )
        )
    elif lost:
        said = (
            [f"{len(found.missing)} tasks are gone from Label Studio: {_few(found.missing)}"] if found.missing else []
        )
        if found.answered:
            said.append(f"{len(found.answered)} answered outputs have no task there any more: {_few(found.answered)}")
        why = "nobody can answer them, and answers whose task was deleted go on counting until a full pull"
        findings.append(fault("tasks", "; ".join(said), why=why, repair=pull, loop=loop))
    if found.doubled:
        says = f"{len(found.doubled)} outputs stand there twice: {_few(found.doubled)}"
        findings.append(fault("tasks twice", says, why="people answer the same twice", repair=pull, loop=loop))
    if found.unknown:
        says = f"{len(found.unknown)} outputs stand there, and Postgres does not know it: {_few(found.unknown)}"
        findings.append(fault("tasks unknown", says, why="their answers are not read", repair=pull, loop=loop))
    if found.foreign:
        findings.append(
            fault(
                "tasks of others",
                f"{len(found.foreign)} tasks are not of this loop, or their data was changed: {_few(found.foreign)}",
                why="people answer them, and no answer of theirs counts",
                repair="delete them in Label Studio, and submit their items as outputs",
                loop=loop,
            )
        )
    return findings or [good("tasks", f"{known}, each once", loop)]


def _names(values: Iterable[object]) -> frozenset[str]:
    return frozenset(map(str, values))


def _few(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)[:SHOWN]) + (", ..." if len(values) > SHOWN else "")

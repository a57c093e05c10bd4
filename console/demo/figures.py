"""The demo's figures: each is read from Postgres and Label Studio when it is needed, never counted along the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.gate.loss import HARM
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import BEFORE_ALL
from labelloop.queue.tasks import KEY, OUTPUT, Task
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import figures as figure_store
from labelloop.store.tables import projects


def report(database: Database, gateway: Gateway, spec: LoopSpec, accepted: Sequence[str], given: int) -> dict[str, Any]:
    """Return the counts of Postgres and Label Studio, and the differences between them.

    lost is the sum of `losses`:

    - outputs: accepted, but missing in Postgres
    - tasks: of outputs in review or answered, but missing in Label Studio
    - annotations: missing in Postgres
    - answers: confirmed by Label Studio (`given`), but missing there
    - unheeded: annotations without feedback, and agreed outputs without a label

    duplicated counts second tasks of one output, second annotations of one annotator on one task, and annotations
    that only Postgres has.
    """
    with database.transaction() as conn:
        counts = figure_store.counts(conn, spec.name)
        states = figure_store.states_by_key(conn, spec.name)
        stored = figure_store.annotation_ids(conn, spec.name)
        unheeded = figure_store.lost_between_hops(conn, spec.name, spec.overlap)
        project = projects.get(conn, spec.name)
    assert project is not None
    tasks = list(_tasks(gateway, project.id))
    annotations = [a for task in tasks for a in task.annotations]
    tasks_per_output = Counter(str(task.data.get(OUTPUT)) for task in tasks)
    shown = {str(task.data.get(KEY)) for task in tasks}
    by_person = Counter((a.task_id, a.completed_by) for a in annotations)
    losses = {
        "outputs": sum(key not in states for key in accepted),
        "tasks": sum(state in ("in_review", "answered") and key not in shown for key, state in states.items()),
        "annotations": sum(a.id not in stored for a in annotations),
        "answers": max(0, given - len(annotations)),
        "unheeded": unheeded,
    }
    duplicated = sum(n - 1 for n in tasks_per_output.values()) + sum(n - 1 for n in by_person.values())
    duplicated += len(stored - {a.id for a in annotations})
    return {
        "submitted": counts.outputs,
        "passed": counts.passed,
        "waiting": counts.waiting,
        "in_review": counts.in_review,
        "answered": counts.answered,
        "set_aside": counts.set_aside,
        "label_studio": {"tasks": len(tasks), "annotations": len(annotations)},
        "postgres": {
            "outputs": counts.outputs,
            "annotations": counts.annotations,
            "feedback": counts.feedback,
        },
        "lost": sum(losses.values()),
        "losses": losses,
        "duplicated": duplicated,
    }


def _tasks(gateway: Gateway, project_id: ProjectId) -> Iterator[Task]:
    """Yield every task of the project, with its annotations."""
    after = BEFORE_ALL
    while page := gateway.changed_tasks(project_id, None, after):
        yield from page
        after = page[-1].id


def of_gate(rounds: Sequence[Mapping[str, Any]], start: float) -> dict[str, int]:
    """Return what the gate withheld and let pass, by accuracy on the test set; `start` is the pipeline's, 0 to 1.

    near_best counts the rounds after which what serves is at most HARM below the best challenger so far.
    Promotions are harmful if the version is more than HARM below what served before.
    """
    best, served, near_best, harmful = 0.0, start, 0, 0
    for row in rounds:
        before, served = served, row["test_accuracy"]
        best = max(best, row["challenger_test_accuracy"] or 0.0)
        near_best += served >= best - HARM
        harmful += row["promoted"] and served < before - HARM
    return {"rounds": len(rounds), "near_best": near_best, "harmful": harmful}


def verdict(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence that says whether active learning paid, judged by the last round."""
    last = rounds[-1]
    ours, mean, low, high = (
        last[name] for name in ("challenger_test_accuracy", "random_test_accuracy", "random_low", "random_high")
    )
    if ours is None or mean is None:
        return "No model was trained in the last round, so the effect of active learning is unknown."
    random_order = f"{mean:.3f} ({low:.3f} to {high:.3f})"
    figures = f"test accuracy of the last challenger {ours:.3f}, of a random order {random_order}"
    if ours > high:
        return f"Active learning paid: {figures}."
    if ours < low:
        return f"Active learning did not pay in this run: {figures}."
    return f"This run does not show whether active learning paid: {figures}."

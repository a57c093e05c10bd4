"""The sweep holds every task of a project side by side, but not their data."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

from labelloop.queue.tasks import Task, sign, task_data
from labelloop.reading.ids import TaskId
from sync.pull.sweep import reduce

KEY = b"k"
SIZE = 1_000_000


def test_the_sweep_keeps_a_tasks_output_key_and_not_its_data() -> None:
    outputs = [uuid4() for _ in range(40)]

    def tasks() -> Iterator[Task]:
        for id_, output in enumerate(outputs):
            data = task_data({"image": "x" * SIZE + str(id_)}, output, uuid4(), "key", None, sign(KEY, output))
            yield Task(TaskId(id_), data, datetime.now(UTC), [], annotated=id_)
        yield Task(
            TaskId(40), {"labelloop_output": str(outputs[0]), "labelloop_sig": "forged"}, datetime.now(UTC), [], 0
        )

    tracemalloc.start()
    try:
        kept = reduce(tasks(), KEY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(task.id, task.annotated, task.output_id) for task in kept] == [
        *((id_, id_, output) for id_, output in enumerate(outputs)),
        (40, 0, None),
    ]
    assert peak < 5 * SIZE

"""Adopted: tasks that people made in Label Studio before the loop, and the outputs that they become. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_xml import OURS
from labelloop.outputs import fitting, reading
from labelloop.outputs.output import Output, OutputState
from labelloop.queue.tasks import Task
from labelloop.reading import strict_json
from labelloop.reading.ids import ProjectId

SOURCE = "label-studio"
"""Source of the outputs of adopted tasks, so that reports and rules can tell them from those that a pipeline sent."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A prediction that the project has on a task."""

    id: int
    version: str
    """Its `model_version`; "" if it names none."""
    score: float | None
    result: list[Any]
    """Label Studio's regions; empty if it predicts nothing, or if it has another form."""


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task of a project as a whole."""

    task: Task
    guesses: Sequence[Guess]
    is_begun: bool
    """Whether somebody has begun an answer and not submitted it (a draft)."""


class Adopted(NamedTuple):
    """A row of adopted_tasks, with the state of its output."""

    output_id: UUID
    data_sha256: bytes
    state: OutputState


def key_of(project_id: ProjectId, found: FoundTask) -> str:
    """Return the key of the output of a task: it names the project and the task."""
    return f"project-{project_id}/task-{found.task.id}"


def data_sha256(data: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of a task's data; the order of the fields makes no difference."""
    return hashlib.sha256(strict_json.dumps(data).encode()).digest()


def output_of(
    project_id: ProjectId, found: FoundTask, shown_version: str, config: LabelingConfig, labels: Collection[str]
) -> tuple[Output, str | None]:
    """Return the output of a task, and the reason why its prediction cannot be used; None if it can, or has none.

    One of several predictions is used: the newest of `shown_version` (the project's `model_version`), which annotators
    see. If there is none of that version, it is the newest of all. Raises InvalidOutput if the form cannot show the
    task.
    """
    data = {name: value for name, value in found.task.data.items() if not name.startswith(OURS)}
    fitting.check_data(data, config)
    plain = Output(key=key_of(project_id, found), data=data, source=SOURCE)
    guess = newest(found.guesses, shown_version)
    if guess is None or not guess.result:
        return plain, None
    sent: dict[str, Any] = {"key": plain.key, "data": data, "source": SOURCE, "result": guess.result}
    if guess.version:
        sent["model_version"] = guess.version
    if guess.score is not None and 0.0 <= guess.score <= 1.0:
        sent["score"] = float(guess.score)
    try:
        return fitting.check(reading.from_json(sent), config, labels), None
    except InvalidOutput as exc:
        return plain, str(exc)


def newest(guesses: Sequence[Guess], shown_version: str) -> Guess | None:
    """Return the prediction that annotators see, as `output_of` says; None without predictions."""
    shown = [guess for guess in guesses if guess.version == shown_version]
    return max(shown or guesses, key=lambda guess: guess.id, default=None)

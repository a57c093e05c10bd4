"""Survey: what a project has, task by task, and what a loop could read of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labelloop.answers.feedback import one_a_reviewer
from labelloop.answers.unreadable import NAMELESS, why_unreadable
from labelloop.errors import InvalidOutput
from labelloop.labeling import results
from labelloop.outputs.output import Output
from labelloop.queue.adopted import FoundTask, newest, output_of
from labelloop.queue.lanes import Lane, draw, headline
from labelloop.reading.ids import ProjectId, UserId
from labelloop.spec.loop import LoopSpec

EXAMPLES = 3
"""Tasks that are named for each reason."""


@dataclass
class Reasons:
    """Reasons why something cannot be read: the number of cases and the first tasks of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, task: int) -> None:
        self.counts[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < EXAMPLES:
            named.append(task)

    @property
    def total(self) -> int:
        return self.counts.total()

    def to_json(self) -> list[dict[str, Any]]:
        return [{"reason": why, "n": n, "tasks": self.examples[why]} for why, n in self.counts.most_common()]


@dataclass
class Survey:
    """Counts of a project, as an adoption finds it."""

    spec: LoopSpec
    project_id: ProjectId
    shown_version: str
    """The project's `model_version`."""
    tasks: int = 0
    unanswered: int = 0
    """Tasks that can be read and have no annotation: they wait for people."""
    answered: int = 0
    """Tasks with an answer that can be read."""
    incomplete: int = 0
    """Those of them that more people are asked about."""
    held_out: int = 0
    """Those with an answer whose answers evaluate models, by the hash of the key."""
    skipped_only: int = 0
    """Tasks whose annotations are all skipped."""
    several: int = 0
    """Tasks with more than one annotation."""
    drafts: int = 0
    """Tasks with an answer that somebody has begun and not submitted."""
    annotations: int = 0
    skipped: int = 0
    repeated: int = 0
    """Annotations of a person who answered the task again later: the newest counts."""
    predictions: int = 0
    used: int = 0
    """Predictions that become outputs, at most one a task."""
    not_shown: int = 0
    """Predictions beside the one that annotators see: they stay in the project and become no output."""
    without_score: int = 0
    """Used predictions without a score from 0 to 1, which is taken as their confidence."""
    versions: Counter[str] = field(default_factory=Counter)
    """Number of predictions by model version."""
    people: Counter[UserId] = field(default_factory=Counter)
    """Number of annotations by person."""
    bad_tasks: Reasons = field(default_factory=Reasons)
    bad_annotations: Reasons = field(default_factory=Reasons)
    bad_predictions: Reasons = field(default_factory=Reasons)

    def add(self, found: FoundTask) -> Output | None:
        """Count the task with all that is on it. Returns its output; None if the form cannot show the task."""
        self.tasks += 1
        self._count(found)
        try:
            output, fault = output_of(
                self.project_id, found, self.shown_version, self.spec.config, dict.fromkeys(self.spec.labels)
            )
        except InvalidOutput as exc:
            self.bad_tasks.add(str(exc), found.task.id)
            return None
        self._count_prediction(found, output, fault)
        self._count_answers(found, output)
        return output

    def _count(self, found: FoundTask) -> None:
        annotations = found.task.annotations
        self.annotations += len(annotations)
        self.several += len(annotations) > 1
        self.skipped += sum(one.was_cancelled for one in annotations)
        self.drafts += found.is_begun
        self.predictions += len(found.guesses)
        self.versions.update(guess.version for guess in found.guesses)
        self.people.update(one.reviewer for one in annotations if one.reviewer is not None)

    def _count_prediction(self, found: FoundTask, output: Output, fault: str | None) -> None:
        self.not_shown += max(0, len(found.guesses) - 1)
        if fault is not None:
            self.bad_predictions.add(fault, found.task.id)
        elif output.result is not None:
            self.used += 1
            self.without_score += output.score is None
        elif newest(found.guesses, self.shown_version) is not None:
            self.bad_predictions.add("it predicts nothing: its result is empty", found.task.id)

    def _count_answers(self, found: FoundTask, output: Output) -> None:
        config, task = self.spec.config, found.task
        given = [one for one in task.annotations if not one.was_cancelled]
        for one in given:
            if one.reviewer is None:
                self.bad_annotations.add(NAMELESS, task.id)
        latest = one_a_reviewer(given)
        self.repeated += sum(one.reviewer is not None for one in given) - len(latest)
        label = headline(output, self.spec)[0]
        readable = 0
        for one in latest:
            reading = results.read(config, one.result, label, output.data)
            why = why_unreadable(config, one.result, reading, output.data)
            if why is None:
                readable += 1
            else:
                self.bad_annotations.add(why.reason, task.id)
        self.unanswered += not task.annotations
        self.skipped_only += bool(task.annotations) and not given
        self.answered += readable > 0
        self.incomplete += 0 < readable < self.spec.overlap
        self.held_out += readable > 0 and draw(Lane.HOLDOUT, output, self.spec) < self.spec.holdout

    def to_json(self, names: Mapping[UserId, str]) -> dict[str, Any]:
        """Return the counts as plain JSON. `names`: what to call people."""
        return {
            "tasks": {
                "all": self.tasks,
                "unanswered": self.unanswered,
                "answered": self.answered,
                "incomplete": self.incomplete,
                "held_out": self.held_out,
                "skipped_only": self.skipped_only,
                "several_annotations": self.several,
                "drafts": self.drafts,
                "unreadable": self.bad_tasks.to_json(),
            },
            "annotations": {
                "all": self.annotations,
                "skipped": self.skipped,
                "replaced_by_a_newer_one": self.repeated,
                "unreadable": self.bad_annotations.to_json(),
            },
            "predictions": {
                "all": self.predictions,
                "versions": dict(self.versions.most_common()),
                "used": self.used,
                "without_score": self.without_score,
                "not_shown": self.not_shown,
                "unreadable": self.bad_predictions.to_json(),
            },
            "people": {names.get(person, f"user {person}"): n for person, n in self.people.most_common()},
        }

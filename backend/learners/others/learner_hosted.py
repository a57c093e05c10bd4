"""Hosted: your own LabelStudioMLBase, of label-studio-ml 1.x or the 2.x interface, in a process of its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from backend.learners.others import deadline
from backend.learners.others import folder as folders
from backend.learners.others.form import answer_only
from backend.learners.others.others import classes_of, predictions_of
from backend.learners.others.process import Ended, ModelError, Process
from backend.learners.predictions import Predictions
from backend.learners.reading import one_each
from labelloop.errors import Failed, SpecError, Unreachable, Unreadable
from labelloop.labeling import results
from labelloop.reading.paths import value_at

FIT_S = 3600.0
"""Seconds for training, more than any run may take: the run's own time limit ends it."""
EVENTS = ("START_TRAINING", "ANNOTATION_CREATED", "ANNOTATION_UPDATED")
MOST_ENDS = 3
"""After this many items in a row end the process, assume that the model itself is faulty."""
logger = logging.getLogger(__name__)


class Hosted:
    """`model` is "module:Class" in `folder`; `python` is the interpreter of an environment with its packages.

    A version holds the files that the model leaves in its folder, which is MODEL_DIR, `workdir` and the working
    directory. It also holds the result of a 1.x `fit`. It can be loaded only with the code that it was made by. With
    `event` ANNOTATION_CREATED a 2.x model gets one answer at a time, else all at once. `timeout_s` limits a batch of
    `batch` predictions. Weights are not passed on, since the interface has no place for them.
    """

    name: ClassVar[str] = "label-studio-ml"

    def __init__(
        self,
        field: str,
        label_config: str,
        model: str,
        folder: str,
        python: str = sys.executable,
        event: str = EVENTS[0],
        batch: int = 64,
        timeout_s: float = 60.0,
        memory_gib: float = 4.0,
        answer: str = "",
    ) -> None:
        if model.count(":") != 1 or not all(model.split(":")):
            raise SpecError(f"learner.params.model must be 'module:Class'; it is {model!r}")
        if not Path(folder).is_absolute():
            raise SpecError(
                "learner.params.folder must be a whole path: it begins with / , or with ./ for the folder of the loop; "
                f"it is {folder!r}"
            )
        if event not in EVENTS:
            raise SpecError(f"learner.params.event must be one of {', '.join(EVENTS)}; it is {event!r}")
        for name, value in (("batch", batch), ("timeout_s", timeout_s), ("memory_gib", memory_gib)):
            if value <= 0:
                raise SpecError(f"learner.params.{name} must be above 0; it is {value}")
        self.params: Mapping[str, str | int | float | bool] = {
            "field": field,
            "label_config": label_config,
            "model": model,
            "folder": folder,
            "python": python,
            "event": event,
            "batch": batch,
            "timeout_s": timeout_s,
            "memory_gib": memory_gib,
            **({"answer": answer} if answer else {}),
        }
        self.field, self.folder, self.python, self.event = field, Path(folder), python, event
        self.batch, self.timeout_s, self.memory = batch, timeout_s, int(memory_gib * (1 << 30))
        self.config = answer_only(label_config, answer)
        self.classes: tuple[str, ...] = ()
        self._estimator: dict[str, Any] | None = None
        self._process: Process | None = None

    @property
    def estimator(self) -> Any:
        """{"files": path to bytes, "train_output": JSON, "version": the model's own name for it, "code": SHA-256}."""
        return self._estimator

    @estimator.setter
    def estimator(self, learned: dict[str, Any]) -> None:
        if (code := folders.code_sha256(self.folder)) != learned["code"]:
            raise Failed(
                f"the code in {self.folder} is not the code that this version was made by (SHA-256 {code[:12]}, it was "
                f"{str(learned['code'])[:12]}): restore it, or retrain"
            )
        self._estimator = learned
        if self._process is not None:
            self._process.close()
        # The partial has no reference to self, so an unused learner is freed at once, and its process with it.
        self._process = Process(self.python, self.memory, partial(_unpack, self._opening(), learned))

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        faults = {
            i: f"its field {self.field!r} is missing"
            for i, item in enumerate(data)
            if value_at(item, self.field) is None
        }
        if faults:
            raise Unreadable(faults)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        one_each(data, labels)
        if not data:
            raise Failed("training needs answers; there are none")
        self.check(data)
        code = folders.code_sha256(self.folder)
        opening = self._opening()
        process = Process(self.python, self.memory, lambda _: opening)
        try:
            learned = process.ask("fit", FIT_S, event=self.event, tasks=self._answered(data, labels))
            self.classes = classes_of(self.config, labels)
            self.estimator = {
                "files": dict(folders.pack(process.folder)),
                "train_output": json.dumps(folders.without_place(learned["train_output"], process.folder)),
                "version": learned["version"] or "",
                "code": code,
            }
        finally:
            process.close()
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        """Return the predictions; none for an item on which the model fails.

        Raises Failed if it fails on all of several items, or cannot be made. With a deadline no error is raised.
        """
        self.check(data)
        predictions: list[Any] = []
        try:
            for start in range(0, len(data), self.batch):
                predictions += self._predict(data[start : start + self.batch])
        except (Unreachable, Failed) as exc:
            if not deadline.is_set():
                raise
            logger.warning("%s: %s", self.params["model"], exc)
        predictions += [None] * (len(data) - len(predictions))
        errors = [one for one in predictions if isinstance(one, Failed)]
        if len(errors) == len(data) > 1 and not deadline.is_set():
            raise errors[0]
        return predictions_of(self.config, self.classes, predictions)

    def close(self) -> None:
        """End its process. The next request starts it again."""
        if self._process is not None:
            self._process.close()

    def _predict(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        """Return a prediction an item. If a batch fails, predict item by item, with an error in place of a prediction.

        Raises Ended if MOST_ENDS items in a row end the process.
        """
        assert self._process is not None
        tasks = [_task(i, item) for i, item in enumerate(data, 1)]
        try:
            found: list[Any] = self._process.ask("predict", self.timeout_s, tasks=tasks)
            return found
        except (ModelError, Ended) as exc:
            logger.warning("%s: %s", self.params["model"], exc)
            if len(data) == 1 or (isinstance(exc, Ended) and deadline.is_set()):
                return [exc] * len(data)
        alone: list[Any] = []
        for item in data:
            alone += self._predict([item])
            if len(alone) >= MOST_ENDS and all(isinstance(one, Ended) for one in alone[-MOST_ENDS:]):
                raise alone[-1]
        return alone

    def _answered(self, data: Sequence[Mapping[str, object]], labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return the answers as Label Studio's tasks, each with one annotation."""
        tasks = []
        for number, (item, label) in enumerate(zip(data, labels, strict=True), 1):
            result = results.encode(self.config, label, None)
            if results.read(self.config, result, None).label != label:
                raise Failed(f"the answer {label[:100]!r} is no longer possible in the labeling config")
            annotation = {"id": number, "task": number, "project": 1, "completed_by": 1, "was_cancelled": False}
            tasks.append(
                {
                    **_task(number, item),
                    "is_labeled": True,
                    "total_annotations": 1,
                    "annotations": [{**annotation, "ground_truth": False, "result": result}],
                }
            )
        return tasks

    def _opening(self) -> dict[str, Any]:
        what = {"folder": str(self.folder), "model": self.params["model"], "label_config": self.config.xml}
        return {**what, "train_output": None}


def _unpack(opening: Mapping[str, Any], learned: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    folders.unpack(learned["files"], folder)
    output = json.loads(learned["train_output"])
    return {**opening, "train_output": folders.with_place(output, folder)}


def _task(number: int, item: Mapping[str, object]) -> dict[str, Any]:
    return {"id": number, "project": 1, "data": dict(item), "meta": {}, "annotations": [], "predictions": []}

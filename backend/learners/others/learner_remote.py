"""Remote: a model that answers over HTTP and learns nothing: a chat endpoint, or another ML backend of Label Studio."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from backend.learners.others import chat
from backend.learners.others.form import answer_only
from backend.learners.others.others import classes_of, predictions_of, with_confidences
from backend.learners.others.wire import Wire
from backend.learners.predictions import Predictions
from backend.learners.reading import one_each
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.labeling.controls import Kind
from labelloop.reading.paths import value_at

PROTOCOLS = ("chat", "ml-backend")
BATCH = 32
"""Tasks of a request to an ML backend."""
logger = logging.getLogger(__name__)


class Remote:
    """Frozen: a version is what is asked and how: the form, the labels, the parameters, the examples. Needs no answer.

    chat: POST {url}/chat/completions. `prompt` says what to do, {labels} in it stands for the labels; `shots` examples
    are drawn from the answers and shown before each item. An answer that is not exactly one of the labels is none. How
    sure it is: the probability of its answer where `logprobs` come, the share of `samples` where more than 1 is asked
    for, else nothing is known. `key_env` names the environment variable that holds the key.

    ml-backend: POST {url}/setup once and {url}/predict, as Label Studio does, for its `project`; `user_env` and
    `password_env` name environment variables for basic auth.
    """

    name: ClassVar[str] = "remote"

    def __init__(
        self,
        field: str,
        label_config: str,
        url: str,
        protocol: str = PROTOCOLS[0],
        model: str = "",
        prompt: str = chat.PROMPT,
        shots: int = 0,
        samples: int = 1,
        logprobs: bool = True,
        key_env: str = "",
        user_env: str = "",
        password_env: str = "",
        project: str = "1",
        timeout_s: float = 30.0,
        at_once: int = 4,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise SpecError(f"learner.params.protocol must be {' or '.join(PROTOCOLS)}; it is {protocol!r}")
        if protocol == "chat" and not model:
            raise SpecError("learner.params.model must name the model that the chat endpoint is to use")
        if not 0 <= shots <= 100 or not 1 <= samples <= 20:
            raise SpecError("learner.params: shots must be 0 to 100 and samples 1 to 20")
        if bool(user_env) != bool(password_env):
            raise SpecError("learner.params: user_env and password_env are named together or not at all")
        self.params: Mapping[str, str | int | float | bool] = {
            "field": field,
            "label_config": label_config,
            "url": url,
            "protocol": protocol,
            "model": model,
            "prompt": prompt,
            "shots": shots,
            "samples": samples,
            "logprobs": logprobs,
            "key_env": key_env,
            "user_env": user_env,
            "password_env": password_env,
            "project": project,
            "timeout_s": timeout_s,
            "at_once": at_once,
        }
        self.field, self.config = field, answer_only(label_config)
        if protocol == "chat" and self.config.kind is not Kind.LABEL:
            raise SpecError(f"a chat endpoint is asked for one label; here people answer with {self.config.kind.words}")
        self.protocol, self.model, self.prompt, self.project = protocol, model, prompt, project
        self.shots, self.samples, self.logprobs = shots, samples, logprobs
        key = {"key": key_env} if protocol == "chat" and key_env else {}
        basic = {"user": user_env, "password": password_env} if protocol == "ml-backend" and user_env else {}
        self._wire = Wire(url, at_once, timeout_s, key or basic)
        self._set_up = False
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None
        """{"shots": JSON, a list of [item, label]}."""

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        faults = {}
        for position, item in enumerate(data):
            if (value := value_at(item, self.field)) is None:
                faults[position] = f"its field {self.field!r} is missing"
            elif self.protocol == "chat" and not isinstance(value, str):
                faults[position] = f"its field {self.field!r} is not a text"
        if faults:
            raise Unreadable(faults)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """Keeps the labels and draws the examples; asks nobody anything."""
        one_each(data, labels)
        self.check(data)
        classes = classes_of(self.config, labels)
        if len(classes) < 2 and self.protocol == "chat":
            raise Failed("a remote model is asked for one of the labels: the form names none, and answers fewer than 2")
        drawn = [position for position in _one_of_each(labels, rng) if labels[position] in classes][: self.shots]
        self.classes = classes
        self.estimator = {"shots": json.dumps([[value_at(data[i], self.field), labels[i]] for i in drawn])}
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        """Of an item with an answer that is no label it says nothing.

        Raises Unreachable where the server does not answer, Failed where it refuses. In a hurry raises neither: it says
        nothing of what has not come in time.
        """
        self.check(data)
        if self.protocol == "ml-backend":
            batches = [data[start : start + BATCH] for start in range(0, len(data), BATCH)]
            found = self._wire.each(self._predict, batches)
            predictions = [one for n, batch in enumerate(found) for one in batch or [None] * len(batches[n])]
            return predictions_of(self.config, self.classes, predictions)
        asked = [str(value_at(item, self.field)) for item in data for _ in range(self.samples)]
        answers = [one or (None, None) for one in self._wire.each(self._chat, asked)]
        if self.samples > 1:
            runs = range(0, len(answers), self.samples)
            answers = [chat.of_samples([label for label, _ in answers[at : at + self.samples]]) for at in runs]
        if unusable := sum(label is None for label, _ in answers):
            logger.warning("%s: of %d items %d have no answer that is a label", self._wire.url, len(data), unusable)
        return with_confidences(self.classes, [label for label, _ in answers], [sure for _, sure in answers])

    def _chat(self, item: str, until: float) -> tuple[str | None, float | None]:
        body = chat.request(
            self.model,
            self.prompt,
            self.classes,
            [(shown, label) for shown, label in json.loads(self.estimator["shots"])],
            item,
            sampled=self.samples > 1,
            logprobs=self.logprobs and self.samples == 1,
        )
        return chat.read(self.classes, self._wire.post("/chat/completions", body, until))

    def _predict(self, data: Sequence[Mapping[str, object]], until: float) -> list[Any]:
        if not self._set_up:
            about = {"project": self.project, "schema": self.config.xml, "hostname": "", "access_token": ""}
            self._wire.post("/setup", {**about, "extra_params": {}}, until)
            self._set_up = True
        tasks = [
            {"id": number, "data": dict(item), "meta": {}, "annotations": [], "predictions": []}
            for number, item in enumerate(data, 1)
        ]
        body = {
            "tasks": tasks,
            "project": self.project,
            "label_config": self.config.xml,
            "params": {"login": None, "password": None, "context": None},
        }
        answer = self._wire.post("/predict", body, until)
        found = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(found, list) or len(found) != len(tasks):
            raise Failed(f"{self._wire.url} must answer with a list of {len(tasks)} results; it does not")
        return [(one[0] if one else None) if isinstance(one, list) else one for one in found]


def _one_of_each(labels: Sequence[str], rng: np.random.Generator) -> list[int]:
    """Positions by chance: one of each label in turn, so that the first few show as many labels as there are."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, int]] = []
    for position in rng.permutation(len(labels)).tolist():
        turn[labels[position]] = turn.get(labels[position], -1) + 1
        order.append((turn[labels[position]], len(order), position))
    return [position for _, _, position in sorted(order)]

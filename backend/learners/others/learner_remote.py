"""Remote: a frozen model that predicts over HTTP: a chat endpoint, or another ML backend of Label Studio."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from backend.learners.others import asked, chat
from backend.learners.others.form import answer_only
from backend.learners.others.others import classes_of, predictions_of, with_confidences
from backend.learners.others.wire import Wire
from backend.learners.predictions import Predictions
from backend.learners.reading import one_each
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.labeling.controls import Kind
from labelloop.reading import strict_json
from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of

PROTOCOLS = ("chat", "ml-backend")
BATCH = 32
"""Tasks in one request to an ML backend."""
logger = logging.getLogger(__name__)


class Remote:
    """A frozen model: a version holds its form, labels, parameters and examples. It needs no answers.

    chat: POST {url}/chat/completions. `prompt` holds the instructions; {labels} in it is replaced by the labels, {form}
    by a description of the answer. `shots` examples are drawn from the answers and sent before each item. An answer
    that is not exactly one of the labels, or of the kind of the form, counts as no prediction. The confidence is the
    probability of the answer if `logprobs` come, the share of `samples` if there are several, and otherwise unknown.
    `key_env` names the environment variable with the key.

    ml-backend: POST {url}/setup once and {url}/predict, as Label Studio does, for its `project`. `user_env` and
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
        answer: str = "",
    ) -> None:
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
            **({"answer": answer} if answer else {}),
        }
        _check_params(self.params)
        self.field, self.config = field, answer_only(label_config, answer)
        self._one_label = self.config.kind is Kind.LABEL
        if protocol == "chat" and self.config.kind is Kind.OTHER:
            raise SpecError(f"labelloop does not read {self.config.answer.words}, so no chat endpoint can predict it")
        prompt = asked.PROMPT if prompt == chat.PROMPT and not self._one_label else prompt
        self.protocol, self.model, self.prompt, self.project = protocol, model, prompt, project
        self.shots, self.samples, self.logprobs = shots, samples, logprobs
        self._wire = Wire(url, at_once, timeout_s, _secrets(protocol, key_env, user_env, password_env))
        self._set_up = False
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None
        """{"shots": JSON, a list of [item, label]}."""

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        faults = {}
        for position, item in enumerate(data):
            if (value := value_at(item, self.field)) is None:
                faults[position] = f"its field {self.field!r} is missing"
            elif self.protocol == "chat" and self._one_label and text_of(value) is None:
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
        """Store the labels and draw the examples; no request is sent."""
        one_each(data, labels)
        self.check(data)
        classes = classes_of(self.config, labels)
        if len(classes) < 2 and self.protocol == "chat" and self._one_label:
            raise Failed("a remote model needs labels to choose from: the form has none, and the answers fewer than 2")
        drawn = [i for i in _one_of_each(labels, rng) if not self._one_label or labels[i] in classes][: self.shots]
        self.classes = classes
        self.estimator = {"shots": json.dumps([[self._item(data[i]), labels[i]] for i in drawn])}
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        """Return the predictions; none for an item whose answer is not a label.

        Raises Unreachable if the server does not answer, Failed if it refuses. With a deadline it raises neither, and
        predicts nothing for items whose answers are late.
        """
        self.check(data)
        if self.protocol == "ml-backend":
            batches = [data[start : start + BATCH] for start in range(0, len(data), BATCH)]
            found = self._wire.each(self._predict, batches)
            predictions = [one for n, batch in enumerate(found) for one in batch or [None] * len(batches[n])]
            return predictions_of(self.config, self.classes, predictions)
        return self._predictions_by_chat(data)

    def _predictions_by_chat(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        items = [item for item in data for _ in range(self.samples)]
        answers = [one or (None, None) for one in self._wire.each(self._chat, items)]
        if self.samples > 1:
            runs = range(0, len(answers), self.samples)
            answers = [self._of_samples([label for label, _ in answers[at : at + self.samples]]) for at in runs]
        if unusable := sum(label is None for label, _ in answers):
            logger.warning("%s: %d of %d items got an answer that is not a label", self._wire.url, unusable, len(data))
        labels, confidences = [label for label, _ in answers], [confidence for _, confidence in answers]
        return with_confidences(self.classes if self._one_label else (), labels, confidences)

    def _of_samples(self, sampled: Sequence[str | None]) -> tuple[str | None, float | None]:
        return chat.of_samples(sampled) if self._one_label else asked.agreed(self.config.answer, sampled)

    def _item(self, item: Mapping[str, object]) -> str:
        """Return the part of an item that is sent: a text as it is, any other value as JSON."""
        value = value_at(item, self.field)
        text = text_of(value)
        return strict_json.dumps(value) if text is None else text

    def _chat(self, item: Mapping[str, object], until: float) -> tuple[str | None, float | None]:
        control = self.config.answer
        body = chat.request(
            self.model,
            self.prompt,
            self.classes,
            [(shown, label) for shown, label in json.loads(self.estimator["shots"])],
            self._item(item),
            sampled=self.samples > 1,
            logprobs=self.logprobs and self.samples == 1,
            form="" if self._one_label else asked.described(control),
            max_tokens=chat.MAX_TOKENS if self._one_label else asked.LONGEST_REPLY,
        )
        said = self._wire.post("/chat/completions", body, until)
        if self._one_label:
            return chat.read(self.classes, said)
        return chat.read_with(lambda content: asked.read(control, content, item), said)

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


def _check_params(params: Mapping[str, Any]) -> None:
    """Raise SpecError for a parameter with an invalid value."""
    protocol = params["protocol"]
    if protocol not in PROTOCOLS:
        raise SpecError(f"learner.params.protocol must be {' or '.join(PROTOCOLS)}; it is {protocol!r}")
    if protocol == "chat" and not params["model"]:
        raise SpecError("learner.params.model must name the model that the chat endpoint is to use")
    for name, least, most in (("shots", 0, 100), ("samples", 1, 20)):
        if not least <= params[name] <= most:
            raise SpecError(f"learner.params.{name} must be {least} to {most}; it is {params[name]}")
    for name, other in (("user_env", "password_env"), ("password_env", "user_env")):
        if params[name] and not params[other]:
            raise SpecError(f"learner.params.{name} and {other} are named together or not at all")


def _secrets(protocol: str, key_env: str, user_env: str, password_env: str) -> dict[str, str]:
    """Return the part of the authorization by its environment variable, as Wire takes it; {} without authorization."""
    if protocol == "chat":
        return {"key": key_env} if key_env else {}
    return {"user": user_env, "password": password_env} if user_env else {}


def _one_of_each(labels: Sequence[str], rng: np.random.Generator) -> list[int]:
    """Return positions in random order, one of each label in turn, so that the first ones cover most labels."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, int]] = []
    for position in rng.permutation(len(labels)).tolist():
        turn[labels[position]] = turn.get(labels[position], -1) + 1
        order.append((turn[labels[position]], len(order), position))
    return [position for _, _, position in sorted(order)]

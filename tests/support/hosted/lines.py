"""The two lines of label-studio-ml, each with a model that learns from words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from backend.learners import make
from backend.learners.others.learner_hosted import Hosted
from labelloop.labeling.form import generate_form
from tests.support.hosted.environments import HOSTED

TOPICS = {
    "billing": ["invoice", "refund", "charged", "card"],
    "login": ["password", "signin", "locked", "reset"],
    "shipping": ["parcel", "delivery", "tracking", "courier"],
}


NAMES = sorted(TOPICS)


FORM = generate_form(NAMES, ("approval", "correction", "comment"), {"text": "$text"})


Data = list[dict[str, object]]


def tickets(n: int = 60) -> tuple[Data, list[str]]:
    labels = [NAMES[i % 3] for i in range(n)]
    return [{"text": f"Hello, about my {TOPICS[label][i % 4]}"} for i, label in enumerate(labels)], labels


@dataclass
class Line:
    name: str
    python: Path

    @cached_property
    def shared(self) -> Hosted:
        """One that has learned, for tests that only ask it."""
        return self.fitted()

    def learner(self, **params: object) -> Hosted:
        own = {"model": "words:Words", "folder": str(HOSTED / f"words_{self.name}"), "python": str(self.python)}
        made = make("label-studio-ml", {"field": "text", "label_config": FORM, **own, **params})
        assert isinstance(made, Hosted)
        return made

    def fitted(self, **params: object) -> Hosted:
        data, labels = tickets()
        return self.learner(**params).fit(data, labels, np.random.default_rng(0))

"""A model for label-studio-ml 1.x, as one is written for it: counts words, and says the label with the most of them."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from typing import Any

from label_studio_ml.model import LabelStudioMLBase


class Words(LabelStudioMLBase):  # type: ignore[misc]
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        ((self.from_name, control),) = self.parsed_label_config.items()
        self.to_name, self.field = control["to_name"][0], control["inputs"][0]["value"]
        self.counts: dict[str, dict[str, int]] = {}
        if self.train_output:
            with open(self.train_output["counts"]) as file:
                self.counts = json.load(file)

    def fit(self, tasks: Any, workdir: str | None = None, **kwargs: Any) -> dict[str, Any]:
        print("what a model prints must not reach the channel")
        assert workdir is not None
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for task in tasks:
            for annotation in task["annotations"]:
                label = annotation["result"][0]["value"]["choices"][0]
                counts[label].update(task["data"][self.field].lower().split())
        path = os.path.join(workdir, "counts.json")
        with open(path, "w") as file:
            json.dump(counts, file)
        return {"counts": path}

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        return [self.one(task["data"][self.field].lower().split()) for task in tasks]

    def one(self, words: list[str]) -> dict[str, Any]:
        total = {label: 1 + sum(counts.get(word, 0) for word in words) for label, counts in self.counts.items()}
        if not total:
            return {"result": [], "score": 0.0}
        best = max(total, key=lambda label: total[label])
        where = {"from_name": self.from_name, "to_name": self.to_name, "type": "choices"}
        return {"result": [{**where, "value": {"choices": [best]}}], "score": total[best] / sum(total.values())}


class ByEvent(Words):
    """One that takes events itself, as 1.x calls it from a webhook."""

    def process_event(self, event: str, data: dict[str, Any], job_id: str, additional_params: dict[str, Any]) -> Any:
        return super().fit(data["tasks"], **additional_params)

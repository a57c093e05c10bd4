"""A model for the 2.x interface, as one is written for it: fetches its answers from Label Studio, and counts words."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class Words(LabelStudioMLBase):  # type: ignore[misc]
    model_file = Path(os.environ["MODEL_DIR"]) / "model" / "counts.json"

    def setup(self) -> None:
        self.control = next(element for element in self.form.iter() if element.get("toName"))
        self.field = next(e for e in self.form.iter() if e.get("name") == self.control.get("toName")).get("value", "")[
            1:
        ]

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        print("what a model prints must not reach the channel")
        project = data["annotation"]["project"]
        url = f"{os.environ['LABEL_STUDIO_URL']}/api/tasks?project={project}&page_size=10000"
        token = {"Authorization": f"Token {os.environ['LABEL_STUDIO_API_KEY']}"}
        with urlopen(Request(url, headers=token)) as response:
            tasks = json.load(response)["tasks"]
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for task in tasks:
            label = task["annotations"][0]["result"][0]["value"]["choices"][0]
            counts[label].update(task["data"][self.field].lower().split())
        self.model_file.parent.mkdir(exist_ok=True)
        self.model_file.write_text(json.dumps(counts))
        self.set("model_version", f"taught {len(tasks)}")

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **kwargs: Any) -> ModelResponse:
        counts = json.loads(self.model_file.read_text()) if self.model_file.exists() else {}
        return ModelResponse([self.one(counts, task["data"][self.field]) for task in tasks], self.get("model_version"))

    def one(self, counts: dict[str, dict[str, int]], text: str) -> dict[str, Any]:
        words = text.lower().split()
        if "crash" in words:
            os._exit(3)
        if "sleep" in words:
            time.sleep(600)
        if "fail" in words:
            raise ValueError("it fails on this one")
        total = {label: 1 + sum(known.get(word, 0) for word in words) for label, known in counts.items()}
        best = max(total, key=lambda label: total[label])
        where = {"from_name": self.control.get("name"), "to_name": self.control.get("toName"), "type": "choices"}
        return {"result": [{**where, "value": {"choices": [best]}}], "score": total[best] / sum(total.values())}

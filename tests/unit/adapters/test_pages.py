"""The examples of the pages run: on fitted models, on recorded payloads, and into the intake of a loop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from labelloop import Output, Status
from tests.support.data.payloads import FOLDER, JUDGED, SEVERAL, SPANS, lanes_of, payload

DOCS = Path(__file__).parents[3] / "docs" / "pipelines"
TEXTS = ["The invoice is wrong.", "Where is it?"]
WORDS = ["invoice", "parcel", "hello"] * 10
ANY = SEVERAL.replace("billing", "late").replace("delivery", "rude")


class Loop:
    """Stands for the client: outputs that the intake does not take fail."""

    def __init__(self, *forms: str) -> None:
        self.forms = forms
        self.taken: list[str] = []

    def submit(self, outputs: Iterable[Output] | dict[str, Any]) -> None:
        several = [Output(**outputs)] if isinstance(outputs, dict) else list(outputs)
        for form in self.forms:
            try:
                self.taken += lanes_of(several, form)
                return
            except AssertionError:
                continue
        pytest.fail(f"no form takes {several}")


class Answered(Loop):
    """A loop whose people reject each output."""

    def wait(self, keys: list[str], timeout: float) -> dict[str, Status]:
        assert keys == self.taken
        return {key: Status(key, "id-1", "answers", "answered", "rule", label="reject") for key in keys}


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_adapters_run() -> None:
    found, tokens = payload("text_classification.json"), payload("token_classification.json")
    completions = payload("chat_completions.json")
    docs = [SimpleNamespace(text=text, cats={"billing": 0.5, "delivery": 0.3, "other": 0.2}) for text in TEXTS]
    labels = ["billing", "delivery", "other"]
    client = Loop("", SEVERAL, ANY)
    spans, judged = Loop(SPANS), Loop(JUDGED)
    namespace = {
        "client": client,
        "spans_loop": spans,
        "texts_loop": judged,
        "model": make_pipeline(CountVectorizer(), LogisticRegression()).fit(WORDS, labels * 10),
        "tagger": make_pipeline(CountVectorizer(), OneVsRestClassifier(LogisticRegression())).fit(
            WORDS, np.tile(np.eye(3, dtype=int), (10, 1))
        ),
        "tags": labels,
        "frame": pd.DataFrame({"id": [1, 2], "text": TEXTS}),
        "texts": TEXTS,
        "questions": TEXTS,
        "keys": ["a", "b"],
        "classifier": lambda texts, top_k: found["top_k_none"],
        "tagger_of_names": lambda texts, ignore_labels: [tokens["all_tokens"][2:], []],
        "nlp": SimpleNamespace(pipe=lambda texts: iter(docs)),
        "completions": [completions["sure"], completions["refusal"]],
    }
    for block in blocks("adapters.md"):
        exec(block, namespace)
    assert client.taken == ["1", "2", "1", "2", "1", "2", "a", "b", "a", "b", "a", "b", "ticket/9"]
    assert (spans.taken, judged.taken) == (["a", "b"], ["a", "b"])


def test_the_examples_of_the_traces_run() -> None:
    judged = Loop(JUDGED)
    namespace: dict[str, Any] = {
        "client": judged,
        "request_body": (FOLDER / "otlp_current.json").read_bytes(),
        "traces": [payload("mlflow_trace.json")],
    }
    for block in [*blocks("traces.md"), blocks("trace-tools.md")[0]]:
        exec(block, namespace)
    assert len(judged.taken) == 2


def test_the_recipes_read_their_exports_and_give_scores_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    langfuse, langsmith = dict[str, Any](), dict[str, Any]()
    _, *recipes, submits = blocks("trace-tools.md")
    for block, own in zip(recipes, (langfuse, langsmith), strict=True):
        exec(block, own)  # each alone: it has its imports
    namespace = langfuse | langsmith
    for name, count in (("langfuse", 1), ("langsmith", 2)):
        lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()
        made = [one for line in lines if (one := namespace[f"of_{name}"](line)) is not None]
        assert len(lanes_of(made, JUDGED)) == count
        assert {(one.data["question"], one.data["answer"]) for one in made} == {
            ("Where is parcel 17?", "It has been in Hamburg since Monday.")
        }
    status = Status("trace-1/obs-1", "id-1", "answers", "answered", "rule", label="reject", comments=("too short",))
    assert namespace["langfuse_score"](status) == {
        "id": "id-1",
        "traceId": "trace-1",
        "observationId": "obs-1",
        "name": "review",
        "dataType": "CATEGORICAL",
        "value": "reject",
        "comment": "too short",
    }
    assert namespace["langsmith_feedback"](status)["run_id"] == "trace-1/obs-1"
    assert json.dumps(namespace["langsmith_feedback"](status))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export.jsonl").write_bytes((FOLDER / "langfuse.jsonl").read_bytes())
    sent = list[dict[str, Any]]()
    exec(submits, namespace | {"client": Answered(JUDGED), "post": lambda _, json: sent.append(json)})
    assert [(one["value"], one["traceId"] != "") for one in sent] == [("reject", True)]

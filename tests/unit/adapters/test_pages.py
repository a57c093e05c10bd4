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

from console.files.templates import FOLDER as TEMPLATES
from labelloop import Output, Status, adapters
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
    form = (TEMPLATES / "boxes" / "labels.xml").read_text()
    boxes = Loop(form.replace('value="sign"', 'value="dog"'))  # what the detector of the page finds
    namespace = {
        "adapters": adapters,
        "client": client,
        "spans_loop": spans,
        "texts_loop": judged,
        "boxes_loop": boxes,
        "detected": payload("object_detection.json"),
        "sizes": (640, 480),
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
    assert (spans.taken, judged.taken, boxes.taken) == (["a", "b"], ["a", "b"], ["a", "b"])


def test_the_example_of_pairs_runs_and_sends_the_same_when_it_is_repeated() -> None:
    compared = [(f"pair/{n}", "Where is it?", {"one": "Here.", "two": "In the blue shop."}) for n in range(40)]
    sent = list[dict[str, Any]]()
    client = SimpleNamespace(submit=sent.append)
    namespace = {"compared": compared, "reward": lambda prompt, text: len(text), "client": client}
    for _ in range(2):
        for block in blocks("examples.md"):
            exec(block, namespace)
    first, again = sent[:40], sent[40:]
    assert first == again
    rows = lanes_of([Output(**one) for one in first], (TEMPLATES / "pairwise" / "labels.xml").read_text())
    assert len(rows) == 40
    assert 8 < sum(one["meta"]["a"] == "one" for one in first) < 32, "both sides are drawn"
    longer = [max("ab", key=lambda side: len(one["data"][side])) for one in first]
    assert [row.placement.label for row in rows.values()] == longer, "the better side by the reward model"


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

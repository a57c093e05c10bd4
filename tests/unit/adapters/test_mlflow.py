"""Traces of MLflow become outputs: recorded ones, and one that MLflow has really written."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from console.files.lines import Refused
from console.files.mlflow import Traces
from labelloop.adapters import mlflow
from labelloop.errors import InvalidOutput, UsageError
from tests.support.data.payloads import JUDGED, lanes_of, payload

TRACE = payload("mlflow_trace.json")
KEY = TRACE["info"]["trace_id"]
ANSWER = "It has been in Hamburg since Monday."


def test_a_trace_becomes_one_output_with_its_conversation() -> None:
    (made,) = mlflow.outputs([TRACE])
    assert (made.key, made.trace, made.step, made.source) == (KEY, KEY, "answer", "shop.py")
    assert (made.model_version, str(made.produced_at)) == ("small-chat-2026-01-01", "2026-01-01 00:00:00.500000+00:00")
    assert (made.data["question"], made.data["answer"]) == ("Where is parcel 17?", ANSWER)
    assert [turn["author"] for turn in made.data["dialogue"]] == [
        "document", "system", "user", "tool call", "tool", "assistant",
    ]  # fmt: skip
    assert made.meta is not None
    assert (made.meta["input_tokens"], made.meta["state"], made.meta["mlflow_trace_id"]) == (52, "OK", KEY)
    assert lanes_of([made], JUDGED)[KEY].placement.triggered


def test_objects_texts_and_frames_give_the_same() -> None:
    wanted = list(mlflow.outputs([TRACE]))
    for given in (
        SimpleNamespace(to_dict=lambda: TRACE),
        [json.dumps(TRACE)],
        pd.DataFrame({"trace_id": [KEY], "trace": [json.dumps(TRACE)]}),
    ):
        assert list(mlflow.outputs(given)) == wanted


def test_a_trace_without_spans_has_its_previews() -> None:
    bare = copy.deepcopy(TRACE)
    bare["data"] = {"spans": []}
    (made,) = mlflow.outputs([bare])
    assert (made.data["question"], made.data["answer"]) == ("Where is parcel 17?", ANSWER)


def test_the_order_of_spans_and_a_missing_parent_make_no_difference() -> None:
    changed = copy.deepcopy(TRACE)
    changed["data"]["spans"].reverse()
    for span in changed["data"]["spans"]:
        span["parent_span_id"] = span.get("parent_span_id") or "ffffffffffffffff"
    assert list(mlflow.outputs([changed])) == list(mlflow.outputs([TRACE]))


@pytest.mark.parametrize("bad", [None, 3, "text", {}, {"info": {}}, {"info": {"trace_id": "t"}, "data": {"spans": 3}}])
def test_a_value_that_is_no_trace_or_has_no_answer_is_refused_alone(bad: Any) -> None:
    refused: list[InvalidOutput] = []
    assert len(list(mlflow.outputs([bad, TRACE], refused=refused.append))) == 1
    assert len(refused) == 1
    with pytest.raises(InvalidOutput):
        list(mlflow.outputs([bad]))


@pytest.mark.slow
def test_traces_that_mlflow_wrote_are_read_from_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow as real
    from mlflow.entities import SpanType

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    real.set_tracking_uri(uri)
    real.set_experiment("shop")

    @real.trace(span_type=SpanType.CHAT_MODEL)
    def chat(messages: list[dict[str, str]]) -> dict[str, Any]:
        return {"choices": [{"message": {"role": "assistant", "content": messages[-1]["content"].upper()}}]}

    for word in ("one", "two"):
        chat([{"role": "user", "content": word}])
    real.flush_trace_async_logging()
    found = [line for _, line in Traces(uri, "shop", "approve").lines()]
    read = [json.loads(line) for line in found if not isinstance(line, Refused)]
    asked = sorted((one["data"]["question"], one["data"]["answer"]) for one in read)
    assert asked == [("one", "ONE"), ("two", "TWO")], "MLflow orders traces of one millisecond as it likes"
    with pytest.raises(UsageError, match="no experiment 'shp'; there are: Default, shop"):
        list(Traces(uri, "shp", "approve").lines())
    with pytest.raises(UsageError, match="needs --experiment"):
        list(Traces(uri, None, "approve").lines())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="needs --tracking-uri"):
        list(Traces(None, "shop", "approve").lines())
    shutil.rmtree(tmp_path / "mlruns", ignore_errors=True)

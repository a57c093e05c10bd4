"""Rows of frames as outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelloop import UsageError
from labelloop.client.frame import rows


class Plain:
    """A frame of no library: columns, and a list for each."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = list(columns)
        self._values = columns

    def __getitem__(self, name: str) -> list[Any]:
        return self._values[name]


def read(frame: Any, **names: Any) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(("data", "label", "confidence", "probabilities", "group"))
    return list(rows(frame, **{"key": "id", "model_version": "", **nothing, **names}))


@pytest.mark.parametrize("make", [pd.DataFrame, lambda columns: Plain(**columns)], ids=["pandas", "plain"])
def test_every_column_that_nothing_else_uses_is_data(make: Any) -> None:
    frame = make({"id": [1, 2], "text": ["a", "b"], "guess": ["cat", None], "sure": [0.9, float("nan")]})
    assert read(frame, label="guess", confidence="sure") == [
        {"key": "1", "data": {"text": "a"}, "label": "cat", "confidence": 0.9},
        {"key": "2", "data": {"text": "b"}},
    ]


def test_probabilities_are_columns_named_like_the_labels_or_mapped_to_them() -> None:
    frame = pd.DataFrame({"id": ["a"], "text": ["x"], "cat": [0.25], "dog": np.array([0.75], dtype=np.float32)})
    expected = [{"key": "a", "data": {"t": "x"}, "probabilities": {"cat": 0.25, "dog": 0.75}, "model_version": "v1"}]
    for probabilities in (["cat", "dog"], {"cat": "cat", "dog": "dog"}):
        assert read(frame, data={"t": "text"}, probabilities=probabilities, model_version="v1") == expected


def test_a_missing_probability_is_no_null() -> None:
    frame = pd.DataFrame({"id": ["a"], "cat": [float("nan")]})
    (output,) = read(frame, probabilities=["cat"])
    assert output["probabilities"]["cat"] != output["probabilities"]["cat"], "the check of outputs refuses it by name"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"key": "key"}, "no column 'key' in the frame; there are: id, text"),
        ({"data": ["text", "txt"]}, "no column 'txt'"),
        ({"data": "text"}, "data takes a list of columns"),
        ({"label": "texts"}, r"no column 'texts' in the frame \(did you mean 'text'\?\)"),
        ({"key": "index"}, r"there are: id, text\. frame\.reset_index\(\) makes a column of the index"),
        ({"probabilities": "text"}, "probabilities takes a list"),
    ],
)
def test_a_wrong_column_is_refused_before_the_first_row(names: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(pd.DataFrame({"id": [], "text": []}), **names)


def test_a_key_that_a_missing_one_made_a_fraction_is_refused_with_the_repair() -> None:
    with pytest.raises(UsageError, match=r"column 'id' has the number 1\.0 for a key.*astype\(int\)"):
        read(pd.DataFrame({"id": [1, None], "text": ["a", "b"]}))


def test_a_value_that_is_no_frame_and_a_frame_with_a_column_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="a frame has columns; this is a list"):
        read([1, 2])
    with pytest.raises(UsageError, match="several columns 'id'"):
        read(pd.DataFrame([[1, 2]], columns=["id", "id"]))

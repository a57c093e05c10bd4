"""Columns of a table become fields of an output; the error for an unknown name gives the nearest one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.columns import output_in, plan, read_map
from labelloop.outputs.reading import from_json


def output(row: dict[str, Any], *maps: str) -> dict[str, Any]:
    return output_in(row, plan([row], read_map(maps)))


def test_columns_named_like_fields_need_no_map() -> None:
    row = {"key": "a", "data.text": "x", "data.doc.title": "y", "probabilities.a.b": "0.25", "probabilities.c": "0.75"}
    found = output(row)
    assert found == {
        "key": "a",
        "data": {"text": "x", "doc": {"title": "y"}},
        "probabilities": {"a.b": 0.25, "c": 0.75},
    }
    assert from_json(found).key == "a"


def test_other_columns_are_the_data_unless_some_are_named() -> None:
    row = {"id": "7", "body": "x", "lang": "en", "pred": "a", "score": "0.5"}
    maps = ("key=id", "label=pred", "confidence=score")
    assert output(row, *maps) == {"key": "7", "data": {"body": "x", "lang": "en"}, "label": "a", "confidence": 0.5}
    assert output(row, *maps, "data.text=body")["data"] == {"text": "x"}


def test_a_missing_value_is_left_out_or_null() -> None:
    row = {"key": 3, "text": "", "age": math.nan, "label": "a", "confidence": "", "group": None}
    assert output(row) == {"key": "3", "data": {"text": "", "age": None}, "label": "a"}


def test_json_in_a_cell_is_read() -> None:
    row = {"key": "a", "text": "x", "evidence": '{"labels": {"a": 0.5}}', "embedding": "[1, 2]", "label": '["a"]'}
    found = output(row)
    assert (found["evidence"], found["embedding"], found["label"]) == ({"labels": {"a": 0.5}}, [1, 2], '["a"]')


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (["key"], "--map takes FIELD=COLUMN"),
        (["key="], "--map takes FIELD=COLUMN"),
        (["lable=pred"], "no field 'lable'; did you mean 'label'"),
        (["dat.text=body"], r"no field 'dat.text'; did you mean 'data.text'"),
        (["key.x=body"], "no field 'key.x'"),
        (["key=id", "key=body"], "key is already 'id'"),
        (["key=id", "label=prd"], "no column 'prd'; did you mean 'pred'. there are: id, body, pred"),
        (["id=key"], r"the order is FIELD=COLUMN: did you mean --map key=id\?"),
        (["body=data.text"], r"did you mean --map data\.text=body\?"),
        (["key=id"], "no column is the label: pass --map label=COLUMN; there are: id, body, pred"),
        ([], "no column is the key: pass --map key=COLUMN; there are: id, body, pred"),
    ],
)
def test_a_map_that_fits_nothing_is_told_with_the_nearest_name(maps: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        output({"id": "1", "body": "x", "pred": "a"}, *maps)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("confidence", "0,7", "must be a number; it is '0,7'; use a decimal point: 0.7$"),
        ("evidence", "{", "must be JSON"),
        ("meta", "x", "JSON"),
    ],
)
def test_a_cell_that_cannot_be_read_is_told_with_its_field(field: str, text: str, words: str) -> None:
    with pytest.raises(InvalidOutput, match=rf"{field}: .*{words}"):
        output({"key": "a", "label": "x", field: text})


def test_a_score_without_a_result_and_a_confidence_without_a_label_are_no_fields() -> None:
    row = {"key": "a", "data.text": "x", "score": 3, "confidence": 0.5, "probabilities.a": 1.0}
    assert output(row) == {"key": "a", "data": {"text": "x"}, "probabilities": {"a": 1.0}}


def test_a_label_without_a_probability_in_this_row_is_left_out() -> None:
    assert output({"key": "a", "probabilities": {"cat": 1.0, "dog": None}})["probabilities"] == {"cat": 1.0}

"""Values of programs (numpy, pandas, datetime, Decimal) as outputs that can be sent."""

from __future__ import annotations

import datetime
import json
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelloop.client import Client
from labelloop.client.wire import line as _line
from labelloop.client.wire import lines
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.fitting import check
from labelloop.outputs.output import Output
from labelloop.outputs.reading import parse
from labelloop.reading.plain import plain
from labelloop.spec.loop import LoopSpec
from tests.support.data.keys import KEYS

SPEC = LoopSpec(name="x", trigger="model_confidence < 0.8").with_labels(["0", "1", "true", "cat"])


def sent(**said: Any) -> dict[str, Any]:
    """The line that the client sends of an output with these fields, as JSON."""
    line: dict[str, Any] = json.loads(_line(Output(**{"key": "k", "data": {"text": "x"}, **said})))
    return line


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("ä"), "ä"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["2026-01-31", "NaT"], dtype="datetime64[D]"), ["2026-01-31", None]),
        (np.datetime64("2026-01-31T12:00:00.5", "ns"), "2026-01-31T12:00:00.500000000"),
        ((1, (2, "a")), [1, [2, "a"]]),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Timestamp("2026-01-31T12:00:00+01:00"), "2026-01-31T12:00:00+01:00"),
        (pd.Series([1, 2]), [1, 2]),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.time(12, 30), "12:30:00"),
        (Decimal("19.90"), 19.9),
        (Decimal(3), 3),
    ],
)
def test_a_value_that_has_one_meaning_in_json_is_taken(value: Any, wanted: Any) -> None:
    assert sent(label="cat", data={"text": "x", "v": value})["data"]["v"] == wanted


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "data.v: is nan, which is not a JSON number; give None if the value is missing"),
        (np.float32("inf"), "data.v: is inf"),
        (np.array([1.0, np.nan]), "data.v[1]: is nan"),
        (Decimal("NaN"), "data.v: is NaN"),
        (Decimal("0.12345678901234567890"), "data.v: the Decimal 0.12345678901234567890 is no number of 64 bits"),
        (Decimal("1e400"), "is no number of 64 bits"),
        (pd.Timedelta(days=1), "data.v: Timedelta is not a JSON value"),
        (np.timedelta64(1, "D"), "data.v: is a length of time"),
        (b"raw", "data.v: bytes is not a JSON value"),
        ({"in": {"deep": object()}}, "data.v.in.deep: object is not a JSON value"),
        ({1: "a", "1": "b"}, "data.v.1: is given twice"),
        ({None: 1}, "data.v: a key must be a text, a number or a boolean; one is NoneType"),
    ],
)
def test_a_value_without_one_is_refused_and_its_field_is_named(value: Any, words: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        sent(label="cat", data={"text": "x", "v": value})
    assert words in str(caught.value)
    assert "(output 'k')" in str(caught.value)


def test_a_list_that_holds_itself_is_refused_and_not_followed_for_ever() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidOutput, match="nested more than 32 deep"):
        plain(endless)


def test_a_row_of_a_classifier_is_sent_as_it_is() -> None:
    row = np.array([-1e-9, 1.0000001], dtype=np.float64)
    classes = np.array([0, 1])
    said = parse(_line(Output(key="k", data={"text": "x"}, probabilities=dict(zip(classes, row, strict=True)))))
    assert said.probabilities == {"0": 0.0, "1": 1.0}, "clipped, since it is what rounding makes"
    assert sent(probabilities={True: 0.5, np.bool_(False): 0.5})["probabilities"] == {"True": 0.5, "False": 0.5}
    with pytest.raises(InvalidOutput, match=r"must lie between 0 and 1; it is 1\.002"):
        sent(label="cat", confidence=1.002)


@pytest.mark.parametrize(
    ("said", "wanted"), [(np.int64(1), "1"), (0, "0"), (True, "true"), (np.bool_(True), "true"), ("cat", "cat")]
)
def test_an_integer_or_a_boolean_is_the_label_that_is_written_so(said: Any, wanted: str) -> None:
    read = parse(_line(Output(key="k", data={"text": "x"}, label=said, gold=said)))
    taken = check(read, SPEC.config, SPEC.labels)
    assert (taken.label, taken.gold) == (wanted, wanted)


def test_a_model_version_of_none_counts_as_absent() -> None:
    assert "model_version" not in sent(label="cat", model_version=None)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_taken_as_real_pipelines_have_it(key: str) -> None:
    assert parse(_line({"key": key, "data": {"text": "x"}, "label": "cat"})).key == key


def test_two_spellings_of_one_key_are_one_key() -> None:
    one, other = "Köln", unicodedata.normalize("NFD", "Köln")
    assert one != other
    assert parse(_line({"key": other, "data": {"text": "x"}, "label": "cat"})).key == one


def test_a_relation_between_regions_of_a_result_is_taken_and_must_lead_to_regions() -> None:
    region = {
        "id": "1",
        "from_name": "correction",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["cat"]},
    }
    relation = {"type": "relation", "from_id": "1", "to_id": "1", "direction": "right"}

    def read(**changes: Any) -> Output:
        result = [region, {k: v for k, v in {**relation, **changes}.items() if v is not ...}]
        return check(parse(_line(Output(key="k", data={"text": "x"}, score=0.4, result=result))), SPEC.config, ())

    assert read().result == [region, relation]
    assert read(direction=...).result is not None
    for changes, path in (
        ({"to_id": "2"}, r"result\[1\]\.to_id: must be the id of a region of this result"),
        ({"from_id": ...}, r"result\[1\]\.from_id: must be a text"),
        ({"direction": "up"}, r"result\[1\]\.direction: must be one of: left, right, bi"),
    ):
        with pytest.raises(InvalidOutput, match=path):
            read(**changes)


def test_a_picture_of_real_size_is_taken_and_the_limit_is_bytes() -> None:
    photo = "data:image/jpeg;base64," + "A" * 194_000
    assert sent(label="cat", data={"image": photo})["data"]["image"] == photo
    with pytest.raises(InvalidOutput, match="an output has at most 1048576"):
        sent(label="cat", data={"image": "A" * (1 << 20)})


@pytest.mark.parametrize("outputs", [["subject"], [None], [["a", "b"]], (1, 2)])
def test_a_value_that_is_no_output_is_named_by_its_type(outputs: Any) -> None:
    refused = pytest.raises(InvalidOutput, match="must be an Output or a mapping, not ")
    with Client("http://127.0.0.1:1", "token", loop="pets") as client, refused:
        client.submit(outputs)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (pd.DataFrame({"key": ["a"]}), r"for the rows of a DataFrame use submit_frame\("),
        ("subject", "it is 'subject'"),
        (7, "it is 7"),
    ],
)
def test_what_holds_no_outputs_is_refused_with_what_would_do(outputs: Any, words: str) -> None:
    with Client("http://127.0.0.1:1", "token", loop="pets") as client, pytest.raises(UsageError, match=words):
        client.submit(outputs)


def test_an_output_without_a_key_is_named_by_its_number() -> None:
    several = [{"key": "a", "data": {"text": "x"}, "label": "cat"}, {"data": {"text": "x"}, "label": "cat"}]
    with pytest.raises(InvalidOutput, match=r"^key: is missing \(output number 2\)$"):
        list(lines(several))

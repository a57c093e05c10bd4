"""A number in place of a text is the text that people see, wherever a text is read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.learners import make
from backend.train.cut import _copies
from backend.train.groups import related
from labelloop.errors import InvalidOutput
from labelloop.outputs import fitting, reading
from labelloop.reading.texts import text_of
from labelloop.selection.features import read, read_text
from labelloop.spec.folder import parse
from labelloop.versions.items import TrainingItem

TICKETS = parse("tickets", 'feedback_loop: {trigger: "model_confidence < 1", labels: [a, b]}')
SPANS = parse(
    "spans",
    'feedback_loop: {trigger: "model_confidence < 1"}',
    '<View><Labels name="label" toName="t"><Label value="a"/></Labels><Text name="t" value="$text"/></View>',
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5.0", "5.0"),
        (42, "42"),
        (-7, "-7"),
        (0, "0"),
        (-0.0, "0"),
        (5.0, "5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (3e-7, "3e-7"),
        (1.5e22, "1.5e+22"),
        (1e20, "100000000000000000000"),
        (True, "true"),
        (False, "false"),
        (None, None),
        ([42], None),
        ({"text": "a"}, None),
    ],
)
def test_a_number_is_written_as_browsers_write_it(value: object, text: str | None) -> None:
    assert text_of(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_the_number(value: float) -> None:
    text = text_of(value)
    assert text is not None
    assert float(text) == value
    assert "e" in text or math.isclose(float(json.loads(text)), value)


def test_an_output_with_a_number_is_taken_and_stored_as_it_came() -> None:
    sent = reading.from_json({"key": "a", "data": {"text": 5.0}, "label": "a", "confidence": 0.5})
    assert fitting.check(sent, TICKETS.config, TICKETS.labels).data == {"text": 5.0}


def test_a_span_lies_within_the_text_of_a_number() -> None:
    sent = {"key": "a", "data": {"text": 1234.0}, "label": [[0, 4, "a"]], "confidence": 0.5}
    fitting.check(reading.from_json(sent), SPANS.config, ())
    with pytest.raises(InvalidOutput, match="a span ends at 5; the text has 4 characters"):
        fitting.check(reading.from_json({**sent, "label": [[0, 5, "a"]]}), SPANS.config, ())


@pytest.mark.parametrize("name", ["text", "incremental", "auto", "sentences"])
def test_a_learner_reads_a_number_as_its_text(name: str) -> None:
    texts: list[object] = ["win a prize", "see you at home", 42, 5.0] * 6
    learner = make(name, {"field": "text", **({"recipe": "words"} if name == "auto" else {})})
    learner.fit([{"text": text} for text in texts], ["spam", "ham", "ham", "spam"] * 6, np.random.default_rng(0))
    asked = learner.predict([{"text": 42}, {"text": "42"}, {"text": 5.0}, {"text": "5"}])
    assert asked.labels[0] == asked.labels[1]
    assert asked.labels[2] == asked.labels[3]
    assert asked.confidences[0] == asked.confidences[1]


def test_a_number_among_texts_of_the_learner_of_numbers_is_a_text() -> None:
    learner = make("numbers", {"field": "text"})
    data: list[dict[str, object]] = [{"text": text} for text in ["bad", "good", "bad", "good", 7, "good"] * 4]
    learner.fit(data, ["1", "5", "1", "5", "1", "5"] * 4, np.random.default_rng(0))
    first, second = learner.predict([{"text": 7}, {"text": "7"}]).labels
    assert first == second


def test_copies_of_a_number_are_found_and_never_parted() -> None:
    assert _copies(["42", None], ["7", "42"]) == [1, None]
    rows = [
        TrainingItem(key=str(i), group_key=str(i), data={"text": text}, answer_seq=i, label="a", weight=1.0)
        for i, text in enumerate([42, "42", "something else", 7])
    ]
    groups = related(rows, "text")
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    found = read("text", "text", [row.data for row in rows])
    assert found is not None
    assert found.readable.all()
    assert found.groups[0] == found.groups[1]


def test_what_people_do_not_see_as_a_text_is_still_refused() -> None:
    for value, kind in ((["a"], "list"), ({"a": 1}, "dict"), (None, "NoneType"), (datetime.now(UTC), "datetime")):
        with pytest.raises(ValueError, match=f"is not text but {kind}"):
            read_text(value)
    assert text_of(uuid4()) is None

"""Categories and entities of spaCy become outputs. A Doc is stood in for by its attributes: spaCy is not installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labelloop.adapters import spacy
from labelloop.errors import InvalidOutput, UsageError
from tests.support.data.payloads import SEVERAL, SPANS, lanes_of

TEXT = "Angela Merkel went to Rome"


class Spans(list[Any]):
    """A span group: a list of spans with attributes."""

    attrs: dict[str, Any]


def doc(**attributes: Any) -> SimpleNamespace:
    return SimpleNamespace(text=TEXT, **attributes)


def span(start: int, end: int, label: str) -> SimpleNamespace:
    return SimpleNamespace(start_char=start, end_char=end, label_=label)


def test_exclusive_categories_are_probabilities() -> None:
    made = list(spacy.categories([doc(cats={"billing": 0.7, "delivery": 0.2, "other": 0.1})], ["k"]))
    assert (made[0].probabilities, made[0].data) == ({"billing": 0.7, "delivery": 0.2, "other": 0.1}, {"text": TEXT})
    assert lanes_of(made)["k"].placement.label == "billing"


def test_categories_that_are_independent_need_a_word() -> None:
    cats = {"billing": 0.9, "delivery": 0.8, "other": 0.1}
    made = list(spacy.categories(iter([doc(cats=cats)]), ["k"], several=True))
    assert lanes_of(made, SEVERAL)["k"].placement.label == '["billing","delivery"]'
    with pytest.raises(InvalidOutput, match="pass several=True"):
        list(spacy.categories([doc(cats=cats)], ["k"]))
    with pytest.raises(InvalidOutput, match=r"there are no labels \(output 'k'\)"):
        list(spacy.categories([doc(cats={})], ["k"]))


def test_entities_have_no_confidence_so_people_are_asked() -> None:
    made = list(spacy.entities([doc(ents=(span(0, 13, "PER"), span(22, 26, "LOC")))], ["k"], model_version="n3"))
    assert (made[0].label, made[0].confidence) == ([[0, 13, "PER"], [22, 26, "LOC"]], None)
    assert lanes_of(made, SPANS)["k"].placement.triggered


def test_a_span_group_with_scores_has_a_confidence() -> None:
    group = Spans([span(0, 13, "PER"), span(22, 26, "LOC")])
    group.attrs = {"scores": [0.9, 0.6]}
    made = list(spacy.entities([doc(spans={"sc": group})], ["k"], group="sc"))
    assert (made[0].confidence, made[0].evidence) == (0.6, {"tokens": [0.9, 0.6]})
    assert lanes_of(made, SPANS)["k"].placement.confidence == 0.6
    with pytest.raises(UsageError, match="no span group 'x'; there are: sc"):
        list(spacy.entities([doc(spans={"sc": group})], ["k"], group="x"))

"""CoNLL: all four schemes of tags give the same spans, and an export read again gives the same text and spans."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import InvalidOutput
from labelloop.labeling.kinds.spans import Span, write_spans
from labelloop.outputs.formats import conll
from labelloop.outputs.formats.conll import spans_of
from labelloop.outputs.formats.items import Bad, How, Item
from tests.support.data.imported import config

HOW = How(config("names"), "names")
PLACES = [(0, 1), (2, 3), (4, 5), (6, 7)]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-A I-A O B-B", [(0, 3, "A"), (6, 7, "B")]),
        ("I-A I-A O I-B", [(0, 3, "A"), (6, 7, "B")]),  # IOB1
        ("B-A E-A O S-B", [(0, 3, "A"), (6, 7, "B")]),  # BIOES
        ("B-A L-A O U-B", [(0, 3, "A"), (6, 7, "B")]),  # BILOU
        ("I-A B-A I-A O", [(0, 1, "A"), (2, 5, "A")]),  # IOB1: B begins a second one
        ("S-A S-A B-B I-A", [(0, 1, "A"), (2, 3, "A"), (4, 5, "B"), (6, 7, "A")]),
        ("O O O O", []),
    ],
)
def test_each_scheme_of_tags_is_read(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags.split(), PLACES) == [Span(*one) for one in spans]


@st.composite
def texts(draw: Any) -> tuple[str, list[Span]]:
    """A text, and spans of it that begin and end with a token and do not overlap."""
    text = draw(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
    tokens = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    spans, at = [], 0
    while at < len(tokens):
        length = draw(st.integers(0, 3))
        if length:
            end = min(at + length, len(tokens))
            spans.append(Span(tokens[at][0], tokens[end - 1][1], draw(st.sampled_from(["PER", "LOC"]))))
            at = end
        else:
            at += 1
    return text, spans


def row(text: str, spans: list[Span], key: str = "k/1 ä") -> dict[str, Any]:
    return {"key": key, "data": {"text": text}, "answer": write_spans(spans)}


@given(texts())
def test_an_export_is_read_again_with_the_same_text_and_spans(item: tuple[str, list[Span]]) -> None:
    text, spans = item
    tally: Counter[str] = Counter()
    lines = (conll.write(row(text, spans), HOW, tally) + conll.write(row(text, spans, "k2"), HOW, tally)).split("\n")
    found = list(conll.read(lines, HOW, Counter()))
    if not any(not character.isspace() for character in text):
        return  # a text without a token has no line
    one, two = found
    assert isinstance(one, Item)
    assert isinstance(two, Item)
    assert (one.key, one.output["data"], two.key) == ("k/1 ä", {"text": text}, "k2")
    assert [Span(*span) for span in one.answers[0].answer] == spans
    assert tally[conll.CUT] == tally[conll.OVERLAPS] == 0


def test_what_tags_cannot_hold_is_counted() -> None:
    tally: Counter[str] = Counter()
    spans = [Span(0, 9, "PER"), Span(5, 9, "LOC"), Span(11, 13, "ORG")]
    lines = conll.write(row("Anna Bell, unless", spans), HOW, tally)
    assert (tally[conll.OVERLAPS], tally[conll.CUT]) == (1, 1)
    assert [line for line in lines.split("\n") if "-ORG" in line] == ["unless -X- -X- B-ORG"]


def test_bad_lines_are_named_and_the_rest_is_read() -> None:
    lines = ["A NNP B-PER", "b NN", "", "C NNP X-PER", "", "D NNP B-LOC"]
    found = list(conll.read(lines, HOW, Counter()))
    assert [(one.line, "columns" in one.message) for one in found if isinstance(one, Bad)] == [(2, True), (4, False)]
    assert [one.output["data"]["text"] for one in found if isinstance(one, Item)] == ["D"]
    assert [one.key for one in found if isinstance(one, Item)] == ["names/3"]


def test_a_loop_without_spans_is_refused() -> None:
    with pytest.raises(InvalidOutput, match=r"holds spans.*one label"):
        list(conll.read([], How(config("pets")), Counter()))

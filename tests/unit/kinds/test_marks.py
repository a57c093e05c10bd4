"""Marks in texts, pages and dialogues: which there are, whether they fit the item, and what people agree on."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.answers.consensus import consensus
from labelloop.labeling import kinds
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds import marks
from tests.support.data.drawn import form

HTML, DIALOGUE, TEXT = (form(name).answer for name in ("html", "dialogue", "text"))
PAGE = "<p>Hi <b>😀 Ana</b></p>\n<p>one<br>two &amp; three</p>"
"""Its characters: `Hi 😀 Ana`, a line break, `one`, one for the <br>, `two & three`."""
TALK = [{"author": "Ana", "text": "Hello 😀"}, {"author": "Bob", "text": "Hi"}]


def mark(start: Any, end: Any, label: str = "a") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def test_spans_of_a_text_without_questions_about_each_stay_lists_of_three() -> None:
    assert form("text", asked=False).kind is Kind.SPANS
    assert form("text").kind is Kind.MARKS


@pytest.mark.parametrize(
    ("control", "given", "words"),
    [
        (HTML, [mark(4, 4)], "a mark ends after it starts; one is from 4 to 4"),
        (HTML, [mark(-1, 4)], "a mark is an object such as"),
        (HTML, [mark(0.5, 4)], "a mark is an object such as"),
        (HTML, [mark(False, 4)], "a mark is an object such as"),
        (HTML, [mark([0, 1], [0, 2])], "a mark is an object such as"),
        (HTML, [{**mark(0, 1), "text": "H"}], "a mark is an object such as"),
        (DIALOGUE, [mark(0, 4)], "a mark is an object such as"),
        (DIALOGUE, [mark([1, 0], [0, 9])], r"one is from \[1, 0\] to \[0, 9\]"),
        (DIALOGUE, [mark([0, 2], [0, 2])], "a mark ends after it starts"),
        (DIALOGUE, [mark(["0", 2], [0, 3])], "a mark is an object such as"),
        (TEXT, [mark(0, 4, "z")], "no such label 'z'"),
    ],
)
def test_the_reason_why_a_mark_is_none_is_told(control: Any, given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kinds.canonical(control, given)


@pytest.mark.parametrize(
    ("control", "data", "last", "beyond", "words"),
    [
        (TEXT, {"it": "😀 Ana"}, mark(0, 5), mark(0, 6), "a mark ends at 6; the text has 5 characters"),
        (HTML, {"it": PAGE}, mark(0, 24), mark(0, 25), "a mark ends at 25; the text has 24 characters"),
        (
            DIALOGUE,
            {"it": TALK},
            mark([0, 0], [1, 2]),
            mark([1, 0], [1, 3]),
            "3 of paragraph 1, which has 2 characters",
        ),
        (
            DIALOGUE,
            {"it": TALK},
            mark([0, 6], [0, 7]),
            mark([2, 0], [2, 1]),
            "in paragraph 2; there are 2, counted from 0",
        ),
    ],
)
def test_a_mark_lies_in_the_item(control: Any, data: Any, last: Any, beyond: Any, words: str) -> None:
    marks.fits(control, kinds.canonical(control, [last]), data)
    with pytest.raises(ValueError, match=words):
        marks.fits(control, kinds.canonical(control, [beyond]), data)
    marks.fits(control, kinds.canonical(control, [beyond]), {"it": None})


@pytest.mark.parametrize(
    ("control", "one", "other", "similar"),
    [
        (TEXT, (0, 4), (2, 6), 1 / 3),
        (TEXT, (0, 4), (4, 6), 0),
        (DIALOGUE, ([3, 0], [3, 4]), ([3, 2], [3, 6]), 1 / 3),
        (DIALOGUE, ([0, 0], [0, 4]), ([1, 0], [1, 4]), 0),
        (DIALOGUE, ([0, 0], [2, 0]), ([0, 0], [2, 0]), 1),
        (DIALOGUE, ([0, 0], [0, 9]), ([0, 0], [1, 9]), 9 / 19),
    ],
)
def test_similarity_is_the_overlap_in_characters(control: Any, one: Any, other: Any, similar: float) -> None:
    found = marks.geometry_of(control).similarity(*({"start": a, "end": b, "label": "a"} for a, b in (one, other)))
    assert found == pytest.approx(similar)


@pytest.mark.parametrize(
    ("control", "said", "answer"),
    [
        (HTML, [[mark(0, 4)], [mark(1, 5)]], [mark(0, 4)]),  # one that a person gave
        (HTML, [[mark(0, 4)], [mark(1, 5)], [mark(1, 6)]], [mark(1, 5)]),
        (HTML, [[mark(0, 4)], [mark(8, 9)]], None),
        (HTML, [[mark(0, 4), mark(8, 9)], [mark(0, 4)], [mark(0, 4), mark(20, 29)]], [mark(0, 4)]),
        (DIALOGUE, [[mark([0, 0], [0, 4])], [mark([0, 1], [0, 4])], []], [mark([0, 0], [0, 4])]),
        (DIALOGUE, [[mark([0, 0], [0, 4])], [mark([1, 0], [1, 4])]], None),
    ],
)
def test_people_agree_on_the_middle_of_what_most_marked(control: Any, said: Any, answer: Any) -> None:
    found = consensus([kinds.canonical(control, one) for one in said], 1, control)
    assert found is not None
    assert found.label == (None if answer is None else kinds.canonical(control, answer))

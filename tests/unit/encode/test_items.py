"""An item carries its vector, and only the vector of its own text by the same encoder is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.encode.items import VECTOR, vectors_of, with_vector
from labelloop.errors import Unreadable
from labelloop.selection.vectors import Vectors


class Lengths:
    """The length of a text as a vector, and the texts that were asked for."""

    width = 2

    def __init__(self, id_: str = "lengths:1") -> None:
        self.id = id_
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([[len(text), 0] for text in texts], dtype=np.float32).reshape(-1, 2)


STORED = np.array([0.5, -0.25], dtype="<f2").tobytes()


def test_an_item_with_its_vector_is_not_encoded_again() -> None:
    model = Lengths()
    data = [with_vector({"text": "a card"}, "a card", model.id, STORED), {"text": "four"}]
    np.testing.assert_array_equal(vectors_of(data, "text", model), [[0.5, -0.25], [4, 0]])
    assert model.asked == ["four"]


@pytest.mark.parametrize(
    "value",
    [
        with_vector({}, "a card", "lengths:2", STORED)[VECTOR],
        with_vector({}, "another text", "lengths:1", STORED)[VECTOR],
        with_vector({}, "a card", "lengths:1", STORED * 2)[VECTOR],
        with_vector({}, "a card", "lengths:1", STORED[:3])[VECTOR],
        with_vector({}, "a card", "lengths:1", b"\xff" * 4)[VECTOR],
        with_vector({}, "a card", "lengths:1", STORED)[VECTOR] + "!",
        "lengths:1",
        7,
        None,
    ],
    ids="encoder text width odd nan base64 short number none".split(),
)
def test_a_vector_of_another_encoder_text_or_width_is_not_taken(value: object) -> None:
    model = Lengths()
    np.testing.assert_array_equal(vectors_of([{"text": "a card", VECTOR: value}], "text", model), [[6, 0]])


def test_items_without_a_text_are_named_together() -> None:
    with pytest.raises(Unreadable, match=r"item 1: its field 'text' is missing \(and 1 more\)") as caught:
        vectors_of([{"text": "a"}, {}, {"text": ["a"]}], "text", Lengths())
    assert set(caught.value.faults) == {1, 2}

"""Tokens of a text, and spans at its words."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.learners import make
from backend.learners.parts.tokens import tokens_of
from tests.support.data.learner_data import Data


@given(st.text(max_size=40))
def test_tokens_stand_where_they_say_and_leave_out_blanks_only(text: str) -> None:
    tokens = tokens_of(text)
    assert all(text[token.start : token.end] == token.text != "" for token in tokens)
    assert all(one.end <= other.start for one, other in pairwise(tokens))
    covered = {i for token in tokens for i in range(token.start, token.end)}
    assert all(
        i in covered or character.isspace() or unicodedata.category(character)[0] == "M"
        for i, character in enumerate(text)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Anna's b2b, 3.5 €", ["Anna", "'", "s", "b2b", ",", "3", ".", "5", "€"]),
        ("e\u0301cole नमस्ते", ["e\u0301cole", "नमस्ते"]),
        ("東京に行く", ["東", "京", "に", "行", "く"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("👍🏽 ok", ["👍", "🏽", "ok"]),
        (" \t\n", []),
    ],
)
def test_tokens_are_words_in_every_script(text: str, words: list[str]) -> None:
    assert [token.text for token in tokens_of(text)] == words


def test_spans_that_overlap_end_within_words_or_beyond_the_text_are_learned_from_as_far_as_they_can_be() -> None:
    data: Data = [{"t": "Anna Lee wrote"}, {"t": "he wrote"}] * 5
    answers = ['[[0,6,"Größe 😀"],[0,99,"Größe 😀"],[5,8,"Größe 😀"],[20,30,"Größe 😀"]]', "[]"] * 5
    learner = make("spans", {"field": "t"}).fit(data, answers, np.random.default_rng(0))
    assert learner.predict(data[:2]).labels == ['[[0,14,"Größe 😀"]]', "[]"]

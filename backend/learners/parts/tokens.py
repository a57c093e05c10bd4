"""Tokens: the words and signs of a text with their positions, and their features for a sequence model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NO_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts that put no blanks between words: Thai, Lao, Burmese, Khmer, kana, Han. Each character is a token."""


class Token(NamedTuple):
    start: int
    end: int
    """Position after the last character; positions count characters (code points) of the text."""
    text: str


def tokens_of(text: str) -> list[Token]:
    """Return words, and each other character but blanks by itself; a combining mark belongs to its base character."""
    places: list[list[int]] = []
    in_word = False
    for position, character in enumerate(text):
        marks = bool(places) and places[-1][1] == position and unicodedata.category(character).startswith("M")
        letter = (character.isalnum() or character == "_") and not _NO_BLANKS.match(character)
        if marks or (letter and in_word):
            places[-1][1] = position + 1
        elif not character.isspace():
            places.append([position, position + 1])
        in_word = letter or (marks and in_word)
    return [Token(start, end, text[start:end]) for start, end in places]


def described(tokens: Sequence[Token]) -> list[list[str]]:
    """Return the features of each token: the word, its beginning, end and shape, and its neighbours."""
    words = [token.text.lower().encode(errors="replace").decode() for token in tokens]
    shapes = [_shape(token.text) for token in tokens]
    found = []
    for i, word in enumerate(words):
        mine = ["bias", f"w={word}", f"shape={shapes[i]}", f"glued={i > 0 and tokens[i - 1].end == tokens[i].start}"]
        for length in range(1, 5):
            if len(word) > length:
                mine += [f"begins={word[:length]}", f"ends={word[-length:]}"]
        for step in (-2, -1, 1, 2):
            there = 0 <= i + step < len(words)
            mine.append(f"{step}:w={words[i + step]}" if there else f"{step}:none")
            if there and abs(step) == 1:
                mine += [f"{step}:shape={shapes[i + step]}", f"{step}:ends={words[i + step][-3:]}"]
        found.append(mine)
    return found


def pieces(tokens: Sequence[Token], size: int) -> Iterator[Sequence[Token]]:
    """Yield at most `size` tokens at a time."""
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


def _shape(word: str) -> str:
    """Return the shape of a word: Xx for Anna, X for USA, d for 1999, xd for b2; signs stay as they are."""
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word]
    shape = "".join(kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind)
    return shape.encode(errors="replace").decode()[:20]

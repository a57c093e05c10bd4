"""Edit distance of two sequences: the smallest number of insertions, deletions and substitutions between them. Pure.

Levenshtein 1966 (Soviet Physics Doklady 10, 707-710). The computation uses the bit vectors of Myers 1999
(doi:10.1145/316542.316550) in the form of Hyyrö 2003 (Nordic Journal of Computing 10, 29-39): one column of the table
is one integer. Only the band around the diagonal is worked on that can hold so few edits (Ukkonen 1985,
doi:10.1016/S0019-9958(85)80046-2). It begins narrow, since most texts of one item are nearly the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence

LONGEST = 10_000
"""Number of characters up to which texts are compared one by one; longer ones are compared word by word."""
WIDEST = 4_096
"""Width of the band, in parts, for sequences of more than LONGEST parts. Only if they shift by more is the distance
given larger than it is.
"""
_NARROW = 128
_WITHOUT_BLANKS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""First words of the names of letters of languages that put no blanks between words."""
_WORD = re.compile(r"\S+\s*")


def distance(one: Sequence[Hashable], other: Sequence[Hashable], most: int | None = None) -> int:
    """Return the edit distance, each edit counting 1. One above `most` may be given as any number above it."""
    if len(one) > len(other):
        one, other = other, one
    begin = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    one, other = one[begin:], other[begin:]
    same = zip(reversed(one), reversed(other), strict=False)
    end = next((i for i, (a, b) in enumerate(same) if a != b), len(one))
    one, other = one[: len(one) - end], other[: len(other) - end]
    if not one or (most is not None and len(other) - len(one) > most):
        return len(other)
    limit = len(other) if most is None else min(most, len(other))
    widest = min(limit, len(other) if len(other) <= LONGEST else WIDEST)
    edits = min(_NARROW, widest)
    while edits < widest:
        found = _within(one, other, edits, edits)
        if found is not None and found <= edits:
            return found
        edits = min(widest, 4 * edits if found is None else found)
    found = _within(one, other, edits, limit)
    return limit + 1 if found is None else found


def _within(one: Sequence[Hashable], other: Sequence[Hashable], edits: int, limit: int) -> int | None:
    """Return the smallest number of edits whose path lies in the band that any path of `edits` edits lies in.

    A result of at most `edits` is the edit distance. None means that there are more than `limit`. `one` must not be the
    longer sequence.
    """
    more = len(other) - len(one)
    beside = max(0, edits - more) // 2
    step = max(4 * _NARROW, edits // 2)
    low = high = rises = falls = corner = 0  # `corner` is the cell below the vectors, in row `low`
    for start in range(0, len(other), step):
        block = other[start : start + step]
        below, above = max(0, start - more - beside), min(len(one), start + step + beside)
        left = (1 << below - low) - 1
        corner += (rises & left).bit_count() - (falls & left).bit_count()
        every = (1 << above - below) - 1
        rises = rises >> below - low | (every ^ ((1 << high - below) - 1))
        falls >>= below - low
        low, high = below, above
        rises, falls = _columns(_places(one[low:high]), block, rises, falls, every)
        corner += len(block)
        done = (1 << min(start + len(block), high) - low) - 1
        if corner + (rises & done).bit_count() - (falls & done).bit_count() > limit + more:
            return None
    return corner + rises.bit_count() - falls.bit_count()


def _places(parts: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return the places of each part as the bits of a number."""
    places: dict[Hashable, int] = {}
    for i, part in enumerate(parts):
        places[part] = places.get(part, 0) | 1 << i
    return places


def _columns(
    places: dict[Hashable, int], block: Sequence[Hashable], rises: int, falls: int, every: int
) -> tuple[int, int]:
    """Return where a cell of the last column is one more (rises) or one less (falls) than the cell below it.

    `rises` and `falls` are given for the column before the block. In the row below the vectors, each column is one more
    than the last. No number is negative: the bits of a negative one are slow.
    """
    beyond = every << 1 | 1
    for part in block:
        same = places.get(part, 0)
        diagonal = ((((same & rises) + rises) ^ rises) | same | falls) & every if same else falls
        up = falls | (every ^ (diagonal | rises))
        down = diagonal & rises
        up += up + 1
        rises = (down + down | (beyond ^ (diagonal | up))) & every
        falls = up & diagonal
    return rises, falls


def similarity(one: str, other: str, least: float = 0.0) -> float:
    """Return 1 - edit distance / length of the longer text, 0 to 1; 1 for the same text.

    One below `least` may be given as any number below it.
    """
    longer = max(len(one), len(other))
    return 1.0 - character_edits(one, other, 1.0 - least) / longer if longer else 1.0


def character_edits(one: str, other: str, most: float = 1.0) -> float:
    """Return the edit distance in characters (code points). One above `most` of the longer text may be given as more.

    Texts longer than LONGEST are compared word by word, and each differing word counts the characters of a mean word.
    """
    longer = max(len(one), len(other))
    if longer <= LONGEST:
        return distance(one, other, _whole(most * longer))
    words, its_words = _WORD.findall(one), _WORD.findall(other)
    parts = max(len(words), len(its_words))
    return distance(words, its_words, _whole(most * parts)) * longer / parts if parts else 0.0


def _whole(edits: float) -> int:
    return int(edits) + 1  # never less than the limit, which is a float


def words_of(text: str) -> list[str] | None:
    """Return the words between blanks; None for a text most of whose letters are of a language that has no blanks
    between words, such as Chinese, Japanese and Thai.
    """
    letters = [letter for letter in text[:LONGEST] if letter.isalpha()]
    without = sum(unicodedata.name(letter, "").startswith(_WITHOUT_BLANKS) for letter in letters if letter > "\u0dff")
    return None if 2 * without > len(letters) else text.split()

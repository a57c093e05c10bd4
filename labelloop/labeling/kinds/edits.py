"""Edit distance of two sequences: the smallest number of insertions, deletions and substitutions between them. Pure.

Levenshtein 1966 (Soviet Physics Doklady 10, 707-710). The computation uses the bit vectors of Myers 1999
(doi:10.1145/316542.316550) in the form of Hyyrö 2003 (Nordic Journal of Computing 10, 29-39). One row of the
table is one integer, so that two texts of 10,000 characters take less than a second.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence

LONGEST = 10_000
"""Number of characters up to which texts are compared one by one; longer ones are compared word by word."""
_WITHOUT_BLANKS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""First words of the names of letters of languages that put no blanks between words."""
_WORD = re.compile(r"\S+\s*")


def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return the edit distance, each edit counting 1."""
    if len(one) > len(other):
        one, other = other, one
    begin = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    one, other = one[begin:], other[begin:]
    same = zip(reversed(one), reversed(other), strict=False)
    end = next((i for i, (a, b) in enumerate(same) if a != b), len(one))
    one, other = one[: len(one) - end], other[: len(other) - end]
    if not one:
        return len(other)
    places: dict[Hashable, int] = {}
    for i, part in enumerate(one):
        places[part] = places.get(part, 0) | 1 << i
    every, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    # Bits of the differences down the column: where the next cell is one more (rises), or one less (falls).
    rises, falls, found = every, 0, len(one)
    for part in other:
        same_here = places.get(part, 0)
        vertical = same_here | falls
        horizontal = (((same_here & rises) + rises) ^ rises) | same_here
        up = (falls | ~(horizontal | rises)) & every
        down = rises & horizontal
        found += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & every, (down << 1) & every
        rises, falls = (down | ~(vertical | up)) & every, up & vertical
    return found


def similarity(one: str, other: str) -> float:
    """Return 1 - edit distance / length of the longer text, 0 to 1; 1 for the same text."""
    longer = max(len(one), len(other))
    return 1.0 - character_edits(one, other) / longer if longer else 1.0


def character_edits(one: str, other: str) -> float:
    """Return the edit distance in characters (code points).

    Texts longer than LONGEST are compared word by word, and each differing word counts the characters of a mean word.
    """
    longer = max(len(one), len(other))
    if longer <= LONGEST:
        return distance(one, other)
    words = [_WORD.findall(text) for text in (one, other)]
    most = max(map(len, words))
    return distance(*words) * longer / most if most else 0.0


def words_of(text: str) -> list[str] | None:
    """Return the words between blanks; None for a text most of whose letters are of a language that has no blanks
    between words, such as Chinese, Japanese and Thai.
    """
    letters = [letter for letter in text[:LONGEST] if letter.isalpha()]
    without = sum(unicodedata.name(letter, "").startswith(_WITHOUT_BLANKS) for letter in letters if letter > "\u0dff")
    return None if 2 * without > len(letters) else text.split()

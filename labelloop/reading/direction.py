"""Direction of writing: labels from right to left inside of a sentence that runs from left to right."""

from __future__ import annotations

import unicodedata

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def isolated(text: str) -> str:
    """Return a text from right to left inside of Unicode's isolates; any other text as it is.

    Without them a number or a bracket after a Hebrew or Arabic label is shown before it
    (https://www.unicode.org/reports/tr9/, section 2.4).
    """
    if text.isascii() or not any(unicodedata.bidirectional(one) in ("R", "AL") for one in text):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"

"""The nearest valid name to one that is not valid, for messages."""

from __future__ import annotations

from collections.abc import Collection

SHOWN = 10
"""Names listed in one message."""
_MOST_COMPARED = 1000
_LONGEST = 100


def did_you_mean(given: object, known: Collection[str]) -> str:
    """Return " (did you mean 'x'?)" with the most similar known name; "" if none is similar."""
    if not isinstance(given, str) or len(given) > _LONGEST:
        return ""
    import difflib  # only a message needs it

    by_folded = {name.casefold(): name for name in list(known)[:_MOST_COMPARED]}
    near = difflib.get_close_matches(given.casefold(), by_folded, n=1)
    return f" (did you mean {by_folded[near[0]]!r}?)" if near else ""


def some(known: Collection[str]) -> str:
    """Return "there are: a, b", with at most SHOWN names and the number of the others."""
    names = list(known)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there are: {', '.join(names[:SHOWN])}{more}"

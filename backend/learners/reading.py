"""Reading: read one field of many items, and report all unreadable items at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from labelloop.errors import Failed, Unreadable
from labelloop.reading.paths import value_at

T = TypeVar("T")


def read_field(data: Sequence[Mapping[str, object]], field: str, read: Callable[[object], T]) -> list[T]:
    """Return `read` of each item's field. `read` raises ValueError with a reason. Raises Unreadable with all faults."""
    found, faults = [], {}
    for position, item in enumerate(data):
        try:
            if (value := value_at(item, field)) is None:
                raise ValueError("is missing")
            found.append(read(value))
        except ValueError as exc:
            faults[position] = f"its field {field!r} {exc}"
    if faults:
        raise Unreadable(faults)
    return found


def one_each(data: Sequence[object], labels: Sequence[str]) -> None:
    """Raise ValueError unless there is a label for each item."""
    if len(data) != len(labels):
        raise ValueError(f"{len(data)} items with {len(labels)} labels")


def different(data: Sequence[object], labels: Sequence[str]) -> None:
    """Raise Failed if there are fewer than two different answers, ValueError unless there is one for each item."""
    one_each(data, labels)
    if len(set(labels)) < 2:
        found = f"all {len(labels)} are {labels[0]!r}" if labels else "there are none"
        raise Failed(f"training needs answers with at least 2 different labels; {found}")


def parsed(labels: Sequence[str], read: Callable[[object], T]) -> list[T]:
    """Return structured answers, parsed by `read`. Raises Failed for an answer of another kind than the learner's."""
    try:
        return [read(label) for label in labels]
    except ValueError as exc:
        raise Failed(f"an answer is of another kind than this learner's: it {exc}") from None

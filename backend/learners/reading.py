"""Reading: one field of many items, with all that cannot be read named at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from labelloop.errors import Failed, Unreadable
from labelloop.reading.paths import value_at

T = TypeVar("T")


def read_field(data: Sequence[Mapping[str, object]], field: str, read: Callable[[object], T]) -> list[T]:
    """`read` of each item's field; it raises ValueError, saying why, where it cannot. Raises Unreadable."""
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
    """Raises ValueError unless there is a label for each item."""
    if len(data) != len(labels):
        raise ValueError(f"{len(data)} items with {len(labels)} labels")


def different(data: Sequence[object], labels: Sequence[str]) -> None:
    """Raises Failed where the answers leave nothing to tell apart, ValueError where they are not one each."""
    one_each(data, labels)
    if len(set(labels)) < 2:
        said = f"all {len(labels)} say {labels[0]!r}" if labels else "there is none"
        raise Failed(f"answers with at least 2 different labels are needed to learn; {said}")


def parsed(labels: Sequence[str], read: Callable[[object], T]) -> list[T]:
    """Structured answers by `read`. Raises Failed for what is none: the loop's answers were of another kind."""
    try:
        return [read(label) for label in labels]
    except ValueError as exc:
        raise Failed(f"an answer is of another kind than this learner's: it {exc}") from None

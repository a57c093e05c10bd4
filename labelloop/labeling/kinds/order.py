"""An order of items, by their ids: a JSON list, the best first: ["c","a","b"].

With buckets it is an object of such lists by bucket: {"best":["c"],"worst":["a","b"]}. An empty bucket is absent, and
an item that stays in the list is in none.

Two answers are compared by what they state: which bucket each item is in, if there are buckets, and of each two items
in one bucket which comes first. The item score is F1 of these statements. For an order without buckets it is
(tau + 1) / 2, where tau is Kendall's (Kendall 1938, doi:10.1093/biomet/30.1-2.81): the share of the pairs of items that
are in the same order.

Consensus: Borda's count (Borda 1781; Dwork et al. 2001, doi:10.1145/371920.372165): an item gets a point for each item
that it comes before in somebody's answer. Items with equal points are ordered by which of them more people put first.
Without a majority for either it is a tie. An item is in the bucket that more than half put it in; it is a tie if there
is none. Agreement is the mean item score of the people's answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from itertools import chain, combinations, groupby, pairwise
from typing import Any, NamedTuple

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.reading import value_of
from labelloop.reading import paths, strict_json

Lists = dict[str, list[str]]
"""Ids by bucket; by "" for an order without buckets."""


def read(control: ControlTag, answer: object) -> Lists:
    """Return the lists. Raises ValueError if the answer has another form, names an item twice or an unknown bucket."""
    example = f'{{"{control.buckets[0]}": ["c", "a"]}}' if control.buckets else '["c", "a", "b"]'
    wanted = f"must be {'lists' if control.buckets else 'a list'} of ids, such as {example}"
    found = value_of(answer, wanted)
    if control.buckets and not isinstance(found, dict):
        raise ValueError(wanted)
    lists = found if control.buckets else {"": found}
    for name, ids in lists.items():
        if not isinstance(ids, list) or not all(
            isinstance(one, str | int) and not isinstance(one, bool) for one in ids
        ):
            raise ValueError(wanted)
        if control.buckets and name not in control.buckets:
            raise ValueError(f"no bucket {name[:40]!r}; there are: {', '.join(control.buckets)}")
    texts = {name: [str(one) for one in ids] for name, ids in lists.items()}
    twice = [one for one, n in Counter(one for ids in texts.values() for one in ids).items() if n > 1]
    if twice:
        raise ValueError(f"the item {twice[0][:40]!r} is there twice")
    return texts


def write(control: ControlTag, lists: Mapping[str, Sequence[str]]) -> str:
    """Return the canonical text."""
    if not control.buckets:
        return strict_json.dumps(list(lists.get("", ())))
    return strict_json.dumps({name: list(lists[name]) for name in control.buckets if lists.get(name)})


def canonical(control: ControlTag, answer: object) -> str:
    lists = read(control, answer)
    if not any(lists.values()) and not control.buckets:
        raise ValueError("names no item")
    return write(control, lists)


def nearest(control: ControlTag, answer: str) -> str:
    return canonical(control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    people = [read(control, answer) for answer in answers]
    placed = _placed(people)
    if placed is None:
        return None, 0.0
    lists: Lists = {}
    for name in control.buckets or ("",):
        ids = sorted(one for one, bucket in placed.items() if bucket == name)
        ordered = _ordered(ids, [one.get(name, []) for one in people])
        if ordered is None:
            return None, 0.0
        lists[name] = ordered
    if not lists.get("", True):
        return None, 0.0
    found = write(control, lists)
    return found, sum(score(control, found, answer) for answer in answers)


def _placed(people: Sequence[Lists]) -> dict[str, str] | None:
    """Return the bucket of each item by its id, without the items that most leave in the list; None for a tie."""
    half, found = len(people) / 2, dict[str, str]()
    buckets: dict[str, Counter[str]] = {}
    for lists in people:
        for name, ids in lists.items():
            for one in ids:
                buckets.setdefault(one, Counter())[name] += 1
    for one, counts in buckets.items():
        name, most = counts.most_common(1)[0]
        if most > half:
            found[one] = name
        elif len(people) - counts.total() <= half:
            return None
    return found


def _ordered(ids: Sequence[str], lists: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the items by Borda's count; None for a tie."""
    points = dict.fromkeys(ids, 0)
    places = []
    for given in lists:
        ranked = [one for one in given if one in points]
        places.append({one: place for place, one in enumerate(ranked)})
        for place, one in enumerate(ranked):
            points[one] += len(ranked) - 1 - place

    def behind(one: str, other: str) -> int:
        """Return how many more people put the first one after the other than before it."""
        there = [place for place in places if one in place and other in place]
        return 2 * sum(place[one] > place[other] for place in there) - len(there)

    found: list[str] = []
    for _, group in groupby(sorted(ids, key=lambda one: (-points[one], one)), key=points.__getitem__):
        equal = sorted(group, key=cmp_to_key(behind))
        # Equal points may also go round in a circle, which a sort does not see. A tie is mostly between two neighbours.
        pairs: Iterator[tuple[str, str]] = chain(pairwise(equal), combinations(equal, 2))
        if any(behind(one, other) >= 0 for one, other in pairs):
            return None
        found += equal
    return found


def score(control: ControlTag, answer: str, predicted: str) -> float:
    one, other = read(control, answer), read(control, predicted)
    same = sum(pairs.same for pairs in _common(one, other) if pairs.is_one_bucket)
    if _names_places(one) and _names_places(other):
        same += len(_places(one).items() & _places(other).items())
    stated = _stated(one) + _stated(other)
    return 2 * same / stated if stated else 1.0


def _stated(lists: Lists) -> int:
    """Return the number of statements: which of two items comes first, and which bucket an item is in."""
    items = sum(map(len, lists.values())) if _names_places(lists) else 0
    return items + sum(len(ids) * (len(ids) - 1) // 2 for ids in lists.values())


def _names_places(lists: Lists) -> bool:
    """Whether an answer states where each item is: in a bucket. The only item of an order states that it is there."""
    return any(lists) or sum(map(len, lists.values())) <= 1


def _places(lists: Lists) -> dict[str, str]:
    return {one: name for name, ids in lists.items() for one in ids}


class Pairs(NamedTuple):
    """Two items each that are in one list of both answers."""

    is_one_bucket: bool
    same: int
    """How many are in the same order in both."""
    reverse: int


def _common(one: Lists, other: Lists) -> list[Pairs]:
    """Return the pairs of items of each list of the one and each list of the other answer."""
    there = {item: (name, place) for name, ids in other.items() for place, item in enumerate(ids)}
    found = []
    for name, ids in one.items():
        places: dict[str, list[int]] = {}
        for bucket, place in (there[item] for item in ids if item in there):
            places.setdefault(bucket, []).append(place)
        for bucket, common in places.items():
            reverse = _inversions(common)
            found.append(Pairs(bucket == name, len(common) * (len(common) - 1) // 2 - reverse, reverse))
    return found


def _inversions(numbers: list[int]) -> int:
    """Return how many pairs of these different numbers are in falling order, while they are sorted by merging."""
    found, width = 0, 1
    while width < len(numbers):
        merged: list[int] = []
        for start in range(0, len(numbers), 2 * width):
            left, right = numbers[start : start + width], numbers[start + width : start + 2 * width]
            done = 0
            for number in right:
                while done < len(left) and left[done] < number:
                    done += 1
                found += len(left) - done
            merged += sorted(left + right)
        numbers, width = merged, 2 * width
    return found


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    """Return Kendall's `tau`, -1 (the reverse) to 1, of the pairs that both answers have in one list.

    With buckets also `same_bucket`, the share of the items in the same bucket among those that are in one in either.
    """
    one, other = read(control, answer), read(control, predicted)
    common = _common(one, other)
    same, reverse = sum(pairs.same for pairs in common), sum(pairs.reverse for pairs in common)
    found = {"tau": (same - reverse) / (same + reverse)} if same + reverse else {}
    if control.buckets:
        first, second = _places(one), _places(other)
        items = first.keys() | second.keys()
        found["same_bucket"] = len(first.items() & second.items()) / len(items) if items else 1.0
    return found


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError if the answer names an item that the data does not have, or lacks one.

    Items may be missing only if they may stay in the list: with buckets none of which is the default.
    """
    there = ids_in(control, data)
    if there is None:
        return
    given, known = _places(read(control, answer)), set(there)
    if unknown := [one for one in given if one not in known]:
        raise ValueError(f"no item {unknown[0][:40]!r} in data.{control.data_field}; there are: {_some(there)}")
    if missing := [one for one in there if one not in given]:
        if not control.buckets:
            raise ValueError(f"an order names every item; missing: {_some(missing)}")
        if control.default:
            raise ValueError(f"every item is in a bucket; missing: {_some(missing)}")


def ids_in(control: ControlTag, data: Mapping[str, Any]) -> list[str] | None:
    """Return the ids of the items that the control orders, as Label Studio writes them; None if they are not known."""
    items = paths.value_at(data, control.data_field) if control.data_field else None
    if not isinstance(items, list) or not all(isinstance(one, dict) and "id" in one for one in items):
        return None
    return list(dict.fromkeys(_as_id(one["id"]) for one in items))


def _as_id(given: object) -> str:
    """Return an id as the editor's String() writes it."""
    if isinstance(given, bool):
        return str(given).lower()
    return str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(repr(one[:40]) for one in ids[:10]) + (", ..." if len(ids) > 10 else "")

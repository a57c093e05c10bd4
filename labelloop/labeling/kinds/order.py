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
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from itertools import combinations
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.reading import json_of
from labelloop.reading import paths, strict_json

Lists = dict[str, list[str]]
"""Ids by bucket; by "" for an order without buckets."""


def read(control: ControlTag, answer: object) -> Lists:
    """Return the lists. Raises ValueError if the answer has another form, names an item twice or an unknown bucket."""
    found = json_of(answer)
    if not control.buckets:
        lists = {"": found}
        example = '["c", "a", "b"]'
    else:
        example = f'{{"{control.buckets[0]}": ["c", "a"]}}'
        lists = found if isinstance(found, dict) else {"": None}
    for name, ids in lists.items():
        if not isinstance(ids, list) or not all(
            isinstance(one, str | int) and not isinstance(one, bool) for one in ids
        ):
            raise ValueError(f"must be {'lists' if control.buckets else 'a list'} of ids, such as {example}")
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
    places = [{one: place for place, one in enumerate(given)} for given in lists]
    before: Counter[tuple[str, str]] = Counter()
    for place in places:
        for one, other in combinations([one for one in ids if one in place], 2):
            before[(one, other) if place[one] < place[other] else (other, one)] += 1
    points = {one: sum(before[one, other] for other in ids) for one in ids}

    def compare(one: str, other: str) -> int:
        by_points = points[other] - points[one]
        return by_points or before[other, one] - before[one, other]

    ordered = sorted(ids, key=cmp_to_key(compare))
    # Equal points may also go round in a circle, which a sort does not see.
    equal = [
        (one, other)
        for place, one in enumerate(ordered)
        for other in ordered[place + 1 :]
        if points[one] == points[other]
    ]
    return None if any(before[one, other] <= before[other, one] for one, other in equal) else ordered


def score(control: ControlTag, answer: str, predicted: str) -> float:
    one, other = _stated(read(control, answer)), _stated(read(control, predicted))
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def _stated(lists: Lists) -> frozenset[tuple[str, str, str]]:
    """Return what an answer states: (first, second, bucket) for two items, ("", item, bucket) for one in a bucket.

    The only item of an order states that it is there.
    """
    found = {(a, b, name) for name, ids in lists.items() for a, b in combinations(ids, 2)}
    alone = not any(name for name in lists) and sum(map(len, lists.values())) > 1
    return frozenset(found if alone else found | {("", one, name) for name, ids in lists.items() for one in ids})


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    """Return Kendall's `tau`, -1 (the reverse) to 1, of the pairs that both answers have in one list.

    With buckets also `same_bucket`, the share of the items in the same bucket among those that are in one in either.
    """
    one, other = read(control, answer), read(control, predicted)
    pairs = [{(a, b) for ids in lists.values() for a, b in combinations(ids, 2)} for lists in (one, other)]
    same = len(pairs[0] & pairs[1])
    reverse = len(pairs[0] & {(b, a) for a, b in pairs[1]})
    found = {"tau": (same - reverse) / (same + reverse)} if same + reverse else {}
    if control.buckets:
        first, second = ({(one, name) for name, ids in lists.items() for one in ids} for lists in (one, other))
        items = {one for one, _ in first | second}
        found["same_bucket"] = len(first & second) / len(items) if items else 1.0
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
    given = [one for ids in read(control, answer).values() for one in ids]
    if unknown := [one for one in given if one not in there]:
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

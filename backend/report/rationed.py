"""Count what a budget makes of the outputs that a rule sends: how many become tasks on each day, wait or pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date
from typing import Any

from labelloop.queue import daily
from labelloop.queue.budget import Origin
from labelloop.queue.lanes import Placement
from labelloop.spec.loop import LoopSpec
from labelloop.store.questions.routed import Routed

MOST_NAMES = 1000
"""Labels and sources that are counted apart; the rest is counted together."""
OTHERS = "(others)"
FATES = ("sent", "tasks", "waiting", "passed")
Report = dict[str, Any]


def rationed_report(spec: LoopSpec, sent: Iterable[tuple[Routed, Placement]]) -> Report | None:
    """Return what the spec's budget makes of the outputs that its rule sends; None without a budget.

    `sent` is read to its end in any case. It has the earliest first, with their places by this spec.

    The numbers are "sent" (by the rule, in all lanes), "tasks", "passed" (because a limit kept them out), and "waiting"
    at the end. The last three sum to "sent". "days" has the same numbers for each day in UTC, where "waiting" is that
    at the end of the day. If the budget limits sources or labels, "sources" or "labels" has the numbers by name, in all
    and for each day. Outputs without a source or label have the name None.
    """
    if spec.budget is None:
        for _ in sent:
            pass
        return None
    parts = [name for name, caps in _parts(spec).items() if caps]
    total, by_day = _Count(parts), list[Report]()
    for day in daily.days(spec, spec.budget, _items(sent)):
        of_day = _Count(parts)
        for count in (total, of_day):
            count.add("sent", Counter(one.origin for one in day.sent))
            count.add("tasks", Counter(one.origin for one in day.tasks))
            count.add("passed", Counter(one.origin for one in day.passed))
            count.set("waiting", day.waiting)
        by_day.append({"day": day.day, **of_day.report()})
    return {"over": spec.budget.over, **total.report(), "days": by_day}


def known_name(names: set[str], name: str | None) -> str | None:
    """Return the name under which an output is counted: OTHERS if there are too many, so that they fit into memory."""
    if name is None or name in names:
        return name
    if len(names) >= MOST_NAMES:
        return OTHERS
    names.add(name)
    return name


def _items(sent: Iterable[tuple[Routed, Placement]]) -> Iterator[tuple[date, daily.Sent]]:
    """Yield the outputs by day, as the budget sees them."""
    origins = dict[Origin, Origin]()  # one object for all outputs of an origin, which many have
    for row, placed in sent:
        assert placed.utility is not None  # people see it
        origin = Origin(row.source or "", placed.label or "")
        one = daily.Sent(row.id, row.key, placed.lane, placed.utility, origins.setdefault(origin, origin))
        yield row.received_at.astimezone(UTC).date(), one


class _Count:
    """Numbers by fate, and by fate and name for the parts that the budget limits."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._all = Counter[str]()
        self._parts: dict[str, dict[str, Counter[str]]] = {part: defaultdict(Counter) for part in parts}

    def add(self, fate: str, origins: Mapping[Origin, int]) -> None:
        for origin, n in origins.items():
            self._all[fate] += n
            for part, counts in self._parts.items():
                name = origin.source if part == "sources" else origin.label
                counts[name if name in counts or len(counts) < MOST_NAMES else OTHERS][fate] += n

    def set(self, fate: str, origins: Mapping[Origin, int]) -> None:
        """Forget the numbers of this fate, and add these."""
        for count in (self._all, *(count for counts in self._parts.values() for count in counts.values())):
            count.pop(fate, None)
        self.add(fate, origins)

    def report(self) -> Report:
        rows = {
            part: [
                {"name": name or None, **_fates(count)}
                for name, count in sorted(counts.items(), key=lambda item: (-item[1]["sent"], item[0]))
                if any(count.values())
            ]
            for part, counts in self._parts.items()
        }
        return {**_fates(self._all), **rows}


def _fates(count: Mapping[str, int]) -> dict[str, int]:
    return {fate: count.get(fate, 0) for fate in FATES}


def _parts(spec: LoopSpec) -> dict[str, Mapping[str, int]]:
    assert spec.budget is not None
    return {"sources": spec.budget.per_source, "labels": spec.budget.per_label}

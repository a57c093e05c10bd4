"""Flags: who is to be looked at, and why. Pure.

An honest person is one for whom the five claims in `Reason` hold. Such a person is ever flagged in at most FALSE_ALARM
of cases, over the life of a loop and however often somebody looks: labelloop/answers/trust/betting.py. Where the
others err more often than a claim allows, the items are hard, and the claim gives way: nobody is flagged for being as
good as the others.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelloop.answers.trust.betting import Floats, first_above, more_often, share_above
from labelloop.answers.trust.said import Compared, Said, asked_together, by_person, on_gold, pairs, with_others

FALSE_ALARM = 0.01
"""Largest probability with which an honest person is ever flagged, all five claims together."""


class Reason(StrEnum):
    """The claim that does not hold."""

    GOLD = "errs often on gold"
    """At most ON_GOLD of the answers to gold are incorrect."""
    OTHERS = "differs from the others"
    """At most WITH_ONE of the answers differ from that of one other person, and WITH_SEVERAL from that of several."""
    COPIES = "keeps incorrect prelabels"
    """At most KEPT of the prelabels that are known to be incorrect are kept."""
    HOLDOUT = "differs more on the hold-out set"
    """Answers differ from the shown label on held-out outputs at most as often as on others."""
    FAST = "answers too fast"
    """At most QUICK of the answers take less time than the fastest tenth of the others' answers."""


LIMIT = len(Reason) / FALSE_ALARM
ON_GOLD, WITH_ONE, WITH_SEVERAL, KEPT, QUICK = 0.15, 0.3, 0.2, 0.3, 0.5
BESIDE = 0.15
"""How much more often than others a person may keep prelabels that others contradict."""
LEAST_AMONG = 20
"""Outputs that two of the others must both have answered, before anybody is compared with them: of two people who
differ, nobody knows which one errs."""
FASTEST = 0.1
LEAST_TIMES = 30
"""Smallest number of the others' times from which their fastest tenth is known."""
ENOUGH = 50
"""Answers with a known correct one from which a person without a flag is called fine. See docs/engineers/people.md."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A claim that does not hold for a person."""

    reason: Reason
    at: datetime
    """Time of the answer with which it became clear."""
    events: int
    """How often what the claim is about has happened, in all answers of today."""
    of: int
    """In how many."""
    claimed: float | None
    """Largest share that the claim allows; None where two shares are compared."""
    elsewhere: tuple[int, int] | None = None
    """For HOLDOUT: the same two numbers for other outputs."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The flags of one person, and the answers that were compared."""

    flags: Sequence[Flag]
    """In the order of their times."""
    gold: Sequence[Compared]
    others: Sequence[Compared]

    @property
    def known(self) -> int:
        """Number of answers with a known correct one."""
        return len(self.gold) + len(self.others)

    @property
    def status(self) -> str:
        """Return `look at`, `fine`, or `too few answers`."""
        return "look at" if self.flags else "fine" if self.known >= ENOUGH else "too few answers"


def watch(rows: Sequence[Said], overlap: int) -> dict[Hashable, Watched]:
    """Return the flags of each person.

    The answers of a flagged person measure nobody: the others are looked at again without them.
    """
    people, together = by_person(rows), asked_together(rows, overlap)
    counted = pairs(together)
    flagged: dict[Hashable, Watched] = {}
    while True:
        bad = frozenset(flagged)
        compared = with_others(together, bad)
        found = {person: _watched(person, people, compared, counted, bad) for person in people if person not in bad}
        new = [(min(flag.at for flag in one.flags), str(person), person) for person, one in found.items() if one.flags]
        if not new:
            return {**found, **flagged}
        first = min(new)[2]
        flagged[first] = found[first]


def _watched(
    person: Hashable,
    people: Mapping[Hashable, Sequence[Said]],
    compared: Mapping[Hashable, Sequence[Compared]],
    counted: Mapping[frozenset[Hashable], tuple[int, int]],
    bad: frozenset[Hashable],
) -> Watched:
    rows = people[person]
    rest = [one for other, answers in people.items() if other != person and other not in bad for one in answers]
    gold, others = on_gold(rows), compared.get(person, [])
    among = [numbers for both, numbers in counted.items() if person not in both and not both & bad]
    n = sum(n for n, _ in among)
    usual = _usual(n, sum(differ for _, differ in among))
    judged = others if n >= LEAST_AMONG else []
    theirs = [one for other, found in compared.items() if other not in (person, *bad) for one in found]
    golden = on_gold(rest)
    on_theirs = _usual(len(golden), sum(one.wrong for one in golden))
    found = [
        _above(Reason.GOLD, gold, [one.wrong for one in gold], max(ON_GOLD, on_theirs)),
        _above(
            Reason.OTHERS,
            judged,
            [one.wrong for one in judged],
            max(WITH_SEVERAL, usual),
            [max(WITH_ONE if len(one.by) == 1 else WITH_SEVERAL, usual) for one in judged],
        ),
        _copies([*gold, *judged], golden, [one for one in theirs if person not in one.by]),
        _on_holdout(rows),
        _fast(rows, rest),
    ]
    return Watched(sorted((flag for flag in found if flag), key=lambda flag: flag.at), gold, others)


def _usual(n: int, wrong: int) -> float:
    """Return the share of `wrong` among `n` and one standard error, at most 0.95; 0 without any."""
    return min(0.95, wrong / n + math.sqrt(wrong * (n - wrong) / n) / n) if n else 0.0


def _above(
    reason: Reason,
    compared: Sequence[Compared],
    happened: Sequence[bool],
    claimed: float,
    each: Sequence[float] | None = None,
) -> Flag | None:
    return _flag(
        reason,
        [one.at for one in compared],
        happened,
        share_above(happened, each or [claimed] * len(compared)),
        claimed,
    )


def _copies(compared: Sequence[Compared], gold: Sequence[Compared], theirs: Sequence[Compared]) -> Flag | None:
    """Look at the answers whose shown prelabel was incorrect, by gold or by what the others said.

    The others may be wrong where the prelabel is correct, so what they say is no proof. There the claim is what others
    do in the same case, and BESIDE. `gold`, `theirs`: answers of others to gold, and beside those of people other than
    this one.
    """

    def shown_wrong(rows: Sequence[Compared]) -> list[Compared]:
        known = [one for one in rows if one.said.kept is not None and one.said.shown not in (None, one.truth)]
        return sorted(known, key=lambda one: one.at)

    on_gold, beside = (
        _usual(len(rows), sum(bool(one.said.kept) for one in rows)) for rows in map(shown_wrong, (gold, theirs))
    )
    mine, by_others = shown_wrong(compared), min(0.95, max(KEPT, beside + BESIDE))
    each = [by_others if one.by else max(KEPT, on_gold) for one in mine]
    return _above(Reason.COPIES, mine, [bool(one.said.kept) for one in mine], max(KEPT, *each, 0.0), each)


def _on_holdout(rows: Sequence[Said]) -> Flag | None:
    """Pair each held-out answer with an earlier one that is not held out, of the same side of the trigger."""
    free: dict[bool | None, list[Said]] = {}
    pairs = []
    for row in rows:
        if row.gold is not None or row.shown is None:
            continue
        waiting = free.setdefault(row.triggered, [])
        if not row.holdout:
            waiting.append(row)
        elif waiting:
            pairs.append((row, waiting.pop()))
    here, there = ([pair[i].label != pair[i].shown for pair in pairs] for i in (0, 1))
    flag = _flag(Reason.HOLDOUT, [pair[0].at for pair in pairs], here, more_often(here, there), None)
    if flag is None:
        return None
    return Flag(flag.reason, flag.at, flag.events, flag.of, None, (sum(there), len(there)))


def _fast(rows: Sequence[Said], rest: Sequence[Said]) -> Flag | None:
    times = sorted(one.seconds for one in rest if one.seconds is not None)
    if len(times) < LEAST_TIMES:
        return None
    limit = times[int(FASTEST * len(times))]
    timed = [one for one in rows if one.seconds is not None]
    quick = [one.seconds is not None and one.seconds < limit for one in timed]
    return _flag(Reason.FAST, [one.at for one in timed], quick, share_above(quick, [QUICK] * len(quick)), QUICK)


def _flag(
    reason: Reason, times: Sequence[datetime], happened: Sequence[bool], capital: Floats, claimed: float | None
) -> Flag | None:
    place = first_above(capital, LIMIT)
    return None if place is None else Flag(reason, times[place], sum(happened), len(happened), claimed)

"""Opinions: how many answers each item took, how certain the agreed answers are, and how good each person is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.report.parts import Report, as_json
from backend.report.words import percent, said
from labelloop.errors import UsageError
from labelloop.gate import Accuracy
from labelloop.spec.loop import LoopSpec
from labelloop.spec.opinions import CROWDLAB, MAJORITY
from labelloop.store.database import Conn
from labelloop.store.opinions import counts, unsettled
from labelloop.store.opinions.counts import Counted, GoldItem, Judged, Made
from labelloop.store.opinions.unsettled import Unsettled
from labelloop.store.questions import people as people_store
from labelloop.store.questions.people import ReviewerWork
from labelloop.store.tables import loops

LEAST_ON_GOLD = 2
"""People who must have answered a gold item before it can look wrong."""
MOST_NAMED = 20
"""Gold items that the report names; it counts the others."""
MOST_SKIPPED = 3
"""Skipped items that a sentence names."""
UNKNOWN = "Somebody who was deleted in Label Studio"


def opinions_report(conn: Conn, loop: str) -> Report:
    """Return the opinions on a loop's items.

    Keys as in loop.yaml: "consensus", "overlap", and "opinions" with the "sure" in force. Counts, without gold: "items"
    and "answers", with the "mean" number of answers an item. Items on which people do not agree are "unclear". Items
    about which one more person is asked are "asked". The number of people who ever answered is "persons". The asked
    items that all of them have answered are "without_person".

    A row for each number of answers is in "numbers", with the keys of Counted. The mean of the clear answers' certainty
    is "certainty", None by majority.

    The keys of open items that everybody has skipped or answered are "skipped", some of them if there are many.

    Each of "people" has "quality", "gold" and "wrong_prelabels", with "low" and "high" of the 95 % interval. "gold" has
    the items that people contradict. "sentences" say all of it. Shares are 0 to 1. Raises UsageError if there is no
    such loop.
    """
    names = loops.names(conn, archived=True)
    if loop not in names:  # compared in Python, because Postgres refuses a text that holds a NUL
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    spec = loops.get(conn, loop)
    assert spec is not None
    numbers = counts.by_number(conn, loop)
    made = counts.estimate(conn, loop) if spec.consensus != MAJORITY else None
    judged = [] if made is None else counts.people(conn, made.id)
    work = people_store.work(conn, loop)
    gold, answered_gold = counts.contradicted_gold(conn, loop, LEAST_ON_GOLD), counts.answered_gold(conn, loop)
    found = {**_numbers(numbers), **_without_person(numbers, work)}
    people = _people(work, judged)
    skipped = unsettled.skipped_by_all(conn, loop, spec.adjudicators, MOST_NAMED)
    return as_json(
        {
            "loop": loop,
            "consensus": spec.consensus,
            "opinions": _rule(spec),
            "overlap": spec.overlap,
            **found,
            "estimate": None if made is None else made._asdict(),
            "people": people,
            "skipped": [row.key for row in skipped],
            "gold": {
                "answered": answered_gold,
                "contradicted": len(gold),
                "items": [{"key": one.key, "gold": one.gold, "said": dict(one.said)} for one in gold[:MOST_NAMED]],
            },
            "sentences": [
                *_sentences(spec, found, made),
                *filter(None, [_skipped(spec, skipped)]),
                *_gold_sentences(gold, answered_gold),
            ],
        }
    )


def headline(conn: Conn, spec: LoopSpec) -> str | None:
    """Return the words for the loop's page: how many answers the items took, and how many items wait for a person who
    is not there. None if nobody answered an item.
    """
    numbers = counts.by_number(conn, spec.name)
    found = _numbers(numbers)
    if not found["items"]:
        return None
    return " ".join([_settled(found), *_waiting(conn, spec, numbers, found["asked"])])


def waiting_for_nobody(conn: Conn, spec: LoopSpec) -> str | None:
    """Return the sentence about items that wait for a person who is not there; None if there are none."""
    numbers = counts.by_number(conn, spec.name)
    return next(iter(_waiting(conn, spec, numbers, sum(row.asked for row in numbers))), None)


def skipped_by_all(conn: Conn, spec: LoopSpec) -> str | None:
    """Return the sentence about open items that everybody skipped; None if there are none."""
    return _skipped(spec, unsettled.skipped_by_all(conn, spec.name, spec.adjudicators, MOST_NAMED))


def _waiting(conn: Conn, spec: LoopSpec, numbers: Sequence[Counted], asked: int) -> list[str]:
    return _alone(_without_person(numbers, people_store.work(conn, spec.name))) if asked else []


def person_line(row: ReviewerWork) -> Report:
    """Return a person's work with the rate of wrong prelabels that were kept."""
    plain: Report = as_json({"row": row})["row"]
    return {**plain, "gold": _gold(row), "wrong_prelabels": _wrong(row)}


def rate(kept: int, shown: int) -> Report:
    """Return {"kept", "shown", "share", "low", "high"}: the share of the shown ones, with its 95 % interval."""
    found = Accuracy.of(kept, shown)
    return {"kept": kept, "shown": shown, "share": found.accuracy, "low": found.low, "high": found.high}


def _gold(row: ReviewerWork) -> Report:
    return {"n": row.gold_asked, **Accuracy.of(row.gold_right, row.gold_asked).as_json()}


def _wrong(row: ReviewerWork) -> Report:
    return rate(row.wrong_kept, row.wrong_shown)


def _rule(spec: LoopSpec) -> Report | None:
    """Return the rule for further opinions with the `sure` in force, which is None by majority."""
    if spec.opinions is None:
        return None
    return {**spec.opinions.model_dump(), "sure": None if spec.consensus == MAJORITY else spec.opinions.enough}


def _numbers(rows: Sequence[Counted]) -> dict[str, Any]:
    items, answers = sum(row.items for row in rows), sum(row.items * row.answers for row in rows)
    weighed = [row for row in rows if row.certainty is not None]
    clear = sum(row.clear for row in weighed)
    return {
        "items": items,
        "answers": answers,
        "mean": answers / items if items else None,
        "numbers": [{**row._asdict(), "share": row.items / items} for row in rows],
        "certainty": sum((row.certainty or 0.0) * row.clear for row in weighed) / clear if clear else None,
        "unclear": sum(row.unclear for row in rows),
        "asked": sum(row.asked for row in rows),
    }


def _without_person(numbers: Sequence[Counted], work: Sequence[ReviewerWork]) -> dict[str, int]:
    """Return the number of people who ever answered, and of the asked items that all of them have answered."""
    persons = len({row.email or row.reviewer for row in work if row.answered})
    return {"persons": persons, "without_person": sum(row.asked for row in numbers if row.answers >= persons)}


def _people(work: Sequence[ReviewerWork], judged: Sequence[Judged]) -> list[Report]:
    """Return each person with quality, accuracy on gold and wrong prelabels kept."""
    quality = {row.reviewer: row for row in judged}
    people = []
    for row in work:
        known = quality.get(row.reviewer)
        shared = 0 if known is None else known.shared
        value: Report = {"value": None, "low": None, "high": None, "shared": shared}
        if known is not None:
            value |= {"value": known.accuracy, "low": known.low, "high": known.high}
        people.append(
            {
                "name": row.reviewer or UNKNOWN,
                "answered": row.answered,
                "quality": value,
                "gold": _gold(row),
                "wrong_prelabels": _wrong(row),
            }
        )
    return people


def _sentences(spec: LoopSpec, found: dict[str, Any], made: Made | None) -> list[str]:
    if not found["items"]:
        return ["Nobody has answered an item yet."]
    sentences = [_settled(found)]
    if found["asked"]:
        sentences.append(f"One more person is asked about {_items(found['asked'])}.")
    sentences += _alone(found)
    if found["unclear"]:
        sentences.append(
            f"People do not agree on {_items(found['unclear'])}: there is no answer, and no model learns from "
            f"{'it' if found['unclear'] == 1 else 'them'}."
            + (" Adjudicators find them in the tab Adjudicate." if spec.adjudicators else "")
        )
    if spec.consensus == MAJORITY:
        sentences.append("Each person's answer counts the same (consensus: majority).")
    elif made is None:
        sentences.append("The quality of people is not estimated yet; until then each answer counts the same.")
    else:
        if found["certainty"] is not None:
            sentences.append(f"In the mean an answer is correct with a probability of {percent(found['certainty'])}.")
        sentences.append(
            f"The quality of people is estimated from {made.answers} answers to {_items(made.items)}: how often each "
            "person agrees with what the others make probable."
        )
        if spec.consensus == CROWDLAB and made.learner is None:
            sentences.append("The learner has not spoken about enough items with two answers; people alone count.")
    return sentences


def _alone(found: Mapping[str, int]) -> list[str]:
    """Say how many items wait for somebody who has not answered anything yet."""
    n = found["without_person"]
    if not n:
        return []
    words = (
        f"{_items(n)} {'waits' if n == 1 else 'wait'} for one more person than have ever answered here "
        f"({found['persons']}): let somebody else work in the project in Label Studio, or lower opinions.most."
    )
    return [words]


def _skipped(spec: LoopSpec, rows: Sequence[Unsettled]) -> str | None:
    if not rows:
        return None
    n, named = len(rows), ", ".join(row.key for row in rows[:MOST_SKIPPED])
    many = "or more " if n == MOST_NAMED else ""
    rest = f" and {n - MOST_SKIPPED} others" if n > MOST_SKIPPED else ""
    way = (
        "Adjudicators find them in the tab Adjudicate" if spec.adjudicators else "Let somebody else work in the project"
    )
    return (
        f"{_items(n)} {many}wait{'s' if n == 1 else ''}, and everybody at work has skipped or answered "
        f"{'it' if n == 1 else 'them'}: {named}{rest}. {way}, or answer over HTTP."
    )


def _settled(found: dict[str, Any]) -> str:
    """Say how many answers the items took."""
    parts = [
        f"{percent(row['share'])} have {row['answers']} answer{'s' if row['answers'] > 1 else ''}"
        for row in found["numbers"]
    ]
    return f"{_items(found['items'])} took {found['mean']:.2f} answers in the mean: {', '.join(parts)}."


def _gold_sentences(gold: Sequence[GoldItem], answered: int) -> list[str]:
    if not gold:
        return []
    named = [
        f"{one.key} (gold {said(one.gold)}; people said "
        + ", ".join(f"{said(label)} {n} times" for label, n in one.said.items())
        + ")"
        for one in gold[:MOST_NAMED]
    ]
    more = f" and {len(gold) - MOST_NAMED} more" if len(gold) > MOST_NAMED else ""
    words = (
        f"{len(gold)} of {answered} answered gold items look wrong, because most people contradict them: "
        f"{'; '.join(named)}{more}. As long as a gold answer is wrong, it counts against those who are right."
    )
    return [words]


def _items(n: int) -> str:
    return f"{n} item" if n == 1 else f"{n} items"

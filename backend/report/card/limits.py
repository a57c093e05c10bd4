"""Limits: what a version is not good for, and what its figures cannot show, in sentences drawn from its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FEW_TAUGHT = 20
FEW_HELD_OUT = 10
"""Fewer held-out answers of a label say next to nothing: with 10 the interval is some 50 points wide."""
MOST_ECE = 0.1
"""An expected calibration error above this is named, where the loop's gate has no limit of its own."""
NAMED = 10
Card = Mapping[str, Any]


def limits(card: Card) -> list[str]:
    """Pure; what weighs most comes first."""
    return [*_file(card), *_judged(card), *_labels(card), *_people(card), *_chosen(card)]


def _file(card: Card) -> Iterator[str]:
    if trouble := card["model"]["file"]["trouble"]:
        yield f"It cannot serve: {trouble}."
    stale = card["data"]["stale"]
    n = stale["changed"] + stale["withdrawn"]
    if n:
        yield (
            f"{n} of the {card['data']['answers']} answers that it learned from do not hold any more "
            f"({stale['changed']} say something else now, {stale['withdrawn']} were withdrawn)."
        )


def _judged(card: Card) -> Iterator[str]:
    metrics = card["metrics"]
    if not metrics["holdout"]:
        yield "No held-out answers judged it: how good it is is not known."
        return
    measured = metrics["accuracy"] or {}
    if measured.get("low") is not None and measured.get("high") is not None:
        yield (
            f"Its {'score' if metrics['metric'] == 'score' else 'accuracy'} is measured on {metrics['holdout']} "
            f"held-out answers: anything from {100 * measured['low']:.1f} to {100 * measured['high']:.1f} % fits them."
        )
    if metrics["detectable"] is not None:
        yield (
            f"The hold-out cannot show small differences: a gain below {100 * metrics['detectable']:.1f} points "
            "over the model before it would have been seen with a chance of less than 80 %."
        )
    looks = (metrics["reuse"] or {}).get("looks")
    if looks:
        yield (
            f"The same held-out answers had judged {looks} {'run' if looks == 1 else 'runs'} before this one, so "
            "figures that look good may be luck in part."
        )
    fell = [slice_ for slice_ in card["slices"] or [] if slice_.get("fell")]
    for slice_ in fell[:NAMED]:
        yield (
            f"It is worse, beyond chance, than the model before it where {slice_['by']} is {slice_['value']!r}: "
            f"{100 * slice_['gain']:+.1f} points on {slice_['n']} held-out answers."
        )
    if len(fell) > NAMED:
        yield f"It is worse, beyond chance, in {len(fell) - NAMED} slices more."
    ece = ((card["calibration"] or {}).get("challenger") or {}).get("ece")
    if ece is not None and ece > (metrics["max_ece"] or MOST_ECE):
        yield (
            f"Its confidence is not to be taken as a probability: calibration error (ECE) {100 * ece:.1f} %, the mean "
            "distance of confidence and accuracy."
        )


def _labels(card: Card) -> Iterator[str]:
    asked = card["use"]["labels"]
    if not asked or not card["data"]["answers"]:
        return  # numbers and free texts: each is rare
    counted = {row["label"]: row for row in card["data"]["labels"] if row["label"] is not None}
    classes = card["model"]["classes"]
    never = [label for label in asked if label not in classes]
    if never:
        yield f"It can never say {_named(never)}: no answer that it learned from does."
    gone = [label for label in classes if label not in asked]
    if gone:
        yield f"It may say {_named(gone)}, which the loop does not ask for any more."
    few = [f"{label} ({row['taught']})" for label, row in counted.items() if 0 < row["taught"] < FEW_TAUGHT]
    if few:
        yield f"It has seen little of {_several(few)}: fewer than {FEW_TAUGHT} answers each."
    if card["metrics"]["holdout"]:
        unseen = [label for label, row in counted.items() if row["taught"] and row["held_out"] < FEW_HELD_OUT]
        if unseen:
            yield f"How well it tells {_named(unseen)} is not known: fewer than {FEW_HELD_OUT} held-out answers each."


def _people(card: Card) -> Iterator[str]:
    people, answers = card["data"]["reviewers"]["people"], card["data"]["answers"]
    if answers and not people:
        yield "Whose the answers are that it learned from is not on record."
    elif people == 1:
        yield "One person gave all answers that it learned from: it has that person's habits."
    elif people and card["data"]["reviewers"]["most_by_one"] > 0.8 * answers:
        share = card["data"]["reviewers"]["most_by_one"] / answers
        yield f"One of its {people} reviewers stands behind {100 * share:.0f} % of the answers that it learned from."
    agreement = (card["metrics"]["reviewers"] or {}).get("agreement")
    if agreement is not None and agreement < 0.8:
        yield (
            f"People agree on {100 * agreement:.0f} % of the held-out answers that several gave: no model can be "
            "measured much better than that."
        )


def _chosen(card: Card) -> Iterator[str]:
    if (rule := card["data"]["lanes"].get("rule")) is not None and card["data"]["answers"]:
        yield (
            f"{100 * rule / card['data']['answers']:.0f} % of what it learned from was chosen because a model was "
            "unsure of it: its labels are not as frequent there as in what comes in."
        )
    if card["metrics"]["holdout"]:
        yield (
            "People saw a prelabel while they answered the hold-out, and lean to what they are shown: the model that "
            "served then looks a little better than it is."
        )


def _named(labels: list[str]) -> str:
    return _several([repr(label) for label in labels])


def _several(words: list[str]) -> str:
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more

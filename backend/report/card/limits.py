"""Limits of a version and of its figures, in sentences made from its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FEW_TAUGHT = 20
"""A label with fewer training answers is named."""
FEW_HELD_OUT = 10
"""A label with fewer held-out answers is named. With 10 answers the confidence interval is about 50 points wide."""
MOST_ECE = 0.1
"""A higher expected calibration error is named, unless the loop's gate has a limit of its own."""
LABELS_NAMED = 10
"""Labels, or slices, named in one sentence or list; the rest are counted."""
Card = Mapping[str, Any]


def limits(card: Card) -> list[str]:
    """Return the limits as sentences, the most important first."""
    return [*_file(card), *_judged(card), *_labels(card), *_people(card), *_chosen(card)]


def _file(card: Card) -> Iterator[str]:
    if trouble := card["model"]["file"]["trouble"]:
        yield f"It cannot serve predictions: {trouble}."
    stale = card["data"]["stale"]
    n = stale["changed"] + stale["withdrawn"]
    if n:
        yield (
            f"It was trained on {card['data']['answers']} answers, of which {n} are stale "
            f"({stale['changed']} changed, {stale['withdrawn']} withdrawn)."
        )
    bad = card["data"]["distrusted"]
    if bad["taught"] or bad["judged"]:
        yield (
            f"{bad['taught']} of its training answers and {bad['judged']} of its held-out ones rest on a person whose "
            "answers do not count any more, by somebody's decision."
        )
    if n := card["data"]["accepted"]:
        yield (
            f"It was also trained on {n:,} {'output' if n == 1 else 'outputs'} that passed unseen, with the "
            "pipeline's label. No person confirmed that, so it may have learned the pipeline's mistakes."
        )


def _judged(card: Card) -> Iterator[str]:
    metrics = card["metrics"]
    if not metrics["holdout"]:
        yield "Its accuracy is not known: it was judged on no held-out answers."
        return
    measured = metrics["accuracy"] or {}
    if measured.get("low") is not None and measured.get("high") is not None:
        yield (
            f"Its {'mean item score' if metrics['metric'] == 'score' else 'accuracy'} is measured on "
            f"{metrics['holdout']} held-out answers: 95 % CI {100 * measured['low']:.1f} to "
            f"{100 * measured['high']:.1f} %."
        )
    if metrics["detectable"] is not None:
        yield (
            "The hold-out set cannot show small differences: it detects a gain below "
            f"{100 * metrics['detectable']:.1f} points over the champion at that time with a probability of less than "
            "80 %."
        )
    looks = (metrics["reuse"] or {}).get("looks")
    if looks:
        yield (
            f"{looks} earlier {'run was' if looks == 1 else 'runs were'} judged on the same held-out answers, so a "
            "good result may partly be chance."
        )
    fell = [slice_ for slice_ in card["slices"] or [] if slice_.get("fell")]
    for slice_ in fell[:LABELS_NAMED]:
        yield (
            f"It is worse beyond chance than the champion at that time if {slice_['by']} is {slice_['value']!r}: "
            f"{100 * slice_['gain']:+.1f} points on {slice_['n']} held-out answers."
        )
    if len(fell) > LABELS_NAMED:
        yield f"It is worse beyond chance in {len(fell) - LABELS_NAMED} more slices."
    calibration = (card["calibration"] or {}).get("challenger") or {}
    ece, limit = calibration.get("ece"), metrics["max_ece"] or MOST_ECE
    if ece is not None and ece > limit:
        low, high = calibration.get("low"), calibration.get("high")
        ends = "" if low is None or high is None else f" (90 % CI {100 * low:.1f} to {100 * high:.1f})"
        yield (
            f"Its confidence {'may not be' if low is not None and low <= limit else 'is not'} a reliable probability: "
            f"calibration error (ECE) {100 * ece:.1f} %{ends}, the mean distance between confidence and accuracy."
        )


def _labels(card: Card) -> Iterator[str]:
    asked = card["use"]["labels"]
    if not asked or not card["data"]["answers"]:
        return  # numbers and free texts, which are all rare
    counted = {row["label"]: row for row in card["data"]["labels"] if row["label"] is not None}
    classes = card["model"]["classes"]
    former = card["use"]["former"]
    renamed = {to for label in classes for to in former.get(label, ())}
    never = [label for label in asked if label not in classes and label not in renamed]
    if never:
        yield f"It never predicts {_named(never)}: no training answer has this label."
    for label in [label for label in classes if label in former][:LABELS_NAMED]:
        to, read = former[label], "and what it predicts is read as that"
        became = f"became {_named(to)}" if to else "was retired"
        yield f"It was trained before {label!r} {became}{f', {read}' if len(to) == 1 else ''}."
    gone = [label for label in classes if label not in asked and len(former.get(label, ())) != 1]
    if gone:
        yield f"It may predict {_named(gone)}, which the loop does not use any more."
    few = [f"{label} ({row['taught']})" for label, row in counted.items() if 0 < row["taught"] < FEW_TAUGHT]
    if few:
        yield f"It was trained on few answers of {_several(few)}: fewer than {FEW_TAUGHT} each."
    if card["metrics"]["holdout"]:
        unseen = [label for label, row in counted.items() if row["taught"] and row["held_out"] < FEW_HELD_OUT]
        if unseen:
            yield f"Its accuracy on {_named(unseen)} is not known: fewer than {FEW_HELD_OUT} held-out answers each."


def _people(card: Card) -> Iterator[str]:
    people, answers = card["data"]["reviewers"]["people"], card["data"]["answers"]
    if answers and not people:
        yield "The reviewers who gave its training answers are not on record."
    elif people == 1:
        yield "One person gave all its training answers: it has learned that person's habits."
    elif people and card["data"]["reviewers"]["most_by_one"] > 0.8 * answers:
        share = card["data"]["reviewers"]["most_by_one"] / answers
        yield f"One of its {people} reviewers gave {100 * share:.0f} % of its training answers."
    agreement = (card["metrics"]["reviewers"] or {}).get("agreement")
    if agreement is not None and agreement < 0.8:
        yield (
            f"The agreement of reviewers is {100 * agreement:.0f} % on held-out answers that several of them gave. No "
            "model can reach a much higher accuracy on these answers."
        )


def _chosen(card: Card) -> Iterator[str]:
    if (rule := card["data"]["lanes"].get("rule")) is not None and card["data"]["answers"]:
        yield (
            f"{100 * rule / card['data']['answers']:.0f} % of its training answers were chosen because a model was "
            "uncertain. Their labels are not as frequent as in the incoming outputs."
        )
    if card["metrics"]["holdout"]:
        yield (
            "People saw a prelabel while they answered the hold-out set, and tend to accept it. So the champion at "
            "that time looks slightly better than it is."
        )


def _named(labels: list[str]) -> str:
    return _several([repr(label) for label in labels])


def _several(words: list[str]) -> str:
    more = f" and {len(words) - LABELS_NAMED} more" if len(words) > LABELS_NAMED else ""
    return ", ".join(words[:LABELS_NAMED]) + more

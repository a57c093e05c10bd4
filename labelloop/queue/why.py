"""Reasons for annotators why an item is a task, computed from a query strategy's input. Pure.

A reason is a sentence that a person understands without knowing the strategy, such as "The model hesitates between cat
(48 %) and dog (45 %)". With it comes a statistic for the Data Manager's column, such as "margin 0.97". Both are stored
as one text, with the statistic on a second line.

A reason speaks of the item and of models, never of people: who answers must not know what another person answered.
The words for the random lanes are in queue/tasks.py, and those about similar items in selection/select.py.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop import strategies
from labelloop.reading.direction import isolated
from labelloop.reading.evidence import labels as labels_of

CHOSEN_AT_RANDOM = "Chosen at random"
UNSURE = "Your answer helps most here"
"""Sentence of a loop that shows no guess of a model."""
CLOSE = 0.3
"""Largest difference between the probabilities of two answers between which a model hesitates."""
SURE = 0.9
"""Smallest probability at which a model is called sure."""
MAX_NAME = 24
"""Longest shown label, so that a sentence of two labels is a line of about 100 characters."""
MAX_KEPT = 200
"""Longest label whose shown form is kept in memory."""
_MAX_SENTENCE = 110
_LONG_NUMBER = re.compile(r"-?\d{1,15}\.\d{3,}")


def split(reason: str | None) -> tuple[str, str]:
    """Return the sentence and the statistic of a reason. A reason of an earlier version is only a sentence."""
    sentence, _, statistic = (reason or "").partition("\n")
    return sentence, statistic


def why(strategy: str, row: npt.ArrayLike, labels: Sequence[str]) -> str:
    """Return the reason for one row of probabilities, with columns as in `labels`; "" if the strategy reads none."""
    return whys(strategy, np.asarray(row)[None, :], labels)[0]


def whys(strategy: str, proba: npt.ArrayLike, labels: Sequence[str]) -> list[str]:
    """Return one reason for each row, shape (n_samples, n_classes), columns as in `labels`."""
    rows = np.asarray(proba, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(labels):
        raise ValueError(
            f"probabilities of the shape {rows.shape} for {len(labels)} labels; it must be (n_samples, n_classes)"
        )
    if strategy == strategies.RANDOM:
        return [CHOSEN_AT_RANDOM] * len(rows)
    if not strategies.reads_probabilities(strategy):
        return [""] * len(rows)
    if not len(rows):
        return []
    order = np.argsort(-rows, axis=1, kind="stable")[:, :2]
    shares = np.take_along_axis(rows, order, axis=1)
    utilities = strategies.utilities(strategy, rows).tolist()
    named = [_name(label) for label in labels]
    return [
        _reason(_of_shares([named[place] for place in places], two), strategy, utility)
        for places, two, utility in zip(order.tolist(), shares.tolist(), utilities, strict=True)
    ]


def of_evidence(strategy: str, evidence: Mapping[str, Any], labels: Sequence[str] = ()) -> str:
    """Return the reason for evidence that the strategy reads. `labels` are the loop's; earlier ones in it count too."""
    form = strategies.get(strategy).reads.removeprefix("evidence.")
    sentence = _SENTENCES[form](evidence[form]) if form in _SENTENCES and form in evidence else ""
    known = list(dict.fromkeys([*labels, *(label for _, label in labels_of(evidence))]))
    utility = strategies.from_evidence(strategy, evidence, known) if sentence else None
    return _reason(sentence or "The model gave nothing to compare", strategy, utility)


def of_controls(utilities: Mapping[str, float], weights: Mapping[str, float]) -> str:
    """Return the reason for an answer in several controls: the one that the model is least sure of, if it counts."""
    name = max(utilities, key=lambda one: (utilities[one] * weights.get(one, 1.0), one))
    return f"The model is least sure of {_name(name)}\nutility {utilities[name]:.2f}"


def of_confidence(confidence: float | None, label: str | None = None) -> str:
    """Return the reason for a model that gives only a confidence, or none. A structured label is not named."""
    if confidence is None:
        return "The model did not say how sure it is"
    if not 0 <= confidence <= 1:
        return "The model is unsure"
    statistic = f"confidence {confidence:.2f}"
    if label is None or not label or label.startswith(("[", "{")):
        how = "" if confidence >= SURE else "only "
        return f"The model is {how}{_percent(confidence)} sure of its answer\n{statistic}"
    return f"{_of_first(_name(_rounded(label)), confidence)}\n{statistic}"


def _reason(sentence: str, strategy: str, utility: float | None) -> str:
    return sentence[:_MAX_SENTENCE] if utility is None else f"{sentence[:_MAX_SENTENCE]}\n{strategy} {utility:.2f}"


def _of_shares(names: Sequence[str], shares: Sequence[float]) -> str:
    """Return the sentence for the two most probable labels, or for the only one."""
    if len(names) == 1:
        return f"The model knows only one answer, {names[0]}"
    if shares[0] - shares[1] <= CLOSE:
        return f"The model hesitates between {names[0]} ({_percent(shares[0])}) and {names[1]} ({_percent(shares[1])})"
    return _of_first(names[0], shares[0])


def _of_first(name: str, share: float) -> str:
    if share >= SURE:
        return f"The model says {name} and is {_percent(share)} sure"
    return f"The model says {name}, but is only {_percent(share)} sure"


def _of_committee(members: Sequence[Mapping[str, float]]) -> str:
    votes = Counter(max(member, key=lambda label: (member[label], label)) for member in members)
    (first, n), *others = votes.most_common()
    if not others:
        return f"All {len(members)} models say {_name(first)}, but some are less sure of it"
    second, m = others[0]
    return f"The models disagree: {n} say {_name(first)}, {m} say {_name(second)}" + (
        f", {sum(votes.values()) - n - m} say something else" if len(others) > 1 else ""
    )


def _of_labels(shares: Mapping[str, float]) -> str:
    if not shares:
        return "The model found no label"
    label, share = min(shares.items(), key=lambda item: (abs(item[1] - 0.5), item[1]))
    if 1 - SURE < share < SURE:
        return f"The model is not sure whether {_name(label)} applies ({_percent(share)})"
    return f"The model is sure of each label; it is least sure of {_name(label)} ({_percent(share)})"


def _of_tokens(tokens: Sequence[Any]) -> str:
    if not tokens:
        return "The model found nothing to mark"
    least = min(strategies.confidence(token) for token in tokens)
    return f"The model is not sure what to mark: {_percent(least)} at its least sure place"


def _of_boxes(confidences: Sequence[float]) -> str:
    if not confidences:
        return "The model found no box"
    least = _percent(min(confidences))
    if len(confidences) == 1:
        return f"The model found one box and is {least} sure of it"
    return f"The model found {len(confidences)} boxes and is least sure of one ({least})"


def _of_log_probabilities(tokens: Sequence[float]) -> str:
    if not tokens:
        return "The model wrote nothing"
    return f"The model was unsure of its wording: {_percent(math.exp(min(0.0, *tokens)))} at its least sure place"


def _of_samples(samples: Sequence[str]) -> str:
    texts = len(set(samples))
    if texts == 1:
        return f"The model wrote the same text {len(samples)} times"
    return f"Asked {len(samples)} times, the model wrote {texts} different texts"


def _rounded(label: str) -> str:
    """Return a number with at most two decimals, such as a learner's 4.16 for 4.15901; any other label as it is."""
    return f"{float(label):.2f}".rstrip("0").rstrip(".") if _LONG_NUMBER.fullmatch(label) else label


def _name(label: str) -> str:
    """Return the label as it is shown, on one line and not too long. Whole texts are not kept in memory."""
    return _short_name(label) if len(label) <= MAX_KEPT else _shown(label)


def _shown(label: str) -> str:
    label = " ".join(label.split())
    return isolated(label if len(label) <= MAX_NAME else label[: MAX_NAME - 1].rstrip() + "…")


_short_name = lru_cache(4096)(_shown)


def _percent(share: float) -> str:
    """Return whole percent. Only certainty is called 100 %, and only impossibility 0 %."""
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return "over 99 %"
    return "under 1 %" if rounded == 0 and share > 0 else f"{rounded} %"


_SENTENCES: Mapping[str, Callable[[Any], str]] = {
    "committee": _of_committee,
    "labels": _of_labels,
    "tokens": _of_tokens,
    "boxes": _of_boxes,
    "log_probabilities": _of_log_probabilities,
    "samples": _of_samples,
}
"""Sentence by form of evidence."""

"""Every query strategy by its name: what it reads, and one line that says what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError
from labelloop.strategies import boxes, committee, generation, multilabel, proba, sequences
from labelloop.strategies.arrays import Array, as_floats, blocks, check_range, check_sums


class Kind(StrEnum):
    """What a strategy reads."""

    PROBA = "proba"
    """The probabilities of an output, or of our own models."""
    COMMITTEE = "committee"
    MULTILABEL = "multilabel"
    SEQUENCE = "sequence"
    BOXES = "boxes"
    GENERATION = "generation"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Strategy:
    name: str
    kind: Kind
    reads: str
    """The field of an output: probabilities, or one of evidence; "" for random."""
    line: str
    function: Callable[[Any], Array]
    """From what the kind's module says to utilities in [0, 1], shape (n_samples,)."""


RANDOM = "random"
"""The control: what the others must beat."""


def _no_function(_: object) -> Array:
    raise UsageError("random reads nothing: utilities() draws it")


_BY_WHAT_IT_READS: Mapping[tuple[Kind, str], Mapping[Callable[[Any], Array], str]] = {
    (Kind.PROBA, "probabilities"): {
        proba.least_confidence: "the most probable label is improbable",
        proba.margin: "the two most probable labels are close",
        proba.entropy: "the probabilities are spread over many labels",
        proba.ratio: "the second label is nearly as probable",
    },
    (Kind.COMMITTEE, "evidence.committee"): {
        committee.vote_entropy: "the members vote for different labels",
        committee.consensus_entropy: "the members' mean is spread over many labels",
        committee.max_disagreement: "one member is far from the members' mean",
    },
    (Kind.MULTILABEL, "evidence.labels"): {
        multilabel.labels_max: "one label may or may not apply",
        multilabel.labels_mean: "many labels may or may not apply",
        multilabel.min_confidence: "one label is surely absent (modAL)",
        multilabel.avg_confidence: "many labels are likely (modAL)",
        multilabel.max_score: "one label is surely present (modAL)",
        multilabel.avg_score: "many labels are surely present (modAL)",
        multilabel.max_loss: "not just the most probable label (modAL)",
        multilabel.mean_max_loss: "many labels are predicted (modAL)",
    },
    (Kind.SEQUENCE, "evidence.tokens"): {
        sequences.tokens_max: "one token is doubtful",
        sequences.tokens_mean: "the tokens are doubtful on average",
        sequences.tokens_normalised: "the sequence is improbable for its length",
    },
    (Kind.BOXES, "evidence.boxes"): {
        boxes.boxes_max: "one box is doubtful",
        boxes.boxes_mean: "the boxes are doubtful on average",
        boxes.boxes_sum: "many boxes are doubtful",
    },
    (Kind.GENERATION, "evidence.log_probabilities"): {
        generation.log_probability_mean: "the text is improbable for its length",
        generation.log_probability_min: "one token of the text is improbable",
    },
    (Kind.GENERATION, "evidence.samples"): {
        generation.samples_disagree: "texts drawn for the same input differ",
    },
    (Kind.RANDOM, ""): {_no_function: "nowhere: by chance, as a control"},
}
REGISTRY: Mapping[str, Strategy] = {
    (name := RANDOM if kind is Kind.RANDOM else function.__name__): Strategy(name, kind, reads, line, function)
    for (kind, reads), lines in _BY_WHAT_IT_READS.items()
    for function, line in lines.items()
}
"""A strategy is called what its function is."""
STRATEGIES: Mapping[str, Callable[[npt.ArrayLike], Array]] = {
    strategy.name: strategy.function for strategy in REGISTRY.values() if strategy.kind is Kind.PROBA
}
"""Those of the kind proba."""


def names() -> list[str]:
    """The strategies there are."""
    return list(REGISTRY)


def get(name: str) -> Strategy:
    """Raises UsageError with the names there are."""
    if name not in REGISTRY:
        raise UsageError(f"no query strategy {name!r}; there are: {', '.join(names())}")
    return REGISTRY[name]


def reads_probabilities(name: str) -> bool:
    """Whether it reads one row of probabilities, or nothing; the others read evidence."""
    return get(name).kind in (Kind.PROBA, Kind.RANDOM)


def utilities(strategy: str, proba: npt.ArrayLike, rng: np.random.Generator | None = None) -> Array:
    """Utilities in [0, 1], shape (n_samples,), in the order of the rows. Only `random` uses `rng` (seed 0 if None).

    Of the kind proba, and random. Raises ValueError for rows that are no probabilities: there is no order in them.
    """
    known = get(strategy)
    rows = as_floats(proba)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"proba must have the shape (n_samples, n_classes); it has {rows.shape}")
    if known.kind is Kind.RANDOM:
        return (rng or np.random.default_rng(0)).random(len(rows))
    if known.kind is not Kind.PROBA:
        raise UsageError(f"{strategy} reads {known.reads}, not one row of probabilities an output")
    found = np.empty(len(rows))
    for part in blocks(rows):  # so that what was checked is still in the cache when it is measured
        check_sums(rows[part], part.start)
        found[part] = known.function(rows[part])
    # A sum that is off by a rounding must not leave the interval that the database checks.
    return np.clip(found, 0.0, 1.0, out=found)


def from_evidence(strategy: str, evidence: Mapping[str, Any], labels: Sequence[str] = ()) -> float | None:
    """The utility of one output, in [0, 1], from what its `evidence` holds; None where that is not what it reads.

    `labels` are the loop's, those of the evidence itself where there are none: a label that is not named has 0.
    """
    known = get(strategy)
    said = evidence.get(known.reads.removeprefix("evidence."))
    if said is None or known.kind in (Kind.PROBA, Kind.RANDOM):
        return None
    found = known.function(_one_sample(known.kind, said, labels))
    return float(min(1.0, max(0.0, found[0])))


def _one_sample(kind: Kind, said: Any, labels: Sequence[str]) -> Any:
    """What an output says, as an array or list of one sample."""
    if kind is Kind.COMMITTEE:
        known = labels or sorted({label for member in said for label in member})
        votes = np.array([[[member.get(label, 0.0) for label in known] for member in said]])
        check_sums(votes)
        return votes
    if kind is Kind.MULTILABEL:
        shares = np.array([[said.get(label, 0.0) for label in labels or sorted(said)]])
        check_range(shares, "the probability of a label")
        return shares
    if kind is Kind.SEQUENCE:
        return [[confidence(token) for token in said]]
    return [said]


def confidence(token: Any) -> float:
    """Of one token: the number itself, or the largest of its probabilities, as an object by label or a list."""
    if isinstance(token, int | float):
        return float(token)
    return float(max(token.values() if isinstance(token, Mapping) else token))

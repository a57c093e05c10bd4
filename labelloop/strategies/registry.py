"""Registry: every query strategy by its name, with its input and one line about the outputs that it prefers."""

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
    """Kind of input of a strategy."""

    PROBA = "proba"
    """Probabilities of an output, or of our own models."""
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
    """Field of an output that it reads: probabilities, or one form of evidence; "" for random."""
    line: str
    function: Callable[[Any], Array]
    """Function from the input of the kind's module to utilities in [0, 1], shape (n_samples,)."""


RANDOM = "random"
"""Name of the baseline that the other strategies must beat: a random order."""


def _no_function(_: object) -> Array:
    raise UsageError("random reads nothing: utilities() draws it")


_BY_INPUT: Mapping[tuple[Kind, str], Mapping[Callable[[Any], Array], str]] = {
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
        multilabel.min_confidence: "one label is certainly absent (modAL)",
        multilabel.avg_confidence: "many labels are probable (modAL)",
        multilabel.max_score: "one label is certainly present (modAL)",
        multilabel.avg_score: "many labels are certainly present (modAL)",
        multilabel.max_loss: "not just the most probable label (modAL)",
        multilabel.mean_max_loss: "many labels are predicted (modAL)",
    },
    (Kind.SEQUENCE, "evidence.tokens"): {
        sequences.tokens_max: "one token is uncertain",
        sequences.tokens_mean: "the tokens are uncertain on average",
        sequences.tokens_normalised: "the sequence is improbable for its length",
    },
    (Kind.BOXES, "evidence.boxes"): {
        boxes.boxes_max: "one box is uncertain",
        boxes.boxes_mean: "the boxes are uncertain on average",
        boxes.boxes_sum: "many boxes are uncertain",
    },
    (Kind.GENERATION, "evidence.log_probabilities"): {
        generation.log_probability_mean: "the text is improbable for its length",
        generation.log_probability_min: "one token of the text is improbable",
    },
    (Kind.GENERATION, "evidence.samples"): {
        generation.samples_disagree: "texts generated for the same input differ",
    },
    (Kind.RANDOM, ""): {_no_function: "a random order, as a baseline"},
}
REGISTRY: Mapping[str, Strategy] = {
    (name := RANDOM if kind is Kind.RANDOM else function.__name__): Strategy(name, kind, reads, line, function)
    for (kind, reads), lines in _BY_INPUT.items()
    for function, line in lines.items()
}
"""Strategies by name; a strategy has the name of its function."""
STRATEGIES: Mapping[str, Callable[[npt.ArrayLike], Array]] = {
    strategy.name: strategy.function for strategy in REGISTRY.values() if strategy.kind is Kind.PROBA
}
"""Functions of the strategies of the kind proba, by name."""


def names() -> list[str]:
    """Return the names of all strategies."""
    return list(REGISTRY)


def get(name: str) -> Strategy:
    """Return the strategy with this name. Raises UsageError with all names if there is none."""
    if name not in REGISTRY:
        raise UsageError(f"no query strategy {name!r}; there are: {', '.join(names())}")
    return REGISTRY[name]


def reads_probabilities(name: str) -> bool:
    """Whether it reads one row of probabilities, or nothing; the others read evidence."""
    return get(name).kind in (Kind.PROBA, Kind.RANDOM)


def utilities(strategy: str, proba: npt.ArrayLike, rng: np.random.Generator | None = None) -> Array:
    """Return utilities in [0, 1], shape (n_samples,), in the order of the rows. Only `random` uses `rng` (seed 0 if
    None).

    The strategy must be of the kind proba, or random. Raises ValueError for rows that are not probabilities.
    """
    known = get(strategy)
    rows = as_floats(proba)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"proba must have the shape (n_samples, n_classes); it has {rows.shape}")
    if known.kind is Kind.RANDOM:
        return (rng or np.random.default_rng(0)).random(len(rows))
    if known.kind is not Kind.PROBA:
        raise UsageError(f"{strategy} reads {known.reads}, not one row of probabilities for each output")
    found = np.empty(len(rows))
    for part in blocks(rows):  # so that the rows are still in the cache after the check
        check_sums(rows[part], part.start)
        found[part] = known.function(rows[part])
    # A rounding error in a sum must not leave the interval that the database checks.
    return np.clip(found, 0.0, 1.0, out=found)


def from_evidence(strategy: str, evidence: Mapping[str, Any], labels: Sequence[str] = ()) -> float | None:
    """Return the utility of one output, in [0, 1], from its `evidence`; None if the strategy reads another form.

    `labels` are the loop's; if there are none, those of the evidence are used. A label without a probability has 0.
    """
    known = get(strategy)
    found = evidence.get(known.reads.removeprefix("evidence."))
    if found is None or known.kind in (Kind.PROBA, Kind.RANDOM):
        return None
    utility = known.function(_one_sample(known.kind, found, labels))
    return float(min(1.0, max(0.0, utility[0])))


def _one_sample(kind: Kind, evidence: Any, labels: Sequence[str]) -> Any:
    """Return an output's evidence as an array or a list of one sample."""
    if kind is Kind.COMMITTEE:
        known = labels or sorted({label for member in evidence for label in member})
        votes = np.array([[[member.get(label, 0.0) for label in known] for member in evidence]])
        check_sums(votes)
        return votes
    if kind is Kind.MULTILABEL:
        shares = np.array([[evidence.get(label, 0.0) for label in labels or sorted(evidence)]])
        check_range(shares, "the probability of a label")
        return shares
    if kind is Kind.SEQUENCE:
        return [[confidence(token) for token in evidence]]
    return [evidence]


def confidence(token: Any) -> float:
    """Return the confidence of one token: the number itself, or the largest of its probabilities (by label, or as a
    list).
    """
    if isinstance(token, int | float):
        return float(token)
    return float(max(token.values() if isinstance(token, Mapping) else token))

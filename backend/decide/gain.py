"""Gain: the accuracy that ranking adds, estimated from the answers of the rule lane and of the control lane.

Estimand: the expected accuracy on all outputs after training on the first n answers of the rule lane, minus that after
training on n random outputs that the trigger sends.

The learner is the loop's. The expectation is over both training sets: another loop would have asked for others. n is
half the number of control answers. The hold-out set is the sample of all outputs.

- The rule's answers are a prefix of the order in which people gave them. A random part of all of them would lack what
  ranking does: each batch asks what the batches before left open.
- The control answers are divided at random into halves, again and again; a model is trained on each. Two halves have
  no answer in common, so their difference shows how much a model varies with its training set. The variance of their
  mean is at most half of that (Hoeffding 1948, doi:10.1214/aoms/1177730196).
- The same is done with the first 2 n answers of the rule, to see how much its model varies. Their halves are less
  dense than a prefix and vary more, so the interval is rather too wide (`python -m benchmarks.promises.control`).
- Both models are compared on the same held-out answers. A reference model, trained on all answers of both lanes,
  predicts the difference for held-out outputs without an answer too, and the held-out answers correct its prediction
  (prediction-powered inference: Angelopoulos et al. 2023, doi:10.1126/science.adi6000; with the best weight:
  arXiv:2311.01453).
- The interval is Student's t with the degrees of freedom of Satterthwaite 1946, doi:10.2307/3002019.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.learners import Learner
from labelloop.errors import Failed
from labelloop.versions.items import AnsweredItem

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lanes:
    """The answers of a loop that the gain is estimated from."""

    rule: Sequence[AnsweredItem]
    """Answers of the rule lane, in the order in which people gave them."""
    control: Sequence[AnsweredItem]
    held_out: Sequence[AnsweredItem]
    unanswered: Sequence[Mapping[str, Any]] = ()
    """Data of random outputs of the hold-out lane that have no answer yet."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The estimate. Accuracies are shares of 1, corrected by the reference model."""

    taught: int
    """Answers of each training set."""
    rule: float
    control: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float

    @property
    def difference(self) -> float:
        return self.rule - self.control


@dataclass(frozen=True, slots=True)
class Scores:
    """Item scores of models on the held-out items, and as the reference model expects them on more items."""

    true: Floats
    """Shape (models, held-out items)."""
    expected: Floats
    """Shape (models, held-out items and then the unanswered ones)."""

    def mean(self) -> Scores:
        return Scores(self.true.mean(axis=0), self.expected.mean(axis=0))


def taught_with(rule: int, control: int) -> int:
    """Return the size of the training sets if the lanes have so many answers."""
    return min(rule, control // 2)


def estimate(
    lanes: Lanes,
    new_learner: Callable[[], Learner],
    item_score: Callable[[str, str | None], float],
    *,
    divisions: int,
    seed: int,
) -> Gain:
    """Train 4 models for each division and two more, and return the gain.

    `item_score(answer, predicted)` is 0 to 1. The learner can read all items. Each lane has 2 answers or more.
    """
    rng = np.random.default_rng(seed)
    n = taught_with(len(lanes.rule), len(lanes.control))
    grade = _grader(lanes, new_learner, item_score)
    early, halves, random = lanes.rule[: 2 * n], [], []
    for _ in range(divisions):
        halves += [grade(half) for half in _halves(early, rng)]
        shuffled = [lanes.control[i] for i in rng.permutation(len(lanes.control))]
        random += [grade(half) for half in _halves(shuffled[: 2 * n], rng)]
    groups = [row.group_key for row in lanes.held_out]
    return compare(_stacked([grade(early[:n])]), _stacked(halves), _stacked(random), groups, n)


def _halves(rows: Sequence[AnsweredItem], rng: np.random.Generator) -> Iterator[list[AnsweredItem]]:
    """Yield two halves: of each two consecutive answers, one at random goes into either. An odd last one is left out.

    So both have as many answers from each time of the loop.
    """
    first = 2 * np.arange(len(rows) // 2) + rng.integers(2, size=len(rows) // 2)
    for places in (first, first ^ 1):
        yield [rows[i] for i in places]


def _stacked(graded: Sequence[tuple[Floats, Floats]]) -> Scores:
    return Scores(*(np.array(each) for each in zip(*graded, strict=True)))


def compare(rule: Scores, halves: Scores, random: Scores, groups: Sequence[str], taught: int) -> Gain:
    """Return the gain by these item scores. `groups`: the group of each held-out item.

    `rule`: of the models whose accuracy counts. `halves`: of pairs of models that only tell how much such models vary.
    `random`: of pairs of models of the control lane. The first axis of each is the model.
    """
    one, other = rule.mean(), random.mean()
    n = len(one.true)
    true, expected = one.true - other.true, one.expected - other.expected
    weight = _weight(true, expected)
    correction = [weight * (each.expected[:n].mean() - _mean(each.expected[n:])) for each in (one, other)]
    accuracies = float(one.true.mean() - correction[0]), float(other.true.mean() - correction[1])
    items = _variance_of_mean(true - weight * expected[:n], groups)
    if weight:
        items += weight**2 * float(expected[n:].var(ddof=1)) / (len(expected) - n)
    parts = (
        (items, len(set(groups)) - 1),
        (_variance_of_model(halves.expected), len(halves.true) // 2),
        (_variance_of_model(random.expected) / 2, len(random.true) // 2),
    )
    half = _half_width(parts)
    difference = accuracies[0] - accuracies[1]
    return Gain(taught, *accuracies, difference - half, difference + half)


def _half_width(parts: Sequence[tuple[float, int]]) -> float:
    """Return half the width of the 95 % interval of an estimate. `parts`: its variances, each with its degrees of
    freedom.
    """
    from scipy.stats import t

    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / max(df, 1) for part, df in parts)
    return float(t.ppf(0.975, df) * np.sqrt(variance))


def _variance_of_model(expected: Floats) -> float:
    """Return the variance of a model's accuracy over training sets. Shape (models, items); each two are a pair.

    The items are a sample too. What they add to the difference within a pair is subtracted (two-way analysis of
    variance, models x items).
    """
    differences = expected[0::2] - expected[1::2]
    by_items = differences.var(axis=1, ddof=1) / differences.shape[1]
    return max(0.0, float((differences.mean(axis=1) ** 2 - by_items).mean()) / 2)


def _variance_of_mean(values: Floats, groups: Sequence[str]) -> float:
    """Return the variance of the mean of paired differences; items of a group are not independent.

    As if half an item more differed in either direction, so that few items without a difference do not make it certain
    that there is none (Agresti and Min 2005, doi:10.1002/sim.1781).
    """
    _, group = np.unique(np.array(groups), return_inverse=True)
    sums = np.bincount(group, weights=values - values.mean())
    n, many = len(values), len(sums)
    return float((sums**2).sum() * many / max(many - 1, 1) + 1) / n**2


def _weight(true: Floats, expected: Floats) -> float:
    """Return how much the reference model's expectation counts: 0 without unanswered items, or if it is no help."""
    n, more = len(true), len(expected) - len(true)
    variance = expected[:n].var()
    if more < 2 or variance == 0:
        return 0.0
    slope = float(((true - true.mean()) * (expected[:n] - expected[:n].mean())).mean() / variance)
    return min(1.0, max(0.0, slope)) / (1 + n / more)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _grader(
    lanes: Lanes,
    new_learner: Callable[[], Learner],
    item_score: Callable[[str, str | None], float],
) -> Callable[[Sequence[AnsweredItem]], tuple[Floats, Floats]]:
    """Return a function that trains a model on answers and returns its true and its expected item scores."""
    data = [*(row.data for row in lanes.held_out), *lanes.unanswered]
    answers = [row.label for row in lanes.held_out]
    reference = _Model(new_learner, [*lanes.rule, *lanes.control], data)
    known: dict[tuple[str | None, str | None], float] = {}

    def score(answer: str | None, predicted: str | None) -> float:
        if (pair := (answer, predicted)) not in known:
            known[pair] = 0.0 if answer is None else item_score(answer, predicted)
        return known[pair]

    def grade(taught: Sequence[AnsweredItem]) -> tuple[Floats, Floats]:
        predicted = _Model(new_learner, taught, data).labels
        true = np.array([score(answer, label) for answer, label in zip(answers, predicted, strict=False)])
        return true, reference.expected(score, predicted)

    return grade


class _Model:
    """The labels that a model predicts for the items after it was trained on these answers."""

    def __init__(
        self,
        new_learner: Callable[[], Learner],
        taught: Sequence[AnsweredItem],
        data: Sequence[Mapping[str, Any]],
    ) -> None:
        learner, answers = new_learner(), [row.label for row in taught]
        self.classes: tuple[str, ...] = ()
        self.proba: Floats | None = None
        try:
            learner.fit([row.data for row in taught], answers, np.random.default_rng(0))
        except Failed:  # with one label only, a model would always predict that label
            self.labels: Sequence[str | None] = [Counter(answers).most_common(1)[0][0]] * len(data)
        else:
            found = learner.predict(data)
            self.labels, self.proba, self.classes = found.labels, found.proba, learner.classes

    def expected(self, score: Callable[[str | None, str | None], float], predicted: Sequence[str | None]) -> Floats:
        """Return the item scores of these labels that this model expects: by its probabilities, else by its labels."""
        if self.proba is None:
            return np.array([score(label, other) for label, other in zip(self.labels, predicted, strict=True)])
        names = list(dict.fromkeys(predicted))
        table = np.array([[score(label, name) for name in names] for label in self.classes])
        column = {name: i for i, name in enumerate(names)}
        by_label: Floats = self.proba @ table
        return by_label[np.arange(len(predicted)), [column[label] for label in predicted]]

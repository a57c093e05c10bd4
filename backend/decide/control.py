"""Control: measure whether active learning pays, by comparing answers of the rule lane with answers drawn at random.

The same learner is trained on as many answers of either lane, and evaluated on the hold-out set. Nothing is stored.
Each model draws its answers from at least twice as many answers of the rule lane, so the models vary by chance. The
control lane has one sample only; its variation by chance is assumed to be as large. The interval is a paired bootstrap
over the held-out items and the draws (Efron 1979, doi:10.1214/aos/1176344552).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.learners import Learner
from backend.learners.of_spec import learner_of
from labelloop.answers.item_scores import item_score
from labelloop.errors import Failed, Unreadable
from labelloop.pictures.kept import with_pictures_in
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import run_items
from labelloop.versions.items import AnsweredItem

MIN_TRAINING = 20
"""Training answers that a model needs; with fewer, the difference would be chance."""
RESAMPLED = 2000
"""Bootstrap samples of the difference, from which its 95 % interval is taken."""
ItemScores = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
"""Item scores: 0 or 1 where the answer is one label."""


@dataclass(frozen=True, slots=True)
class Control:
    """Result of the measurement. Accuracies are shares of 1, and None if they cannot be measured yet."""

    verdict: str
    taught: int
    """Answers that each model was trained on."""
    held_out: int
    rule: float | None
    """Accuracy with the rule's answers, mean of the draws."""
    control: float | None
    difference: float | None
    low: float | None
    """Lower end of the 95 % interval of the difference."""
    high: float | None


def measure(database: Database, spec: LoopSpec, *, draws: int = 20, seed: int = 0) -> Control:
    """Measure on the present answers. The same answers and seed give the same figures."""
    with database.transaction() as conn:
        rows = run_items.answered(conn, spec.name, upto=2**63 - 1)
    learner = learner_of(spec)
    rows = _readable(learner, with_pictures_in(database, None, spec, rows))
    rule, control = ([row for row in rows if row.lane == lane] for lane in ("rule", "control"))
    judged = [row for row in rows if row.holdout]
    n = min(len(control), len(rule) // 2)
    if lacks := _lacks(spec, len(rule), len(control), len(judged)):
        return Control(f"not known yet: {lacks}", n, len(judged), None, None, None, None, None)

    rng = np.random.default_rng(seed)
    by_rule = np.array([_item_scores(spec, _draw(rule, n, rng), judged) for _ in range(draws)])
    # The same answers give the same model, so one model is enough if all answers are taken.
    by_control = np.array(
        [_item_scores(spec, _draw(control, n, rng), judged) for _ in range(draws if n < len(control) else 1)]
    )
    low, high = interval(by_rule, by_control, rng)
    means = float(by_rule.mean()), float(by_control.mean())
    difference = means[0] - means[1]
    return Control(_words(difference, low, high), n, len(judged), *means, difference, low, high)


def interval(rule: ItemScores, control: ItemScores, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two mean item scores. Arrays: shape (models, held-out items)."""
    items = rule.shape[1]
    found = np.empty(RESAMPLED)
    for i in range(RESAMPLED):
        one, other = rule[rng.integers(len(rule))], control[rng.integers(len(control))]
        again = rng.integers(items, size=items)
        found[i] = one[again].mean() - other[again].mean()
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _words(difference: float, low: float, high: float) -> str:
    figures = f"{100 * difference:+.1f} points against a random order (95 %: {100 * low:+.1f} to {100 * high:+.1f})"
    if low > 0:
        return f"pays: {figures}"
    return f"does not pay: {figures}" if high < 0 else f"not known yet: {figures}; more answers narrow the interval"


def _lacks(spec: LoopSpec, rule: int, control: int, judged: int) -> str:
    """Return the answers that are missing for a measurement; "" if none are."""
    wanted = (
        (control, MIN_TRAINING, "answers of the control lane"),
        (rule, 2 * MIN_TRAINING, "answers of the rule lane"),
        (judged, spec.gate.min_holdout, "held-out answers"),
    )
    lacks = [f"{has} {what}, at least {least} are needed" for has, least, what in wanted if has < least]
    if not control and not spec.queue.control:
        lacks.append("queue.control is 0, so no output enters the control lane: set it, for example to 0.1")
    return "; ".join(lacks)


def _draw(rows: Sequence[AnsweredItem], n: int, rng: np.random.Generator) -> list[AnsweredItem]:
    return [rows[i] for i in sorted(rng.permutation(len(rows))[:n])]


def _item_scores(spec: LoopSpec, taught: Sequence[AnsweredItem], judged: Sequence[AnsweredItem]) -> ItemScores:
    """Return the item scores of a model that was trained on these answers, for the held-out items."""
    learner = learner_of(spec)
    labels = [row.label for row in taught]
    predicted: Sequence[str | None] = [Counter(labels).most_common(1)[0][0]] * len(judged)
    try:
        learner.fit([row.data for row in taught], labels, np.random.default_rng(0))
    except Failed:
        pass  # with one label only, a model would always predict that label
    else:
        predicted = learner.predict([row.data for row in judged]).labels
    config = spec.config
    return np.array([item_score(config, row.label, label) for label, row in zip(predicted, judged, strict=True)])


def _readable(learner: Learner, rows: list[AnsweredItem]) -> list[AnsweredItem]:
    try:
        learner.check([row.data for row in rows])
    except Unreadable as exc:
        return [row for position, row in enumerate(rows) if position not in exc.faults]
    return rows

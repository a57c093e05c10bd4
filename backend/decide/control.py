"""Control: does active learning pay? Answers of the rule against as many of the control, which is drawn at random.

Both teach the same learner, and the hold-out judges; nothing is stored, and nothing is taught that judges. The rule's
answers are drawn anew for each model, from at least twice as many, so that models differ by luck; the control's luck,
of which there is one sample only, is taken to be as large. The interval is a bootstrap over the held-out items, paired,
and over the draws (Efron 1979, doi:10.1214/aos/1176344552).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

MIN_TAUGHT = 20
"""Fewer answers than this teach so little that the difference would be chance."""
RESAMPLED = 2000
Right = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
"""Item scores: 0 or 1 where the answer is one label."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Control:
    """What was measured. Shares of 1; None where it cannot be told."""

    verdict: str
    taught: int
    """Answers that each model was taught."""
    held_out: int
    rule: float | None
    """Accuracy with the rule's answers, mean of the draws."""
    control: float | None
    difference: float | None
    low: float | None
    """Of the 95 % interval of the difference."""
    high: float | None


def measure(database: Database, spec: LoopSpec, *, draws: int = 20, seed: int = 0) -> Control:
    """From the answers of this moment; the same answers and seed give the same figures."""
    with database.transaction() as conn:
        rows = run_items.answered(conn, spec.name, upto=2**63 - 1)
    learner = learner_of(spec)
    rows = _readable(learner, with_pictures_in(database, None, spec, rows))
    rule, control = ([row for row in rows if row["lane"] == lane] for lane in ("rule", "control"))
    judged = [row for row in rows if row["holdout"]]
    n = min(len(control), len(rule) // 2)
    if lacks := _lacks(spec, len(rule), len(control), len(judged)):
        return Control(f"cannot be told yet: {lacks}", n, len(judged), None, None, None, None, None)

    rng = np.random.default_rng(seed)
    by_rule = np.array([_right(spec, _draw(rule, n, rng), judged) for _ in range(draws)])
    # The same answers teach the same model: one is enough where all of them are taken.
    by_control = np.array(
        [_right(spec, _draw(control, n, rng), judged) for _ in range(draws if n < len(control) else 1)]
    )
    low, high = interval(by_rule, by_control, rng)
    means = float(by_rule.mean()), float(by_control.mean())
    difference = means[0] - means[1]
    return Control(_words(difference, low, high), n, len(judged), *means, difference, low, high)


def interval(rule: Right, control: Right, rng: np.random.Generator) -> tuple[float, float]:
    """95 % of the difference of two mean scores. Shape (models, held-out items)."""
    items = rule.shape[1]
    found = np.empty(RESAMPLED)
    for i in range(RESAMPLED):
        one, other = rule[rng.integers(len(rule))], control[rng.integers(len(control))]
        again = rng.integers(items, size=items)
        found[i] = one[again].mean() - other[again].mean()
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _words(difference: float, low: float, high: float) -> str:
    said = f"{100 * difference:+.1f} points against a random order (95 %: {100 * low:+.1f} to {100 * high:+.1f})"
    if low > 0:
        return f"pays: {said}"
    return f"does not pay: {said}" if high < 0 else f"cannot be told yet: {said}; more answers make it narrower"


def _lacks(spec: LoopSpec, rule: int, control: int, judged: int) -> str:
    """What is missing for a measurement; "" where nothing is."""
    wanted = (
        (control, MIN_TAUGHT, "answers of the control lane"),
        (rule, 2 * MIN_TAUGHT, "answers of the rule lane"),
        (judged, spec.gate.min_holdout, "held-out answers"),
    )
    lacks = [f"{has} {what}, {least} at least" for has, least, what in wanted if has < least]
    if not control and not spec.queue.control:
        lacks.append("queue.control is 0, so nothing is drawn for it: 0.1 would do")
    return "; ".join(lacks)


def _draw(rows: Sequence[Row], n: int, rng: np.random.Generator) -> list[Row]:
    return [rows[i] for i in sorted(rng.permutation(len(rows))[:n])]


def _right(spec: LoopSpec, taught: Sequence[Row], judged: Sequence[Row]) -> Right:
    """How right a model that was taught these answers is on each of the held-out items."""
    learner = learner_of(spec)
    labels = [row["label"] for row in taught]
    said: Sequence[str | None] = [Counter(labels).most_common(1)[0][0]] * len(judged)
    try:
        learner.fit([row["data"] for row in taught], labels, np.random.default_rng(0))
    except Failed:
        pass  # one label only: it is what such a model would always say
    else:
        said = learner.predict([row["data"] for row in judged]).labels
    config = spec.config
    return np.array([item_score(config, row["label"], label) for label, row in zip(said, judged, strict=True)])


def _readable(learner: Learner, rows: list[Row]) -> list[Row]:
    try:
        learner.check([row["data"] for row in rows])
    except Unreadable as exc:
        return [row for position, row in enumerate(rows) if position not in exc.faults]
    return rows

"""The verdict: one sentence for each rule; the challenger is promoted if no rule refuses it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labelloop.gate import slices
from labelloop.gate.calibration import Calibration
from labelloop.gate.loss import Loss
from labelloop.gate.paired import Accuracy, Gain, is_whole, p_better
from labelloop.gate.power import by_gain, by_loss, by_test, detectable_gain, more_answers
from labelloop.gate.reuse import Reuse
from labelloop.gate.rounding import in_order
from labelloop.gate.slices import Fact, Slice
from labelloop.threads import one_thread

MOST_NAMED = 5
"""Largest number of slices that one sentence names."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A held-out item: the answer of people, and the prediction of each model; None if a model predicted nothing.

    The incumbent is the model that the challenger is compared with: the champion, or the pipeline if there is none.
    """

    answer: str
    incumbent: str | None
    challenger: str | None
    item_scores: tuple[float, float] | None = None
    """Item scores of the incumbent and of the challenger, 0 to 1.

    If None, the item score of each model is 1 if its label equals the answer, else 0.
    """
    confidences: tuple[float | None, float | None] = (None, None)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Facts that the slices are cut by."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of serving. None if it was not measured."""

    champion_ms: float | None = None
    """Milliseconds for an item of the hold-out set; both models ran in the same process, one after the other."""
    challenger_ms: float | None = None
    size_bytes: int | None = None
    """Size of the challenger's file."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The verdict and its evidence."""

    promote: bool
    reasons: tuple[str, ...]
    """Sentences in plain words, the deciding one first."""
    incumbent: Accuracy
    challenger: Accuracy
    better: int
    """Number of items on which the challenger has the higher item score.

    If each answer is one label, these are the items that only the challenger labels correctly.
    """
    worse: int
    """Number of items on which the incumbent has the higher item score."""
    p_value: float
    gain: Gain | None
    """None if there are no items."""
    detectable: float | None
    """The smallest gain that this gate would have promoted with a probability of 80 %; None if no gain would do."""
    loss: Loss | None
    """None if there are too few items for a verdict, since the prior would be most of it."""
    reuse: Reuse
    slices: tuple[Slice, ...]
    calibration: tuple[Calibration | None, Calibration | None]
    """Calibration of the incumbent and of the challenger; None for a model without confidences."""
    cost: Cost

    def evaluation(self, trained_on: int) -> dict[str, Any]:
        """Return the evaluation, as stored in `retrain_runs.scores`."""
        champion, challenger = (None if c is None else c.as_json() for c in self.calibration)
        return {
            "passed": self.promote,
            "holdout": self.challenger.n,
            "trained_on": trained_on,
            "metric": self.challenger.metric,
            "champion": self.incumbent.as_json(),
            "challenger": self.challenger.as_json(),
            "better": self.better,
            "worse": self.worse,
            "p": self.p_value,
            "loss": None if self.loss is None else self.loss.as_json(),
            "gain": None if self.gain is None else self.gain.as_json(),
            "detectable": self.detectable,
            "reuse": self.reuse.as_json(),
            "slices": [one.as_json() for one in self.slices],
            "calibration": {"champion": champion, "challenger": challenger},
            "speed": {"champion_ms": self.cost.champion_ms, "challenger_ms": self.cost.challenger_ms},
            "size_bytes": self.cost.size_bytes,
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of a promotion.

    There are enough held-out answers, and the challenger is better by the loop's rule. No slice lost more than the
    floor allows. Calibration error, latency and file size keep their limits.

    Without `alpha` the rule is the expected loss: the challenger is ahead, and promoting it loses at most `max_loss`
    on average. With `alpha` it is the paired test.
    """

    min_holdout: int
    alpha: float | None = None
    """Level of the paired test, before the correction for earlier verdicts."""
    max_loss: float = 0.004
    """Largest expected loss by a promotion, 0 to 1."""
    floor: float = 0.0
    """Largest loss of a slice, 0 to 1; the gate refuses if a slice lost more, and not by chance."""
    watch: tuple[str, ...] = ()
    """The slices that matter most, as `gate.watch` names them."""
    min_gain: float = 0.0
    """Smallest gain that is worth a change, 0 to 1."""
    max_ece: float | None = None
    """Largest calibration error of the challenger, 0 to 1; it refuses only an error above it beyond chance."""
    max_slowdown: float | None = None
    """Largest latency for an item, as a multiple of the champion's."""
    max_size_mb: float | None = None
    """Largest size of the file, in millions of bytes."""

    def judge(
        self,
        items: Sequence[Judged],
        incumbent_name: str = "champion",
        *,
        reuse: Reuse | None = None,
        cost: Cost | None = None,
        seed: int = 0,
    ) -> GateDecision:
        """Judge the challenger. Pure: the same items and seed give the same verdict, in any order.

        Without `reuse` the answers count as new.
        """
        rng, cost = np.random.default_rng(seed), cost or Cost()
        reuse = reuse or Reuse.of(1.0 if self.alpha is None else self.alpha)
        items = sorted(items, key=_place)
        item_scores = np.array([_item_scores(item) for item in items]).reshape(-1, 2)
        confidences = np.array([item.confidences for item in items], dtype=float).reshape(-1, 2)
        differences = item_scores[:, 1] - item_scores[:, 0]
        metric = "accuracy" if np.isin(item_scores, (0.0, 1.0)).all() else "score"
        with one_thread:
            incumbent, challenger = (Accuracy.of_item_scores(column, metric, rng) for column in item_scores.T)
            p_value, gain = p_better(differences, rng), Gain.of(differences, rng) if items else None
            loss = Loss.of(differences, rng)
            cut = slices.cut([i.facts for i in items], *item_scores.T, floor=self.floor, rng=rng, watch=self.watch)
            calibration = [Calibration.of(confidences[:, i], item_scores[:, i], rng) for i in (0, 1)]
        too_few = gain is None or len(items) < self.min_holdout
        needed = by_loss(len(items), self.max_loss) if self.alpha is None else by_test(reuse.alpha)
        needed = by_gain(len(items), self.min_gain, needed)
        detectable = None if too_few else detectable_gain(len(items), needed, float((differences**2).mean()))
        better, worse = int((differences > 0).sum()), int((differences < 0).sum())

        promote, why = self.better(len(items), float(differences.mean()) if items else 0.0, loss, p_value, reuse)
        against, notes = self._rules(cut, calibration[1], cost)
        said = slices.sentences(cut, self.floor, self.watch, [i.facts for i in items])
        if promote and against:
            promote, why = False, f"{why}, but {against.pop(0)}"
        evidence = f"challenger {challenger}, {incumbent_name} {incumbent}; {better} better, {worse} worse"
        first = f"{evidence}, {why}{', ' if too_few else ': '}{'promoted' if promote else 'refused'}"
        seen = "no gain at all" if detectable is None else f"a gain of {100 * detectable:.1f} points"
        held = [f"gain {gain}; {seen} would have been promoted with a probability of 80 %"]
        held.append(f"expected loss: {loss}" if self.alpha is None else f"{reuse}; expected loss: {loss}")
        if self.alpha is None and is_whole(differences):
            held[1] += self._missing(better, worse, len(items))
        return GateDecision(
            promote,
            (first, *against, *said[:1], *([] if too_few else held), *said[1:], *notes),
            incumbent,
            challenger,
            better,
            worse,
            p_value,
            gain,
            detectable,
            None if too_few else loss,
            reuse,
            tuple(cut),
            (calibration[0], calibration[1]),
            cost,
        )

    def _missing(self, better: int, worse: int, n: int) -> str:
        """Return how many more answers the rule of the expected loss would promote it by; empty if it needs none."""
        if better <= worse or (better - worse) / n < self.min_gain:
            return ""
        more = more_answers(better, worse, n, self.max_loss)
        return (
            f"; about {10 * math.ceil(more / 10)} more held-out answers with this gain would promote it" if more else ""
        )

    def better(self, n: int, gain: float, loss: Loss, p_value: float, reuse: Reuse) -> tuple[bool, str]:
        """Return whether a challenger with this gain on `n` answers is better by the loop's rule; and the reason."""
        if not n or n < self.min_holdout:
            return False, f"{n} held-out answers, the gate needs {self.min_holdout}: no verdict"
        if gain <= 0:
            return False, "not better"
        if self.alpha is None:
            passes, what = loss.promoting <= self.max_loss, loss.of_promoting(self.max_loss)
        else:
            passes = p_value <= reuse.alpha
            p_text, alpha = in_order(p_value, reuse.alpha, ".2g", ".2g")
            what = f"p = {p_text} {'<=' if passes else '>'} {alpha}{'' if passes else ', it may be chance'}"
        if passes and gain < self.min_gain:
            points, least = in_order(100 * gain, 100 * self.min_gain)
            return False, f"a gain of {points} points, the gate needs {least}"
        return passes, what

    def _rules(self, cut: Sequence[Slice], calibration: Calibration | None, cost: Cost) -> tuple[list[str], list[str]]:
        """Return the sentences of the rules that refuse, and those of the rules that do not."""
        against: list[str] = []
        notes: list[str] = []

        def rule(broken: bool, sentence: str) -> None:
            (against if broken else notes).append(sentence)

        fell = [one for one in cut if one.fell]
        if fell:
            more = f"; and {len(fell) - MOST_NAMED} slices more" if len(fell) > MOST_NAMED else ""
            rule(True, "; ".join(map(str, fell[:MOST_NAMED])) + more)
        if calibration is not None:
            limit = "" if self.max_ece is None else f", the limit is {100 * self.max_ece:g} %"
            above = self.max_ece is not None and calibration.is_above(self.max_ece)
            maybe = self.max_ece is not None and calibration.ece > self.max_ece and not above
            rule(above, f"{calibration}{limit}" + ", but chance alone may do that" * maybe)
        if self.max_slowdown is not None:
            if cost.champion_ms and cost.challenger_ms is not None:
                times = cost.challenger_ms / cost.champion_ms
                ours, theirs = round(cost.challenger_ms, 2), round(cost.champion_ms, 2)
                slower, most = in_order(times, self.max_slowdown)
                times_text = f"{ours:g} ms an item, {slower} times the champion's {theirs:g}"
                rule(times > self.max_slowdown, f"{times_text}, the limit is {most} times")
            else:
                rule(False, "its speed was not compared: no version of ours serves, or nothing was measured")
        if self.max_size_mb is not None and cost.size_bytes is not None:
            size = cost.size_bytes / 1e6
            size_text, most = in_order(size, self.max_size_mb)
            rule(size > self.max_size_mb, f"its file has {size_text} MB, the limit is {most}")
        return against, notes


def _item_scores(item: Judged) -> tuple[float, float]:
    return item.item_scores or (float(item.incumbent == item.answer), float(item.challenger == item.answer))


def _place(item: Judged) -> tuple[Any, ...]:
    return item.answer, item.incumbent or "", item.challenger or "", _item_scores(item), repr(item.confidences)

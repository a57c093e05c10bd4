"""Control: measure whether active learning pays in a loop, against its control lane, which is never ranked.

Nothing is stored. The estimate is described in backend/decide/gain.py. Its interval includes the chance that lies in
the held-out items and in both training sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from backend.decide.gain import Gain, Lanes, estimate
from backend.encode.inputs import with_inputs_in
from backend.learners import Learner
from backend.learners.of_spec import learner_of
from labelloop.answers.item_scores import item_score
from labelloop.errors import Unreadable
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks
from labelloop.store.database import Database
from labelloop.store.questions import lanes as store
from labelloop.store.tables import run_items
from labelloop.versions.items import AnsweredItem, ItemToLabel

MIN_CONTROL = 40
"""Control answers that an estimate needs; half of them train a model."""
MIN_RULE = 20
"""Answers of the rule lane that an estimate needs."""
MIN_HELD_OUT = 20
"""Held-out answers that an estimate needs, if gate.min_holdout is smaller; with fewer its interval means little."""
WORTH = 0.03
"""The smallest gain in accuracy that is worth knowing. An interval that reaches further on either side of 0 and
contains 0 tells nothing.
"""
DIVISIONS = 9
"""Divisions of either lane into halves, by default: 38 models are trained."""
UNANSWERED = 1000
"""Outputs of the hold-out lane without an answer that are read; more would hardly narrow the interval."""
Item = TypeVar("Item", bound=AnsweredItem | ItemToLabel)


@dataclass(frozen=True, slots=True)
class Control:
    """Result of the measurement. Accuracies are shares of 1, and None if they cannot be estimated yet."""

    verdict: str
    taught: int
    """Answers that each model was trained on; 0 if none was trained."""
    held_out: int
    rule: float | None
    """Accuracy with the first answers of the rule lane."""
    control: float | None
    """Accuracy with as many random ones."""
    difference: float | None
    low: float | None
    """Lower end of the 95 % interval of the difference."""
    high: float | None
    more_control: int | None
    """About how many more control answers would tell, if held-out answers grow in proportion. None if the verdict is
    known, or if nothing can be estimated yet.
    """


def measure(database: Database, spec: LoopSpec, *, divisions: int = DIVISIONS, seed: int = 0) -> Control:
    """Measure on the present answers. The same answers and seed give the same figures."""
    with database.transaction() as conn:
        rows = run_items.answered(conn, spec.name, upto=2**63 - 1)
        order = {id_: place for place, id_ in enumerate(store.in_order_of_answers(conn, spec.name))}
        waiting = store.held_out_without_answer(conn, spec.name, UNANSWERED)
        by_people = adopted_tasks.chosen_by_people(conn, spec.name)  # their order says nothing about ranking
    learner = learner_of(spec)
    rows = _readable(learner, with_inputs_in(database, None, spec, rows))
    waiting = _readable(learner, with_inputs_in(database, None, spec, waiting))
    rows.sort(key=lambda row: order[row.output_id])
    lanes = Lanes(
        rule=[row for row in rows if row.lane == "rule" and row.output_id not in by_people],
        control=[row for row in rows if row.lane == "control"],
        held_out=[row for row in rows if row.holdout],
        unanswered=[row.data for row in waiting],
    )
    return judge(spec, lanes, partial(learner_of, spec), divisions=divisions, seed=seed)


def judge(
    spec: LoopSpec, lanes: Lanes, new_learner: Callable[[], Learner], *, divisions: int = DIVISIONS, seed: int = 0
) -> Control:
    """Return the result for these answers. Pure but for the training."""
    held_out = len(lanes.held_out)
    if lacks := _lacks(spec, lanes):
        return Control(f"cannot tell yet: {lacks}", 0, held_out, None, None, None, None, None, None)
    gain = estimate(lanes, new_learner, partial(item_score, spec.config), divisions=divisions, seed=seed)
    more = missing(gain, len(lanes.control))
    figures = (gain.rule, gain.control, gain.difference, gain.low, gain.high)
    return Control(verdict(gain, more), gain.taught, held_out, *figures, more)


def missing(gain: Gain, control: int) -> int | None:
    """Return about how many more control answers would tell, in tens; None if the interval tells already.

    The width shrinks with the square root of the number of answers. An interval that is wide may shrink to WORTH on
    either side. One that is narrower already, and holds both 0 and WORTH, shrinks until it loses one of them, if the
    difference stays as it is.
    """
    if gain.low > 0 or gain.high < 0 or max(-gain.low, gain.high) < WORTH:
        return None
    half, difference = (gain.high - gain.low) / 2, abs(gain.difference)
    wanted = WORTH if half > WORTH else max(difference, WORTH - difference)
    return max(10, 10 * math.ceil(control * ((half / wanted) ** 2 - 1) / 10))


def verdict(gain: Gain, more: int | None) -> str:
    """Return the verdict in words: pays, does not pay, makes no difference worth knowing, or cannot tell yet."""
    figures = (
        f"{100 * gain.difference:+.1f} points against a random order "
        f"(95 % CI {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    )
    if more is not None:
        return (
            f"cannot tell yet: {figures}; about {more} more control answers, and held-out ones in proportion, "
            f"would tell whether it makes a difference of {100 * WORTH:g} points"
        )
    if gain.low > 0:
        return f"pays: {figures}"
    return f"does not pay: {figures}" if gain.high < 0 else f"makes no difference of {100 * WORTH:g} points: {figures}"


def _lacks(spec: LoopSpec, lanes: Lanes) -> str:
    """Return what is missing for an estimate; "" if nothing is."""
    wanted = (
        (lanes.control, MIN_CONTROL, "answers of the control lane"),
        (lanes.rule, MIN_RULE, "answers of the rule lane"),
        (lanes.held_out, max(spec.gate.min_holdout, MIN_HELD_OUT), "held-out answers"),
    )
    lacks = [f"{len(has)} {what}, at least {least} are needed" for has, least, what in wanted if len(has) < least]
    if not spec.queue.control:
        more = "no output enters" if not lanes.control else "no further output enters"
        if lacks:
            lacks.append(f"queue.control is 0, so {more} the control lane: set it, for example to 0.1")
    answers = {row.label for part in (lanes.rule, lanes.control, lanes.held_out) for row in part}
    if not lacks and len(answers) == 1:
        lacks.append(f"all answers are {answers.pop()!r}, so there is nothing to learn")
    return "; ".join(lacks)


def _readable(learner: Learner, rows: Sequence[Item]) -> list[Item]:
    try:
        learner.check([row.data for row in rows])
    except Unreadable as exc:
        return [row for position, row in enumerate(rows) if position not in exc.faults]
    return list(rows)

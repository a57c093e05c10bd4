"""The budget as a pure function: what it lets in, and that estimates stay unbiased under it."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.error_rate import Drawn, estimate, periods
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.queue.budget import Origin, Spent
from labelloop.queue.order import Ranked, best_first, choose, shares
from labelloop.spec.budget import Budget
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

SPACE = UUID(int=0)
caps = st.dictionaries(st.sampled_from(["a", "b", "*"]), st.integers(1, 4))
kinds = st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.sampled_from(["a", "b", ""])), max_size=30)


@given(caps, caps, kinds, kinds)
def test_no_limit_is_exceeded_and_an_output_is_left_out_only_if_a_limit_is_used_up(
    sources: dict[str, int], labels: dict[str, int], before: list[tuple[str, str]], waiting: list[tuple[str, str]]
) -> None:
    spent = Spent(Budget(per_day=1, per_source=sources, per_label=labels), Counter(Origin(*one) for one in before))
    origins = {UUID(int=i): Origin(*one) for i, one in enumerate(waiting)}
    came = list(spent.within(origins, origins))
    assert came == [id_ for id_ in origins if id_ in came], "in their order"
    taken = [Origin(*one) for one in before]
    for id_, origin in origins.items():
        used_up = any(
            (cap := limits.get(name, limits.get("*"))) is not None and sum(one[part] == name for one in taken) >= cap
            for part, (name, limits) in enumerate(zip(origin, (sources, labels), strict=True))
        )
        assert (id_ in came) == (not used_up)
        if id_ in came:
            taken.append(origin)
    now = spent.exhausted(origins[id_] for id_ in came)
    for id_ in origins.keys() - set(came):
        assert origins[id_].source in now.sources or origins[id_].label in now.labels


def test_words_name_what_is_used_up() -> None:
    tasks = {Origin("mail", "cat"): 3, Origin("", ""): 2}
    assert Spent(Budget(per_day=9), tasks).words() == "5 of 9 tasks today"
    assert Spent(Budget(per_label={"dog": 1}), tasks).words() == "5 tasks today"
    full = Spent(Budget(per_day=5, per_source={"mail": 3, "*": 2}, per_label={"cat": 3}), tasks)
    assert full.words() == "5 of 5 tasks today; used up: per_day, per_source none, per_source mail, per_label cat"
    many = Spent(Budget(per_source={"*": 1}), {Origin(f"s{i}", ""): 1 for i in range(9)})
    assert many.words().endswith("per_source s4 and 4 more")


@pytest.mark.slow
def test_the_interval_of_the_error_rate_holds_the_truth_under_a_budget() -> None:
    """1,000 outputs on four days, 50 tasks a day, and what the budget kept out of the rule lane passes each night."""
    spec = parse(
        "pets",
        "feedback_loop: {trigger: model_confidence < 0.7, labels: [cat, dog], holdout: 0.2, audit: 0.2, "
        "budget: {per_day: 50, over: pass}, queue: {control: 0.2, audit: 0.2, holdout: 0.2}}",
    )
    rng = np.random.default_rng(0)
    runs = [_four_days(spec, rng, str(run)) for run in range(200)]
    assert 0.92 <= np.mean([low <= truth <= high for truth, low, high, _ in runs]) <= 0.99
    assert np.mean([reviewed - truth for truth, *_, reviewed in runs]) > 0.05, "ranking decides what people review"


def _four_days(spec: LoopSpec, rng: np.random.Generator, run: str) -> tuple[float, float, float, float]:
    """Return the true error rate, its interval, and the error rate of all that was reviewed.

    The model's confidence is the chance that its label is correct, so the trigger sends the likeliest errors.
    """
    budget, sends = spec.budget, spec.sends
    assert budget is not None
    assert budget.per_day is not None
    came: dict[bool, list[Drawn]] = {True: [], False: []}
    reviewed: list[Drawn] = []
    drawn: list[Drawn] = []
    waiting: dict[UUID, tuple[Ranked, Drawn]] = {}
    pushed = Counter[str]()
    for day, i in product(range(4), range(250)):
        sure, key = float(rng.uniform(0.5, 1.0)), f"{run}/{day}/{i}"
        placed = lanes.place(Output(key, {}, label="cat", confidence=sure), spec, sends)
        assert placed.triggered is not None
        at = datetime(2026, 1, 1 + day, tzinfo=UTC) + timedelta(minutes=i)
        fact = Drawn(placed.triggered, at, key, float(rng.random() > sure))
        came[fact.triggered].append(fact)
        if placed.utility is not None:
            waiting[uuid5(SPACE, key)] = Ranked(uuid5(SPACE, key), key, placed.lane, placed.utility), fact
        if i < 249:
            continue
        queues = {str(lane): best_first(one for one, _ in waiting.values() if one.lane == lane) for lane in lanes.Lane}
        for task in choose(queues, budget.per_day, shares=shares(spec.queue.shares), pushed=pushed):
            _, fact = waiting.pop(task.output_id)
            pushed[task.lane] += 1
            reviewed.append(fact)
            drawn += [fact] if task.lane != "rule" else []
        waiting = {id_: one for id_, one in waiting.items() if one[0].lane != "rule"}
    assert len(reviewed) == 200
    begins = {sent: periods([row.received_at for row in drawn if row.triggered is sent]) for sent in came}
    sizes = {
        sent: np.bincount(
            [bisect_right(begins[sent], row.received_at) for row in rows], minlength=len(begins[sent]) + 1
        )
        for sent, rows in came.items()
    }
    found = estimate(drawn, begins, {sent: n.tolist() for sent, n in sizes.items()}).overall
    assert found.low is not None
    assert found.high is not None
    truth = np.mean([row.loss for rows in came.values() for row in rows])
    return float(truth), found.low, found.high, float(np.mean([row.loss for row in reviewed]))

"""The window: what is pushed, in what order it is served, and the signature that travels with it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from labelloop.queue.lanes import Lane
from labelloop.queue.order import LANES, Ranked, best_first, choose, priorities, shares, standing, useful
from labelloop.queue.tasks import Task, order_score, sign, task_data, task_reason
from labelloop.reading.ids import TaskId

UTILITIES = st.floats(0, 1, allow_subnormal=False)
ITEMS = st.builds(
    lambda id_, *rest: Ranked(id_, str(id_), *rest), st.uuids(), st.sampled_from(LANES), UTILITIES, st.booleans()
)
LISTS = st.lists(ITEMS, max_size=40, unique_by=lambda item: item.output_id)
THIRDS = shares({"control": 0.0, "audit": 0.1, "holdout": 0.3, "gold": 0.0, "second": 0.0})
SHARES = st.lists(st.integers(0, 20), min_size=len(LANES), max_size=len(LANES)).filter(any)


def items(lane: str, *utilities: float, fresh: bool = True) -> list[Ranked]:
    return [Ranked(id_ := uuid4(), str(id_), lane, utility, fresh) for utility in utilities]


def queues(waiting: list[Ranked]) -> dict[str, list[Ranked]]:
    return {lane: best_first(item for item in waiting if item.lane == lane) for lane in LANES}


@given(LISTS, st.integers(0, 20))
def test_the_places_are_filled_and_never_more_each_lane_in_its_order(waiting: list[Ranked], places: int) -> None:
    chosen = choose(queues(waiting), places, shares=THIRDS, pushed={})
    assert len(chosen) == len({item.output_id for item in chosen}) == min(places, len(waiting))
    for lane, queue in queues(waiting).items():
        of_lane = [item for item in chosen if item.lane == lane]
        assert of_lane == queue[: len(of_lane)]


@given(LISTS, st.randoms())
def test_the_order_of_rows_decides_nothing(waiting: list[Ranked], random: object) -> None:
    shuffled = list(waiting)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert queues(waiting) == queues(shuffled)
    stand = [{item.key for item in standing(rows, [], window=3, reach=7)} for rows in (waiting, shuffled)]
    assert stand[0] == stand[1]


def test_equals_come_in_the_order_of_their_keys() -> None:
    equals = [Ranked(uuid4(), key, "rule", 0.5) for key in ("b", "c", "a")]
    assert [item.key for item in best_first(equals)] == ["a", "b", "c"]
    places = priorities(equals, [], draw="v1")
    assert [item.key for item in sorted(equals, key=lambda item: -places[item.output_id])] == ["a", "b", "c"]


@given(SHARES, st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_each_lane_gets_its_share_over_time_and_none_starves(parts: list[int], pushes: list[int]) -> None:
    """However many places each push has: Webster's method depends on the sum alone."""
    wanted = {lane: part / sum(parts) for lane, part in zip(LANES, parts, strict=True)}
    full = {lane: items(lane, *[0.5] * sum(pushes)) for lane in LANES}
    pushed: Counter[str] = Counter()
    for places in pushes:
        left = {lane: queue[pushed[lane] :] for lane, queue in full.items()}
        pushed.update(item.lane for item in choose(left, places, shares=wanted, pushed=pushed))
    at_once = Counter(item.lane for item in choose(full, sum(pushes), shares=wanted, pushed={}))
    assert pushed == at_once
    for lane, share in wanted.items():
        assert abs(pushed[lane] - share * sum(pushes)) < len(LANES)
        if share and sum(pushes) > 1 / (2 * share) + len(LANES) / 2:
            assert pushed[lane]


def test_a_lane_with_nothing_to_give_leaves_its_place_to_the_others() -> None:
    waiting = [*items("rule", *[0.5] * 20), *items("audit", *[0.5] * 20)]
    assert Counter(item.lane for item in choose(queues(waiting), 14, shares=THIRDS, pushed={}))["rule"] == 12


def test_a_lane_without_a_share_comes_when_nothing_else_waits() -> None:
    waiting = [*items("rule", 0.1), *items("gold", 0.9)]
    assert [item.lane for item in choose(queues(waiting), 2, shares=THIRDS, pushed={"rule": 99})] == ["rule", "gold"]


def test_what_the_shares_leave_is_the_rules() -> None:
    assert shares({"audit": 0.25, "gold": 0.25}) == {"rule": 0.5, "audit": 0.25, "gold": 0.25}
    assert shares({"audit": 0.7, "gold": 0.30000000000000004})["rule"] == 0.0


def test_an_open_task_keeps_its_place_while_it_is_within_reach_of_the_selection() -> None:
    stands, better, worse = items("rule", 0.5, 0.4, 0.3), items("rule", 0.45), items("rule", 0.2)
    others = items("audit", 0.0)
    assert standing([*stands, *others], [*better, *worse], window=3, reach=3) == [*stands[:2], *others]
    assert standing(stands, [*better, *worse], window=3, reach=4) == stands
    assert standing(stands, worse, window=3, reach=3) == stands


def test_outputs_that_an_earlier_version_chose_give_way_to_more_useful_ones() -> None:
    stands, better = items("rule", 0.5, 0.4, 0.3), items("rule", 0.45)
    earlier = {item.output_id for item in stands[1:]}
    assert standing(stands, better, window=3, reach=30, outdated=earlier) == stands[:2]


def test_what_no_version_in_force_has_seen_comes_last() -> None:
    stale, fresh = items("rule", 0.9, fresh=False), items("rule", 0.1)
    assert best_first([*stale, *fresh]) == [*fresh, *stale]


def test_open_tasks_stay_and_the_most_useful_outputs_fill_the_free_places() -> None:
    stands, coming = items("rule", 0.3, 0.9), items("rule", 0.8, 0.7)
    assert useful([*stands, *items("audit", 1.0)], coming, 3) == [0.3, 0.8, 0.9]
    assert useful(stands, coming, 1) == [0.9]


@given(LISTS, LISTS, st.lists(UTILITIES, max_size=20))
def test_no_two_scores_are_alike_and_all_are_label_studios(
    new: list[Ranked], beside: list[Ranked], taken: list[float]
) -> None:
    places = priorities(new, useful(beside, new, 10), taken, draw="v1")
    scores = [order_score(place) for place in [*places.values()]]
    assert set(places) == {item.output_id for item in new}
    assert len(set(scores)) == len(scores)
    assert not set(scores) & {order_score(place) for place in taken}
    assert all(0 <= value <= 1 for value in scores)


@given(LISTS)
def test_the_rule_lane_is_served_in_the_order_of_its_utilities(new: list[Ranked]) -> None:
    places = priorities(new, [], draw="v1")
    rule = [item for item in new if item.lane == "rule"]
    served = sorted(rule, key=lambda item: -places[item.output_id])
    assert [item.utility for item in served] == sorted((item.utility for item in rule), reverse=True)


def test_hold_out_items_are_spread_among_the_useful_ones_by_chance_alone() -> None:
    """Those with a high random number are pushed first; they must not be served first for it."""
    rule = items("rule", *(i / 100 for i in range(100)))
    held = [Ranked(UUID(int=i), str(i), "holdout", 0.99) for i in range(200)]
    first, second = (priorities(held, useful([], best_first(rule), 50), draw=version) for version in ("v1", "v2"))
    for places in (first, second):
        assert all(0.49 < place < 1 for place in places.values()), "among the window's best"
        assert 80 <= sum(place > 0.75 for place in places.values()) <= 120
    last = sorted(first, key=lambda id_: first[id_])[:20]
    assert max(second[id_] for id_ in last) > 0.75, "nobody is last with every version"


def test_people_read_why_they_are_asked_and_not_that_the_answer_is_known() -> None:
    assert task_reason(Lane.RULE, "The model hesitates\nmargin 0.96", "unlike the last 200") == (
        "The model hesitates",
        "margin 0.96; unlike the last 200",
    )
    assert task_reason(Lane.RULE, None) == ("", "")
    random = {
        lane: task_reason(lane, "The model hesitates\nmargin 0.96", "unlike")
        for lane in Lane
        if lane not in (Lane.RULE, Lane.PASS)
    }
    assert all(sentence.startswith("Chosen at random") for sentence, _ in random.values())
    assert {statistic for _, statistic in random.values()} == {""}
    assert random[Lane.GOLD] == random[Lane.HOLDOUT] == ("Chosen at random, to measure quality", "")


def test_only_our_signature_makes_a_task_ours() -> None:
    output_id, key = uuid4(), b"key"
    data = task_data({"text": "x"}, output_id, uuid4(), "k", None, sign(key, output_id))
    assert data["labelloop_label"] == ""

    def read(**changes: object) -> UUID | None:
        return Task(TaskId(1), {**data, **changes}, datetime(2026, 1, 1, tzinfo=UTC), [], 0).output_id(key)

    assert read() == output_id
    assert read(labelloop_output=str(uuid4())) is None
    assert read(labelloop_output=None) is None
    assert read(labelloop_sig=None) is None
    assert read(labelloop_sig="ü") is None

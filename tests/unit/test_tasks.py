"""The window: what is pushed, in what order it is served, and the signature that travels with it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from labelloop.tasks import LANES, Ranked, Task, choose, priorities, score, shares, sign, task_data, useful

UTILITIES = st.floats(0, 1, allow_subnormal=False)
ITEMS = st.builds(Ranked, st.uuids(), st.sampled_from(LANES), UTILITIES, st.booleans())
LISTS = st.lists(ITEMS, max_size=40, unique_by=lambda item: item.output_id)
THIRDS = shares(0.1, 0.3)


def items(lane: str, *utilities: float, fresh: bool = True) -> list[Ranked]:
    return [Ranked(uuid4(), lane, utility, fresh) for utility in utilities]


@given(LISTS, st.integers(0, 20), st.integers(0, 20))
def test_the_window_is_filled_and_never_more(waiting: list[Ranked], window: int, in_flight: int) -> None:
    chosen = choose(waiting, [], window=window, shares=THIRDS, pushed={}, in_flight=in_flight)
    assert len(chosen) == len(set(chosen)) == max(0, min(window - in_flight, len(waiting)))


@given(LISTS, st.randoms())
def test_what_is_chosen_does_not_depend_on_the_order_of_rows(waiting: list[Ranked], random: object) -> None:
    shuffled = list(waiting)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(waiting, [], window=7, shares=THIRDS, pushed={}) == choose(
        shuffled, [], window=7, shares=THIRDS, pushed={}
    )


def test_each_lane_gets_its_share_of_what_is_pushed_over_time() -> None:
    waiting = [item for lane in LANES for item in items(lane, *(i / 200 for i in range(200)))]
    lanes = {item.output_id: item.lane for item in waiting}
    pushed: Counter[str] = Counter()
    for _ in range(20):
        chosen = choose(waiting, [], window=5, shares=THIRDS, pushed=pushed)
        pushed.update(lanes[id_] for id_ in chosen)
        waiting = [item for item in waiting if item.output_id not in set(chosen)]
    assert pushed == {"rule": 60, "audit": 10, "holdout": 30}


def test_a_lane_with_nothing_to_give_leaves_its_place_to_the_others() -> None:
    rule, audit = items("rule", *[0.5] * 20), items("audit", *[0.5] * 20)
    chosen = set(choose([*rule, *audit], [], window=14, shares=THIRDS, pushed={}))
    assert len(chosen & {item.output_id for item in rule}) == 12


def test_better_ones_come_in_though_the_window_is_full_and_worse_ones_do_not() -> None:
    stands = items("rule", 0.5, 0.4, 0.3)
    better, worse = items("rule", 0.45), items("rule", 0.2)
    assert choose([*better, *worse], stands, window=3, shares=THIRDS, pushed={}) == [better[0].output_id]
    assert choose(worse, [*stands, *better], window=3, shares=THIRDS, pushed={}) == []


def test_what_no_version_in_force_has_seen_comes_last() -> None:
    stale, fresh = items("rule", 0.9, fresh=False), items("rule", 0.1)
    assert choose([*stale, *fresh], [], window=1, shares=THIRDS, pushed={}) == [fresh[0].output_id]


@given(LISTS, LISTS, st.lists(UTILITIES, max_size=20))
def test_no_two_scores_are_alike_and_all_are_label_studios(
    new: list[Ranked], beside: list[Ranked], taken: list[float]
) -> None:
    places = priorities(new, useful([*new, *beside], 10), taken, draw="v1")
    scores = [score(place) for place in [*places.values()]]
    assert set(places) == {item.output_id for item in new}
    assert len(set(scores)) == len(scores)
    assert not set(scores) & {score(place) for place in taken}
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
    held = [Ranked(UUID(int=i), "holdout", 0.99) for i in range(200)]
    first, second = (priorities(held, useful(rule, 50), draw=version) for version in ("v1", "v2"))
    for places in (first, second):
        assert all(0.49 < place < 1 for place in places.values()), "among the window's best"
        assert 80 <= sum(place > 0.75 for place in places.values()) <= 120
    last = sorted(first, key=lambda id_: first[id_])[:20]
    assert max(second[id_] for id_ in last) > 0.75, "nobody is last with every version"


def test_only_our_signature_makes_a_task_ours() -> None:
    output_id, key = uuid4(), b"key"
    data = task_data({"text": "x"}, output_id, uuid4(), "k", None, sign(key, output_id))
    assert data["labelloop_label"] == ""

    def read(**changes: object) -> UUID | None:
        return Task(1, {**data, **changes}, datetime(2026, 1, 1, tzinfo=UTC), [], 0).output_id(key)

    assert read() == output_id
    assert read(labelloop_output=str(uuid4())) is None
    assert read(labelloop_output=None) is None
    assert read(labelloop_sig=None) is None
    assert read(labelloop_sig="ü") is None

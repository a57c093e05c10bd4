"""The lane of an output, its utility, and who reads which label."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop import strategies
from labelloop.errors import SpecError
from labelloop.outputs.output import Output, unit_hash
from labelloop.queue.lanes import Lane, announced_lane, place, reason_for
from labelloop.spec.folder import parse
from tests.support.data.outputs import LABELLED, SPEC, read


def many(n: int, p: float, **changes: Any) -> list[Output]:
    return [read(key=f"k/{i}", probabilities={"cat": p, "dog": 1 - p}, **changes) for i in range(n)]


def test_lanes_have_the_shares_that_the_spec_says() -> None:
    sure = [place(output, SPEC).lane for output in many(4000, 0.9)]
    assert abs(sure.count(Lane.HOLDOUT) / 4000 - SPEC.holdout) < 0.03
    assert abs(sure.count(Lane.AUDIT) / (4000 - sure.count(Lane.HOLDOUT)) - SPEC.audit) < 0.015
    unsure = [place(output, SPEC) for output in many(400, 0.6)]
    assert {p.lane for p in unsure} == {"rule", "holdout"}
    assert [p.holdout for p in unsure] == [lane == "holdout" for lane in sure[:400]], "whatever the trigger says"


def test_the_control_is_a_random_share_of_what_the_trigger_sends_and_is_not_ranked() -> None:
    spec = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"control": 0.2})})
    unsure = [place(output, spec) for output in many(4000, 0.6)]
    sent = [p for p in unsure if p.lane != "holdout"]
    drawn = [p for p in sent if p.lane == "control"]
    assert abs(len(drawn) / len(sent) - 0.2) < 0.03
    assert abs(sum(p.utility or 0 for p in drawn) / len(drawn) - 0.5) < 0.05, "by chance, not by the margin"
    assert all(p.triggered for p in unsure)
    assert {p.inclusion_probability for p in sent if p.lane == "rule"} == {None}, "rank chooses"
    share = 1 - (1 - spec.holdout) * (1 - 0.2)
    assert {round(p.inclusion_probability or 0, 9) for p in unsure if p.lane != "rule"} == {round(share, 9)}
    by_chance = [p for p in unsure if p.lane in ("control", "holdout")]
    assert abs(len(by_chance) / len(unsure) - share) < 0.03
    assert {place(output, spec).lane for output in many(400, 0.99)} <= {"audit", "holdout", "pass"}


def test_gold_checks_people_and_judges_nothing() -> None:
    placed = [place(output, SPEC) for p in (0.6, 0.99) for output in many(50, p, gold="cat")]
    assert {(p.lane, p.holdout, p.inclusion_probability) for p in placed} == {("gold", False, None)}
    assert len({p.utility for p in placed}) == 50, "in an order of chance"


@pytest.mark.parametrize(
    ("chances", "shares", "told"),
    [
        ({}, {}, "holdout"),
        ({"holdout": 0.0}, {}, "audit"),
        ({}, {"holdout": 0.0}, "audit"),
        ({"holdout": 0.0, "audit": 0.0}, {"control": 0.1}, "control"),
        ({"holdout": 0.0, "audit": 0.0}, {}, "rule"),
    ],
)
def test_gold_says_of_itself_what_others_of_its_loop_say(
    chances: dict[str, float], shares: dict[str, float], told: str
) -> None:
    spec = SPEC.model_copy(update={**chances, "queue": SPEC.queue.model_copy(update=shares)})
    assert announced_lane(Lane.GOLD, spec) == told
    assert [announced_lane(lane, spec) for lane in (Lane.RULE, Lane.CONTROL, Lane.AUDIT)] == [
        "rule",
        "control",
        "audit",
    ]


def test_while_no_version_ranks_people_read_what_the_pipelines_model_said() -> None:
    assert (
        reason_for(SPEC, {"cat": 0.52, "dog": 0.48}, None, 0.52)
        == "The model hesitates between cat (52 %) and dog (48 %)\nmargin 0.96"
    )
    assert reason_for(SPEC, None, None, 0.4, "cat") == "The model says cat, but is only 40 % sure\nconfidence 0.40"
    assert reason_for(SPEC, None, None, None) == "The model did not say how sure it is"
    chance = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"strategy": "random"})})
    assert reason_for(chance, {"cat": 1.0}, None, None) == reason_for(chance, None, None, None) == "Chosen at random"


@pytest.mark.parametrize("strategy", strategies.names())
def test_outputs_from_a_time_with_other_labels_have_a_reason_too(strategy: str) -> None:
    """A label was renamed while outputs waited: what they say is still to be pushed."""
    spec = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"strategy": strategy})})
    committee = {"committee": [{"cat": 1.0}, {"hound": 1.0}]}
    for shares in ({"hound": 1.0}, {"cat": 0.1, "hound": 0.9}):
        assert reason_for(spec, shares, None, 0.9)
        assert reason_for(spec, shares, committee, 0.9)
    assert (
        reason_for(SPEC, {"cat": 0.1, "hound": 0.9}, None, 0.9) == "The model says hound and is 90 % sure\nmargin 0.20"
    )


def test_one_group_is_on_one_side() -> None:
    assert len({place(output, SPEC).holdout for output in many(100, 0.6, group="g")}) == 1


def test_the_utility_follows_the_strategy_in_the_rule_lane_and_chance_elsewhere() -> None:
    places = [place(output, SPEC) for output in many(4000, 0.75)]
    assert {p.utility for p in places if p.lane == "rule"} == {0.5}, "margin: 1 - (0.75 - 0.25)"
    random = [p.utility for p in places if p.lane == "holdout" and p.utility is not None]
    assert abs(sum(random) / len(random) - 0.5) < 0.05
    assert {(p.lane, p.inclusion_probability) for p in places} == {("rule", None), ("holdout", SPEC.holdout)}


@pytest.mark.parametrize(("confidence", "sent", "by_lane"), [(0.9, False, SPEC.audit), (0.6, True, 0.1)])
def test_chance_chooses_the_outputs_of_a_stratum_as_often_as_their_placement_says(
    confidence: float, sent: bool, by_lane: float
) -> None:
    spec = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"control": 0.1})})
    placed = [place(output, spec) for output in many(2000, confidence)]
    assert {p.triggered for p in placed} == {sent}, "held out or not"
    [share] = {p.inclusion_probability for p in placed if p.lane != "rule"}
    assert share is not None
    assert share == pytest.approx(1 - (1 - spec.holdout) * (1 - by_lane))
    chosen = [p for p in placed if p.lane in ("holdout", "control", "audit")]
    assert abs(len(chosen) / len(placed) - share) < 0.03


def test_an_output_without_confidence_goes_to_people_first() -> None:
    placed = [place(read(key=f"k/{i}", **LABELLED), SPEC) for i in range(50)]
    assert {p.lane for p in placed} == {"rule", "holdout"}
    rule = [p for p in placed if p.lane == "rule"]
    assert {(p.label, p.confidence) for p in rule} == {("cat", None)}
    utilities = {p.utility for p in rule if p.utility is not None and 0.999 <= p.utility <= 1}
    assert len(utilities) == len(rule), "in an order of chance among themselves"
    passed = place(read(key="k/1", **LABELLED, confidence=0.9), SPEC)
    assert (passed.label, passed.confidence) == ("cat", 0.9)


def test_the_hash_is_uniform_and_tells_its_parts_apart() -> None:
    values = [unit_hash("a", str(i)) for i in range(2000)]
    assert 0 <= min(values) < max(values) < 1
    assert abs(sum(values) / 2000 - 0.5) < 0.03
    assert unit_hash("a", "bc") != unit_hash("ab", "c")
    assert unit_hash("holdout", "digits", "digit/7") == 0.45015134238084764, (
        "fixed for ever: lanes must not move with a release"
    )


def test_a_trigger_reads_each_probability_of_several_labels_and_refuses_those_of_one_label() -> None:
    xml = (
        '<View><Text name="t" value="$text"/><Choices name="label" toName="t" choice="multiple">'
        '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
    )
    spec = parse("x", "feedback_loop: {trigger: \"0.2 < probabilities['dog'] < 0.6\", audit: 0, holdout: 0}", xml)
    shares = [{"cat": 0.99, "dog": 0.5}, {"cat": 0.5, "dog": 0.99}, {"cat": 0.5}]
    outputs = [read(probabilities=..., evidence={"labels": each}) for each in shares]
    assert [place(output, spec).lane for output in outputs] == ["rule", "pass", "pass"]
    with pytest.raises(SpecError, match=r"column 40: .*trigger: margin needs one label"):
        parse("x", "feedback_loop: {trigger: meta.x > 1 or margin < 0.5}", xml)

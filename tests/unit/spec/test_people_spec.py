"""The section `people` of loop.yaml: short forms, and faults with what would do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labelloop.errors import SpecError
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.people import People

YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  labels: [a, b]\n'


def spec(people: str) -> LoopSpec:
    return parse("pets", f"{YAML}  people: {people}\n")


def test_people_may_be_a_list_and_a_tag_or_field_may_stand_alone() -> None:
    one = spec("{who: {rob@x.org: de, mia@x.org: [de, fr], zoe@x.org: }, needs: language}")
    assert one.people is not None
    assert one.people.who == {"rob@x.org": ("de",), "mia@x.org": ("de", "fr"), "zoe@x.org": ()}
    assert one.people.needs == ("language",)
    assert spec("{who: [rob@x.org]}").people == People(who={"rob@x.org": ()})
    assert LoopSpec.from_json(one.to_json()) == one


def test_a_loop_without_the_section_keeps_its_hash() -> None:
    plain = parse("pets", YAML)
    assert plain.people is None
    assert plain.model_copy(update={"people": None}).sha256() == plain.sha256()
    assert spec("{who: [rob@x.org]}").sha256() != plain.sha256()


@pytest.mark.parametrize(
    ("people", "says"),
    [
        ("yes", "takes keys, as in `people: {who: {rob@example.org: [de]}}`"),
        ("{who: {rob: [de]}}", "people.who.rob: 'rob' is no address: name people by the address of their login"),
        ("{who: {Rob@x.org: , rob@x.org: }}", "people.who.rob@x.org: is the same person as 'Rob@x.org'"),
        ("{who: {}}", "people.who: takes at least 1"),
        ("{who: [rob@x.org], hand_on_after: 3 days}", "takes a duration such as '6h', '30m', '2d' or '1w'"),
        ("{who: [rob@x.org], rotate_after: 0}", "people.rotate_after: should be greater than or equal to 1, not 0"),
        ("{who: [rob@x.org], asign: fair}", "people.asign: no such key (did you mean 'assign'?)"),
    ],
)
def test_a_fault_says_what_would_do(people: str, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec(people)
    assert says in str(refused.value)


def test_a_week_begins_on_monday() -> None:
    now = datetime(2026, 5, 7, 15, 30, tzinfo=UTC)  # a Thursday
    people = People(who={"rob@x.org": ()}, hand_on_after="2d")
    assert people.begin(now) == datetime(2026, 5, 7, tzinfo=UTC)
    assert people.model_copy(update={"period": "week"}).begin(now) == datetime(2026, 5, 4, tzinfo=UTC)
    assert people.hand_on == timedelta(days=2)

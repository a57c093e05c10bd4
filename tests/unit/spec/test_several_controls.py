"""Answers to several controls: what is hidden, what belongs to a region, relations, and what people agree on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.consensus import consensus
from labelloop.answers.item_scores import item_score
from labelloop.answers.unreadable import why_unreadable
from labelloop.errors import InvalidOutput, SpecError
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.outputs import fitting, reading
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

TICKET = """<View><Text name="text" value="$text"/>
<Choices name="topic" toName="text" required="true"><Choice value="order"/><Choice value="account"/></Choices>
<View visibleWhen="choice-selected" whenTagName="topic" whenChoiceValue="order">
  <Choices name="product" toName="text" choice="multiple" required="true">
    <Choice value="shoes"/><Choice value="coat"/></Choices></View>
<View visibleWhen="choice-unselected" whenTagName="topic" whenChoiceValue="order">
  <Number name="id" toName="text"/></View>
<Rating name="urgency" toName="text"/>
<TextArea name="note" toName="text"/><TextArea name="comment" toName="text"/></View>"""
CARS = """<View><Image name="image" value="$image"/>
<RectangleLabels name="boxes" toName="image"><Label value="car"/><Label value="sign"/></RectangleLabels>
<TextArea name="plate" toName="image" perRegion="true" required="true" whenLabelValue="car"/>
<Choices name="colours" toName="image" perRegion="true" choice="multiple">
<Choice value="red"/><Choice value="blue"/></Choices>
<Relations><Relation value="behind"/><Relation value="beside"/></Relations></View>"""
YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'


def config(xml: str, answer: tuple[str, ...] | None = None) -> LabelingConfig:
    return LabelingConfig.parse(xml, LabelingConfig.parse(xml).everything if answer is None else answer)


def canonical(form: LabelingConfig, answer: object) -> Any:
    return json.loads(kinds.canonical(form.answer, answer))


def box(x: float, label: str, **said: Any) -> dict[str, Any]:
    return {"box": [x, 10, 20, 20], "label": label, **({"with": said} if said else {})}


def region(name: str, **value: Any) -> dict[str, Any]:
    [type_] = value
    kind = "textarea" if type_ == "text" else type_
    return {"id": name, "from_name": name, "to_name": "text", "type": kind, "value": value}


# -- what is hidden ----------------------------------------------------------------------------------------------------


def test_a_form_of_several_controls_is_answered_by_all_but_the_comment() -> None:
    assert config(TICKET).everything == ("topic", "product", "id", "urgency", "note")
    assert LabelingConfig.parse(TICKET).kind is Kind.FORM  # two Choices: neither alone
    assert config(TICKET).answer.kind is Kind.FORM


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ({"topic": "order", "product": ["coat"], "id": 7}, {"topic": "order", "product": ["coat"]}),
        ({"topic": "account", "product": ["coat"], "id": 7}, {"topic": "account", "id": 7}),
        ({"topic": "account", "product": []}, {"topic": "account"}),
        ({"topic": "order", "product": [], "note": None}, {"topic": "order"}),
    ],
)
def test_hidden_and_empty_controls_are_no_part_of_the_answer(given_: Any, kept: Any) -> None:
    assert canonical(config(TICKET), given_) == kept


@pytest.mark.parametrize(
    ("regions", "label", "reason"),
    [
        ([region("topic", choices=["account"])], '{"topic":"account"}', None),
        (
            [region("topic", choices=["order"])],
            None,
            "product: nothing was given",
        ),
        ([region("urgency", rating=3)], None, "topic: nothing was given"),
        (
            [region("topic", choices=["account"]), region("urgency", rating=9)],
            None,
            "Rating 'urgency': '9' was given; must lie between 1 and 5; it is 9",
        ),
        ([region("topic", choices=["account"]), region("note", text=["", " "])], '{"topic":"account"}', None),
        (
            [region("topic", choices=["gone"])],
            None,
            "Choices 'topic': 'gone' was given, but labels.xml has no such label",
        ),
    ],
)
def test_a_required_control_is_required_only_if_people_see_it(
    regions: Any, label: str | None, reason: str | None
) -> None:
    form = config(TICKET)
    read = results.read(form, regions, None)
    why = why_unreadable(form, regions, read)
    assert (read.label, None if why is None else why.reason) == (label, reason)


# -- regions -----------------------------------------------------------------------------------------------------------


def test_an_answer_about_a_region_goes_with_it_by_its_id() -> None:
    form = config(CARS)
    answer = canonical(form, {"boxes": [box(1, "car", plate="B 1", colours=["red"]), box(40, "sign")]})
    shown = results.encode(form, json.dumps(answer), None)
    said = [one for one in shown if one["from_name"] in ("plate", "colours")]
    assert {one["id"] for one in said} == {shown[0]["id"]}
    assert all(one["value"]["x"] == 1 for one in said), "the editor repeats the place"
    assert results.read(form, shown, None).label == kinds.canonical(form.answer, answer)
    without = [one for one in shown if one["from_name"] != "plate"]
    read = results.read(form, without, None).label
    assert read is not None, "a required control that is missing for a region makes no answer unreadable"
    wrong = [{**one, "value": {"choices": ["green"]}} if one["from_name"] == "colours" else one for one in shown]
    why = why_unreadable(form, wrong, results.read(form, wrong, None))
    assert why is not None
    assert "colours: no such label 'green'; there are: red, blue" in why.reason


def test_an_empty_page_is_an_answer_if_nothing_had_to_be_marked() -> None:
    assert results.read(config(CARS), [], None).label == "{}"
    assert results.read(config(TICKET), [], None).label is None


ENDS = {
    "from": ["boxes", {"box": [1, 10, 20, 20], "label": "car"}],
    "to": ["boxes", {"box": [40, 10, 20, 20], "label": "sign"}],
}


@given(st.sampled_from(["left", "right", "bi"]), st.sets(st.sampled_from(["behind", "beside"])), st.booleans())
def test_relations_keep_ends_labels_and_direction(direction: str, labels: set[str], alone: bool) -> None:
    relation = {**ENDS, "direction": direction, "labels": sorted(labels)}
    form = config(CARS, ("relations",) if alone else None)
    answer: Any = (
        [relation] if alone else {"boxes": [box(1, "car", plate="B"), box(40, "sign")], "relations": [relation]}
    )
    text = kinds.canonical(form.answer, answer)
    shown = results.encode(form, text, None)
    drawn = [one for one in shown if one["type"] == "relation"]
    assert [(one["direction"], one.get("labels", [])) for one in drawn] == [(direction, sorted(labels))]
    again = [{**one, "id": f"x{one['id']}"} for one in shown if one["type"] != "relation"]
    moved = [{**one, "from_id": f"x{one['from_id']}", "to_id": f"x{one['to_id']}"} for one in drawn]
    assert results.read(form, again + moved, None).label == text, "Label Studio's ids are random"
    assert results.read(form, again + drawn, None).label is None, "an end that is not there"


def test_people_agree_on_a_relation_between_boxes_that_they_drew_a_little_apart() -> None:
    form = config(CARS)
    people = []
    for shift in (0, 1, 2):
        ends = {"from": ["boxes", box(1 + shift, "car")], "to": ["boxes", box(40, "sign")]}
        people.append(
            kinds.canonical(form.answer, {"boxes": [box(1 + shift, "car"), box(40, "sign")], "relations": [ends]})
        )
    agreed = consensus(people, 3, form.answer)
    assert agreed is not None
    assert agreed.label is not None
    [relation] = json.loads(agreed.label)["relations"]
    assert relation["from"] == ["boxes", box(2, "car")]
    assert agreed.agreement == 1.0


LOST = {"boxes": [box(1, "car")], "relations": [ENDS]}


def test_a_relation_to_a_region_that_the_answer_does_not_have_is_refused() -> None:
    control = config(CARS).answer
    with pytest.raises(ValueError, match=r'relations: a relation ends at \["boxes",.*no region of this answer'):
        kinds.canonical(control, LOST)
    with pytest.raises(ValueError, match="no region of this answer"):
        kinds.canonical(control, {"relations": [ENDS]})
    plate = {"boxes": [box(1, "car", plate="B"), box(40, "sign")], "relations": [ENDS]}
    assert "relations" in json.loads(kinds.canonical(control, plate)), "answers about a region are no part of an end"
    assert kinds.nearest_answer(control, json.dumps(LOST)) == kinds.canonical(control, {"boxes": [box(1, "car")]})


def test_people_draw_relations_in_a_form_without_the_tag_too() -> None:
    plain = CARS.replace('<Relations><Relation value="behind"/><Relation value="beside"/></Relations>', "")
    assert config(plain).everything == ("boxes",)
    form = config(plain, ("boxes", "relations"))
    text = kinds.canonical(form.answer, {"boxes": [box(1, "car"), box(40, "sign")], "relations": [ENDS]})
    assert results.read(form, results.encode(form, text, None), None).label == text


# -- what people agree on ----------------------------------------------------------------------------------------------


def agreed(*answers: Any, form: str = TICKET) -> tuple[Any, float | None]:
    of = config(form)
    found = consensus([kinds.canonical(of.answer, one) for one in answers], len(answers), of.answer)
    assert found is not None
    return None if found.label is None else json.loads(found.label), found.agreement


def test_each_control_is_agreed_on_by_itself() -> None:
    order = {"topic": "order", "product": ["coat"], "urgency": 3}
    assert agreed(order, {**order, "urgency": 4}, {**order, "urgency": 3})[0] == order
    assert agreed(order, {"topic": "account"})[0] is None, "a tie in one control"
    assert agreed(order, {**order, "note": "late"})[0] == {**order, "note": "late"}, "a text that need not be written"
    assert agreed(order, {**order, "urgency": 3})[1] == 1.0
    boxes = [{"boxes": [box(1, "car"), box(40, "sign")]}, {"boxes": [box(1, "car")]}, {}]
    assert agreed(*boxes, form=CARS)[0]["boxes"][0]["label"] == "car", "who marked nothing counts"


def test_the_item_score_is_the_mean_of_the_controls() -> None:
    form = config(TICKET)
    right, predicted = ('{"topic":"account","urgency":5}', '{"topic":"account","urgency":1}')
    assert item_score(form, right, predicted) == 0.5
    assert item_score(form, right, '{"topic":"account"}') == 0.5


# -- intake, trigger and rank ------------------------------------------------------------------------------------------


def spec(xml: str, more: str = "") -> LoopSpec:
    return parse("several", YAML + more, xml)


def output(**fields: Any) -> bytes:
    return json.dumps({"key": "k", "data": {"text": "a", "image": "b"}, **fields}).encode()


def taken(of: LoopSpec, **fields: Any) -> Any:
    return fitting.check(fitting.shown(reading.parse(output(**fields)), of.config), of.config, of.labels)


def test_an_output_gives_its_answer_as_an_object() -> None:
    of = spec(TICKET)
    assert of.learner.name == "none"
    assert (
        taken(of, label={"topic": "account", "urgency": 2}, confidence=0.5).label == '{"topic":"account","urgency":2}'
    )
    with pytest.raises(InvalidOutput, match="label: urgency: must lie between"):
        taken(of, label={"topic": "account", "urgency": 9}, confidence=0.5)
    with pytest.raises(InvalidOutput, match="no control 'stars' is part of the answer; there are: topic, product"):
        taken(of, label={"stars": 9}, confidence=0.5)
    with pytest.raises(InvalidOutput, match="are for one label"):
        taken(of, probabilities={"account": 1.0})


def test_the_most_doubtful_control_decides_or_the_weights_do() -> None:
    evidence = {"controls": {"topic": {"probabilities": {"order": 0.9, "account": 0.1}}, "urgency": 0.4}}
    label = {"topic": "account"}
    of = spec(TICKET)
    one = taken(of, label=label, confidence=0.5, evidence=evidence)
    assert lanes.utility_in(lanes.Lane.RULE, one, of, 0.5) == pytest.approx(0.6)
    assert lanes.reason_for(of, None, one.evidence, 0.5).startswith("The model is least sure of")
    weighted = spec(TICKET, "  queue: {control_weight: {topic: 3, urgency: 1}}\n")
    assert lanes.utility_in(lanes.Lane.RULE, one, weighted, 0.5) == pytest.approx((3 * 0.2 + 0.6) / 4)
    with pytest.raises(InvalidOutput, match=r"evidence\.controls\.stars: no such control"):
        taken(of, label=label, confidence=0.5, evidence={"controls": {"stars": 0.4}})
    with pytest.raises(SpecError, match=r"queue\.control_weight: no control 'topics' in the answer"):
        spec(TICKET, "  queue: {control_weight: {topics: 3}}\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("[topic, stars]", "line 3, column 11: loop.yaml: answer: labels.xml has no control 'stars'"),
        ("[topic, topic]", "answer: 'topic' is named twice"),
        ("[topic, comment]", "answer: 'comment' is the comment"),
    ],
)
def test_a_mistake_in_answer_is_named_at_its_place(answer: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        spec(TICKET, f"  answer: {answer}\n")
    assert message in str(raised.value)

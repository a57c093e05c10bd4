"""Label Studio's labeling config and results: read, generated, and held to the SDK's own checks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from labelloop.errors import SpecError
from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form import BEST, REST_KEYS, SEARCH_KEY, best_choices, generate_form
from labelloop.labeling.results import Reading
from labelloop.queue.tasks import likeliest

ALL = ("approval", "comment", "correction")
SHOW = {"text": "$text"}
PLAIN = LabelingConfig.parse(
    '<View><Image name="i" value="$image"/><Choices name="what" toName="i"><Choice value="cat"/>'
    '<Choice value="Dog" alias="dog"/></Choices><TextArea name="comment" toName="i"/></View>'
)
LABEL = st.text(st.characters(categories=["L", "N", "P", "S"], max_codepoint=0x2FFF), min_size=1, max_size=12).filter(
    lambda label: not label.startswith("$")  # a field of the data to Label Studio; loop.yaml refuses such labels
)
LABELS = st.lists(LABEL, min_size=2, max_size=5, unique=True)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["from_name", "value", "choices", "text", "x"]), inner, max_size=4),
    ),
    max_leaves=12,
)


def generated(labels: list[str], fields: tuple[str, ...] = ALL) -> LabelingConfig:
    return LabelingConfig.parse(generate_form(labels, fields, SHOW))


@settings(max_examples=40, deadline=None)
@given(
    LABELS, st.integers(0, 4), st.integers(0, 4), st.sampled_from([ALL, ("correction",), ("correction", "approval")])
)
def test_an_encoded_result_is_read_back_and_fits_the_sdks_rules(
    labels: list[str], shown: int, model: int, fields: tuple[str, ...]
) -> None:
    config = generated(labels, fields)
    label, model_label = labels[shown % len(labels)], labels[model % len(labels)]
    result = results.encode(config, label, model_label)
    reading = results.read(config, result, model_label)
    assert reading == Reading(label, label == model_label, None if label == model_label else label)
    prediction = {"result": result, "score": 0.5, "model_version": "v"}
    oracle: Any = LabelInterface(config.xml)
    assert oracle.validate_prediction(prediction, return_errors=True) == []


def test_a_guess_that_is_not_the_pipelines_leaves_the_verdict_to_the_person() -> None:
    config = generated(["cat", "dog"])
    assert results.preselect(config, "cat", "cat") == results.encode(config, "cat", "cat"), "approve"
    [ticked] = results.preselect(config, "dog", "cat")
    assert (ticked["from_name"], ticked["value"]) == ("correction", {"choices": ["dog"]})
    assert results.read(config, [ticked], "cat") == Reading(), "what nobody touched says nothing about the output"
    assert results.preselect(generated([], ("approval",)), "dog", "cat") == []
    plain = generated(["cat", "dog"], ("correction",))
    assert results.preselect(plain, "dog", "cat") == results.encode(plain, "dog", "cat") != []


def test_the_generated_form_shows_the_item_first_and_the_comment_is_the_first_stop_of_the_tab_key() -> None:
    form = generate_form(["cat", "dog"], ("approval", "comment", "correction", "why"), SHOW)
    order = [
        form.index(part)
        for part in ("$text", 'name="comment"', "$labelloop_label", 'name="verdict"', "correction", "$labelloop_why")
    ]
    assert order == sorted(order)
    free = generate_form([], ("comment", "correction"), SHOW)
    assert free.index('name="correction"') < free.index('name="comment"'), "who types the answer begins with it"
    assert "$labelloop_label" not in generate_form(["cat", "dog"], ("correction",), SHOW), (
        "one guess: the one that is ticked"
    )
    assert ">" not in form.partition("<Style>")[2].partition("</Style>")[0], "Label Studio escapes it"


INTENTS = [f"intent {i}" for i in range(77)]


@pytest.mark.parametrize("fields", [("correction",), ALL])
def test_with_many_labels_one_control_holds_the_best_of_the_task_and_all_others(fields: tuple[str, ...]) -> None:
    config = generated(INTENTS, fields)
    assert (config.verdict, config.quick, config.shows_best) == (None, None, True), (
        "nothing to reject before the answer"
    )
    assert config.labels == tuple(INTENTS)
    assert config.data_fields == ("text",)
    assert results.read(config, [region("correction", choices=["intent 7"])], "intent 3") == Reading(
        "intent 7", False, "intent 7"
    )
    assert results.read(config, [region("correction", choices=["intent 3"])], "intent 3") == Reading("intent 3", True)
    assert results.read(config, [region("correction", choices=["intent 78"])], "intent 3").label is None
    oracle: Any = LabelInterface(config.xml)
    prediction = {"result": results.encode(config, "intent 7", None), "score": 0.5, "model_version": "v"}
    assert oracle.validate_prediction(prediction, return_errors=True) == []


def test_no_two_choices_of_the_form_for_many_labels_have_one_key() -> None:
    keys = [*REST_KEYS, *(choice["hotkey"] for choice in best_choices(INTENTS[:BEST], {})), SEARCH_KEY]
    assert len(keys) == len(set(keys)) == len(REST_KEYS) + BEST + 1 == 60
    of_the_editor = {"u", "h", "r"}  # unselect, and two that it never gives to a choice
    assert not of_the_editor & set(keys)
    form = generate_form(INTENTS, ("correction",), SHOW)
    assert [key for key in keys[: len(REST_KEYS)] if f'hotkey="{key}"' not in form] == []
    assert best_choices(["a", "b"], {"b": "the second"}) == [
        {"value": "a", "hotkey": "1"},
        {"value": "b", "hotkey": "2", "hint": "the second"},
    ]


def test_the_former_form_for_many_labels_is_read_as_before() -> None:
    for fields, before in ((("correction",), []), (ALL, [region("verdict", choices=["reject"])])):
        config = LabelingConfig.parse(generate_form(INTENTS, fields, SHOW, former=True))
        quick = [*before, region("quick", choices=["intent 7"])]
        assert results.read(config, quick, "intent 3") == Reading("intent 7", False, "intent 7")
        assert results.read(config, [*before, region("quick", choices=["intent 78"])], "intent 3").label is None
        assert config.labels == tuple(INTENTS)
        assert config.shows_best
    assert generated(INTENTS[:9]).shows_best is False, "each label has a digit of its own"
    shares = {"intent 1": 0.2, "intent 2": 0.2, "gone": 0.4, "intent 0": 0.1, "intent 5": 0.1}
    assert likeliest(shares, INTENTS) == ["intent 1", "intent 2", "intent 0"]


def test_a_definition_is_the_hint_of_its_label() -> None:
    form = generate_form(["cat", "dog"], ("correction",), SHOW, hints={"dog": 'barks & "wags"'})
    assert '<Choice value="cat"/>' in form
    assert '<Choice value="dog" hint=\'barks &amp; "wags"\'/>' in form
    assert generated(["cat", "dog"], ("correction",)).labels == LabelingConfig.parse(form).labels


@given(LABEL, LABEL)
def test_free_text_is_read_back(label: str, model_label: str) -> None:
    config = generated([])
    assert results.read(config, results.encode(config, label, model_label), model_label).label == label


@given(JSON, st.sampled_from(["cat", None]))
def test_any_json_is_read_without_an_error_and_never_as_a_label_that_is_none(result: object, model: str | None) -> None:
    for config in (PLAIN, generated(["cat", "dog"]), generated([])):
        reading = results.read(config, result, model)
        assert reading.label is None or config is not PLAIN or reading.label in ("cat", "dog")


def region(name: str, **value: list[str]) -> dict[str, object]:
    return {"from_name": name, "to_name": "i", "type": "x", "value": value}


def test_a_plain_choice_is_an_approval_when_it_is_the_models() -> None:
    said = [region("what", choices=["dog"]), region("comment", text=["far", " away "])]
    assert results.read(PLAIN, said, "dog") == Reading("dog", True, None, "far\naway")
    assert results.read(PLAIN, said, "cat") == Reading("dog", False, "dog", "far\naway")
    assert results.read(PLAIN, said, None) == Reading("dog", None, None, "far\naway")
    assert results.read(PLAIN, [region("comment", text=["?"])], "cat") == Reading(comment="?")


def test_a_verdict_decides_whether_the_correction_counts() -> None:
    config = generated(["cat", "dog"])
    approve, reject = region("verdict", choices=["approve"]), region("verdict", choices=["reject"])
    correction = region("correction", choices=["dog"])
    assert results.read(config, [approve, correction], "cat") == Reading("cat", True)
    assert results.read(config, [reject, correction], "cat") == Reading("dog", False, "dog")
    assert results.read(config, [reject], "cat") == Reading(None, False)
    assert results.read(config, [correction], "cat") == Reading()


@pytest.mark.parametrize("choices", [[], ["cat", "dog"], ["cow"], [3], "cat", None])
def test_only_one_known_choice_is_an_answer(choices: object) -> None:
    said = [{"from_name": "what", "value": {"choices": choices}}]
    assert results.read(PLAIN, said, "cat") == Reading()


def test_a_label_that_the_form_cannot_say_is_no_prelabel() -> None:
    assert results.encode(PLAIN, "cow", None) == results.encode(PLAIN, None, None) == []


def test_what_models_call_a_label_is_shown_and_read_as_the_label() -> None:
    config = LabelingConfig.parse(
        '<View><Image name="i" value="$image"/><Choices name="what" toName="i">'
        '<Choice value="Cat" predicted_values="kitty, dog"/><Choice value="A dog" alias="dog"/></Choices></View>'
    )
    for word, label in (("kitty", "Cat"), ("Cat", "Cat"), ("dog", "dog"), ("cow", "cow")):
        assert config.answer.shown(word) == label
    [region] = results.encode(config, "kitty", None)
    assert region["value"] == {"choices": ["Cat"]}
    said = [{**region, "value": {"choices": ["kitty"]}}]
    assert results.read(config, said, None).label == "Cat"
    assert results.encode(config, "cow", None) == []


def test_the_config_is_read_as_far_as_we_need_it() -> None:
    assert PLAIN.labels == ("cat", "dog")
    assert PLAIN.data_fields == ("image",)
    assert [c.name for c in PLAIN.controls] == ["what", "comment"]
    form = generated(["a", "b"])
    assert form.verdict is not None
    assert form.answer is form.correction
    assert form.data_fields == ("text",), "our own labelloop_label is not asked of pipelines"


def test_a_form_that_says_why_asks_nothing_more_of_pipelines_nor_of_people() -> None:
    plain, why = generated(["a", "b"]), generated(["a", "b"], (*ALL, "why"))
    assert "$labelloop_why" in why.xml
    assert "$labelloop_why" not in plain.xml
    assert (why.data_fields, why.controls) == (plain.data_fields, plain.controls)


TWICE = """<View><Text name="t" value="$t"/><Choices name="a" toName="t">
  <Choice value="x" predicted_values="p"/><Choice value="y" predicted_values="q, p"/></Choices></View>"""


@pytest.mark.parametrize(
    ("xml", "line", "words"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<View/>', 1, "DOCTYPE"),
        ("<View>\n<Text", 2, "unclosed token"),
        ("<View/>", 1, "no control, that is"),
        ('<View>\n<Choices name="a" toName="zz"><Choice value="x"/></Choices></View>', 2, "toName 'zz'"),
        ('<View><Text name="a" value="$t"/>\n<Choices name="a" toName="a"/></View>', 2, "two tags are named 'a'"),
        ('<View>\n<Text name="t" value="$t"/>\n<Number name="n" toName="t" min="few"/></View>', 3, "min of 'n'"),
        (
            '<View><Text name="t" value="$t"/>\n<Number name="n" toName="t" min="3" max="3"/></View>',
            2,
            "that leaves none",
        ),
        (
            '<View><Text name="t" value="$t"/>\n<Taxonomy name="x" toName="t"><Choice value="a / "/></Taxonomy></View>',
            2,
            "separates the steps",
        ),
        (TWICE, 2, "'p' is a predicted value of 'x' and of 'y'"),
    ],
)
def test_an_error_of_the_config_says_where(xml: str, line: int | None, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        LabelingConfig.parse(xml)
    assert words in str(caught.value)
    assert caught.value.line == line

"""The steps before an item as annotators see them, and the forms that show them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form import generate_form
from labelloop.queue.steps import MOST_LETTERS, MOST_OF_LABEL, NO_STEP, Step, steps_text
from labelloop.spec.folder import parse

STEP = Step("pets", "t/draft", "draft", 1, "a text", 6, "cat", answered=False, corrected=False, correction=None)
YAML = "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog]"
CHOICES = '<Choices name="label" toName="text"><Choice value="cat"/><Choice value="dog"/></Choices>'
XML = f'<View>%s<Text name="text" value="$text"/>{CHOICES}</View>'
SHOWN = '<Text name="before" value="$labelloop_steps"/>'


def words(**changes: object) -> str:
    return steps_text([replace(STEP, **changes)], "pets")  # type: ignore[arg-type]


def test_a_step_tells_its_name_its_data_its_label_and_what_people_said() -> None:
    assert words() == "1. draft\na text\nLabel of the pipeline: cat"
    assert words(answered=True).endswith("\nConfirmed by people")
    assert words(answered=True, corrected=True, correction="dog").endswith("\nCorrected by people: dog")
    assert words(answered=True, corrected=True).endswith("\nCorrected by people: incorrect")
    assert "Confirmed" not in words(answered=True, label=None), "there is no label to confirm"
    assert words(text="", label=None) == "1. draft\n(nothing to show)"
    two = steps_text([STEP, replace(STEP, place=2, step="judge")], "pets").split("\n\n")
    assert [one.split("\n")[0] for one in two] == ["1. draft", "2. judge"]


def test_a_step_without_a_name_has_its_key_and_one_of_another_loop_names_that_loop() -> None:
    assert words(step=None).startswith("1. t/draft\n")
    assert steps_text([STEP], "judges").startswith("1. draft (loop pets)\n")


def test_steps_and_characters_that_are_left_out_are_counted() -> None:
    assert words(place=991).startswith("990 earlier steps are not shown.\n\n991. draft\n")
    assert words(place=2).startswith("1 earlier step is not shown.\n\n")
    cut = words(text="x" * MOST_LETTERS, length=12_345, label=None)
    assert cut.endswith(f"\n{'x' * MOST_LETTERS}... ({12_345 - MOST_LETTERS:,} more characters)")
    assert len(words(label="y" * 100_000)) < MOST_OF_LABEL + 100


def test_the_first_step_of_a_trace_says_that_none_came_before() -> None:
    assert steps_text([], "pets") == NO_STEP


def test_a_form_gets_the_steps_only_if_it_asks_and_pipelines_need_not_send_them() -> None:
    asking = LabelingConfig.parse(XML % SHOWN)
    assert asking.shows_steps
    assert asking.data_fields == ("text",)
    assert LabelingConfig.parse(XML % '<Header value="Before: $labelloop_steps"/>').shows_steps
    assert not LabelingConfig.parse(XML % "").shows_steps


def test_the_generated_form_shows_the_steps_above_the_item_if_the_spec_asks() -> None:
    shown = parse("pets", YAML + ", steps: {show: true}}")
    assert shown.config.shows_steps
    assert shown.labels_xml.index("$labelloop_steps") < shown.labels_xml.index('"$text"')
    without = parse("pets", YAML + "}")
    assert not without.config.shows_steps
    assert without.labels_xml == generate_form(["cat", "dog"], without.actions[0].fields, {"text": "$text"})


@pytest.mark.parametrize(
    ("more", "xml", "reason"),
    [
        ("steps: {show: true}", XML % "", "a labels.xml shows the steps by"),
        ("steps: {loops: [Search]}", "", "steps.loops"),
        ("steps: {loops: [search, search]}", "", "'search' is named twice"),
        ("steps: {shown: true}", "", "no such key"),
        ("steps: true", "", "steps"),
        ("audit: 0.1", XML % '<HyperText name="before" value="$labelloop_steps"/>', "Text and Header can"),
        ("audit: 0.1", XML % '<Image name="before" value="$labelloop_steps"/>', "Text and Header can"),
    ],
)
def test_a_spec_that_could_not_show_steps_is_refused(more: str, xml: str, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        parse("pets", f"{YAML}, {more}}}", xml)


def test_a_loop_is_the_first_of_its_chain_and_is_not_named_twice() -> None:
    assert parse("pets", YAML + "}").chain == ("pets",)
    assert parse("pets", YAML + ", steps: {loops: [search, pets]}}").chain == ("pets", "search")

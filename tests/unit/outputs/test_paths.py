"""Paths: which value of an item a form's field shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.learners import make
from labelloop.errors import InvalidOutput, SpecError, Unreadable
from labelloop.outputs.fitting import check
from labelloop.outputs.reading import from_json
from labelloop.reading.paths import steps, value_at
from labelloop.selection import features
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
CHOICES = '<Choices name="label" toName="x"><Choice value="a"/><Choice value="b"/></Choices>'


def spec_of(shown: str, yaml: str = YAML, answer: str = CHOICES) -> LoopSpec:
    return parse("x", yaml, f"<View>{shown}{answer}</View>")


@pytest.mark.parametrize(
    ("data", "field", "wanted"),
    [
        ({"text": "a"}, "text", "a"),
        ({"doc": {"text": "a"}}, "doc.text", "a"),
        ({"items": [{"body": "a"}, {"body": "b"}]}, "items[1].body", "b"),
        ({"rows": [["a", "b"]]}, "rows[0][1]", "b"),
        ({"doc.text": "own", "doc": {"text": "a"}}, "doc.text", "own"),
        ({"my-text": "a"}, "my-text", "a"),
        ({"doc": "a"}, "doc.text", None),
        ({"items": [{"body": "a"}]}, "items[1].body", None),
        ({"items": {"0": {"body": "a"}}}, "items[0].body", None),
        ({"doc": {"text": None}}, "doc.text", None),
        ({}, "text", None),
    ],
)
def test_a_field_is_read_as_label_studio_shows_it(data: dict[str, Any], field: str, wanted: object) -> None:
    assert value_at(data, field) == wanted


def test_postgres_is_told_the_same_path() -> None:
    assert steps("items[0].body") == ["items", "0", "body"]


@pytest.mark.parametrize("field", ["doc.text", "items[0].body"])
def test_learner_and_likeness_read_a_nested_field(field: str) -> None:
    spec = spec_of(f'<Text name="x" value="${field}"/>')
    assert spec.field == field
    texts = ["a red fox", "a red dog", "some blue sea", "one blue sky"]
    data: list[dict[str, Any]] = [{"doc": {"text": text}, "items": [{"body": text}]} for text in texts]
    learner = make(spec.learner.name, {"field": field}).fit(data, ["a", "a", "b", "b"], np.random.default_rng(0))
    assert list(learner.predict([{"doc": {"text": "red red"}, "items": [{"body": "red red"}]}]).labels) == ["a"]
    with pytest.raises(Unreadable, match=r"item 0: its field .* is missing"):
        learner.check([{"doc": {}, "items": []}])
    read = features.read(spec.learner.reads, field, data)
    assert read is not None
    assert read.readable.all()


def test_spans_are_checked_against_the_nested_text_that_they_mark() -> None:
    spec = spec_of(
        '<Text name="x" value="$doc.text"/>', answer='<Labels name="label" toName="x"><Label value="p"/></Labels>'
    )
    assert (spec.learner.name, spec.field) == ("spans", "doc.text")
    said = {"key": "k", "data": {"doc": {"text": "Anna"}}, "label": [[0, 9, "p"]]}
    with pytest.raises(InvalidOutput, match="a span ends at 9; the text has 4 characters"):
        check(from_json(said), spec.config, spec.labels)


def test_the_intake_wants_of_a_nested_field_what_label_studio_wants() -> None:
    spec = spec_of('<Text name="x" value="$doc.text"/><Text name="y" value="$items[3].body"/>')

    def why(data: dict[str, Any]) -> str:
        with pytest.raises(InvalidOutput) as caught:
            check(from_json({"key": "k", "data": data, "label": "a"}), spec.config, spec.labels)
        return str(caught.value)

    check(from_json({"key": "k", "data": {"doc": {"text": "x"}, "items": []}, "label": "a"}), spec.config, spec.labels)
    assert why({"doc.text": "x", "items": []}) == "data.doc.text: is missing; the labeling config shows it"
    assert why({"doc": {"text": "x"}}) == "data.items: is missing; the labeling config shows $items[3].body"
    assert (
        why({"doc": {"text": "x"}, "items": {}})
        == "data.items: must be a list; the labeling config shows $items[3].body"
    )


ADDRESSES = [
    '<Image name="x" value="$u"/>',
    '<Image name="x" valueList="$u"/>',
    '<Audio name="x" value="$u"/>',
    '<Video name="x" value="$u"/>',
    '<Pdf name="x" value="$u"/>',
    '<TimeSeries name="x" value="$u"/>',
    '<Text name="x" value="$u" valueType="url"/>',
    '<HyperText name="x" value="$u" valueType="url"/>',
    '<Paragraphs name="x" value="$u" valueType="url"/>',
    '<Text name="t" value="$text"/><Image name="x" value="$u"/>',
    '<Text name="x" value="$u"/><Image name="i" value="$u"/>',
]


@pytest.mark.parametrize("shown", ADDRESSES)
@pytest.mark.parametrize(
    "answer",
    [CHOICES, '<Rating name="label" toName="x"/>', '<Taxonomy name="label" toName="x"><Choice value="a"/></Taxonomy>'],
)
def test_a_form_that_shows_an_address_has_no_learner_by_default_and_says_so(shown: str, answer: str) -> None:
    spec = spec_of(shown, answer=answer)
    assert spec.learner.name == "none"
    assert spec.without_learner is not None
    assert "the form shows addresses: u" in spec.without_learner
    assert LoopSpec.from_json(spec.to_json()) == spec


IMAGES, TEXT, OWN = "`learner: {name: images}`", "`learner: {field: ...}`", "A model of your own can learn"


@pytest.mark.parametrize(
    ("shown", "answer", "ways"),
    [
        ('<Image name="x" value="$u"/>', CHOICES, [IMAGES, TEXT]),
        ('<Audio name="x" value="$u"/>', CHOICES, [TEXT]),
        ('<Image name="x" value="$u"/>', '<Rating name="label" toName="x"/>', [TEXT]),
        (
            '<Image name="x" value="$u"/>',
            '<RectangleLabels name="label" toName="x"><Label value="a"/></RectangleLabels>',
            [OWN],
        ),
        ('<Image name="x" value="$u"/>', CHOICES.replace("label", "a") + CHOICES.replace("label", "b"), [OWN]),
    ],
)
def test_only_learners_of_its_kind_of_answer_are_named_for_a_loop_without_one(
    shown: str, answer: str, ways: list[str]
) -> None:
    found = spec_of(shown, answer=answer).without_learner
    assert found is not None
    assert [way for way in (IMAGES, TEXT, OWN) if way in found] == ways


@pytest.mark.parametrize(
    "shown", ['<HyperText name="x" value="$html"/>', '<TimeSeries name="x" value="$u" valueType="json"/>']
)
def test_a_form_that_shows_the_content_itself_has_the_learner_of_its_answers(shown: str) -> None:
    assert spec_of(shown).learner.name == "auto"


def test_the_generated_form_of_a_picture_has_no_learner_by_default() -> None:
    yaml = YAML + "  labels: [a, b]\n  show: {image: $photo}\n"
    assert parse("x", yaml).learner.name == "none"
    named = parse("x", yaml + "  learner: {name: images}\n")
    assert (named.learner.name, named.field) == ("images", "photo")


@pytest.mark.parametrize(
    "learner",
    [
        "{name: text}",
        "{name: text, field: u}",
        "{name: committee}",
        "{name: sklearn.svm.SVC}",
        "{name: incremental}",
        "{name: tabular, params: {fields: [u]}}",
    ],
)
def test_no_learner_can_be_named_that_reads_the_text_of_an_address(learner: str) -> None:
    with pytest.raises(SpecError, match="would learn the text of an address"):
        spec_of(ADDRESSES[0], YAML + f"  learner: {learner}\n")


def test_a_text_beside_a_picture_can_be_learned_from() -> None:
    both = '<Image name="x" value="$u"/><Text name="t" value="$caption"/>'
    assert spec_of(both).learner.name == "none"
    for said, learner in (("{field: caption}", "auto"), ("{name: text}", "text"), ("text", "text")):
        spec = spec_of(both, YAML + f"  learner: {said}\n")
        assert (spec.learner.name, spec.field) == (learner, "caption")


def test_a_table_is_not_learned_from_the_words_of_addresses() -> None:
    data = [{"age": i % 7, "photo": f"https://photos.example/{i % 2}.jpg"} for i in range(20)]
    learner = make("tabular", {"field": "age"}).fit(data, ["a", "b"] * 10, np.random.default_rng(0))
    assert learner.estimator[0].words_ == {}


def test_none_is_a_learner_that_takes_nothing() -> None:
    text = '<Text name="x" value="$text"/>'
    assert spec_of(text, YAML + "  learner: none\n").learner.name == "none"
    with pytest.raises(SpecError, match=r"line 4.*learner.params: there is no learner"):
        spec_of(text, YAML + "  learner:\n    params: {C: 3}\n    name: none\n")

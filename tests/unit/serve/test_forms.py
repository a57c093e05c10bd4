"""Forms: the differences between two labeling configs that matter to a model, and their texts."""

from __future__ import annotations

import pytest

from backend.serve.forms import Fit, fit
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form import generate_form

FORM = """<View><Image name="image" value="$image"/>
  <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"""
CONFIG = LabelingConfig.parse(FORM)


def faults(xml: str) -> str:
    return "; ".join(fit(xml, CONFIG, "image", ("cat", "dog")).faults)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Choices", "TextArea", "'label' is a TextArea, the model answers in a Choices"),
        ('name="label"', 'name="what"', "it has no Choices named 'label'; there are: what"),
        ('"image"', '"picture"', "'label' is about 'picture', the model answers about 'image'"),
        ("$image", "$scan", "it does not show the field 'image', which the model reads; there are: scan"),
        (
            '"dog"',
            '"Dog"',
            "'label' lacks 'dog', which the model predicts; it has 'Dog', which the model was never trained on",
        ),
        ("</View>", "", "cannot be read: line 1, column 1: labels.xml: the tag <View> is not closed"),
    ],
)
def test_a_difference_that_matters_is_named(old: str, new: str, words: str) -> None:
    assert old in FORM
    assert words in faults(FORM.replace(old, new))


def test_a_form_that_is_nested_without_end_is_one_that_cannot_be_read() -> None:
    deep = '<Choice value="a">' * 5000 + "</Choice>" * 5000
    form = f'<View><Image name="image" value="$image"/><Taxonomy name="label" toName="image">{deep}</Taxonomy></View>'
    assert "cannot be read" in faults(form)


def test_what_does_not_matter_is_none() -> None:
    for old, new in (
        ("<View>", '<View><Header value="Look"/>'),
        ("</View>", '<TextArea name="comment" toName="image"/></View>'),
        ('<Choice value="cat"/>', ""),
    ):
        changed = FORM.replace(old, new)
        says = ("dog",) if "cat" not in changed else ("cat", "dog")
        assert fit(changed, CONFIG, "image", says) == Fit()
    assert fit(FORM.replace("$image", "$scan"), CONFIG, None, ()) == Fit()


def test_labels_beyond_those_of_the_model_stop_nothing() -> None:
    assert fit(FORM, CONFIG, "image", ("cat",)) == Fit((), ("dog",))
    assert fit(FORM, CONFIG, "image", ("cat", "dog", "left the form long ago")) == Fit()


def test_what_models_call_a_label_is_the_label() -> None:
    other = FORM.replace('value="cat"', 'value="Cat" predicted_values="cat"')
    assert fit(other, CONFIG, "image", ("cat", "dog")) == Fit()


def test_a_form_of_approval_needs_its_verdict_too() -> None:
    config = LabelingConfig.parse(generate_form(["cat", "dog"], ["approval", "correction"], {"text": "$text"}))
    without = generate_form(["cat", "dog"], ["correction"], {"text": "$text"})
    assert fit(without, config, "text", ("cat",)).faults == (
        "it has no Choices named 'verdict'; there are: correction",
    )


def test_many_labels_are_counted() -> None:
    many = [f"l{i:02}" for i in range(30)]
    config = LabelingConfig.parse(generate_form(many, ["correction"], {"text": "$text"}))
    renamed = generate_form([f"L{i:02}" for i in range(30)], ["correction"], {"text": "$text"})
    [fault] = fit(renamed, config, "text", many).faults
    assert "lacks 30 labels ('l00', 'l01', 'l02', ...)" in fault

"""Results that are no answer: the reason as a sentence, whether another person is asked, and which count as kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.answers.annotations import Annotation
from labelloop.answers.unreadable import Unreadable, empty_is_an_answer, why_unreadable
from labelloop.answers.untouched import prelabel_kept
from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form import generate_form
from labelloop.reading.ids import AnnotationId, TaskId, UserId

TEXT = '<View><Text name="t" value="$text"/>%s</View>'
AB = '<Choice value="a"/><Choice value="b"/>'
FORMS = {
    "one": f'<Choices name="label" toName="t">{AB}</Choices>',
    "alias": '<Choices name="label" toName="t"><Choice value="Yes" alias="y"/><Choice value="No" alias="n"/></Choices>',
    "several": f'<Choices name="label" toName="t" choice="multiple">{AB}</Choices>',
    "several, one needed": f'<Choices name="label" toName="t" choice="multiple" required="true">{AB}</Choices>',
    "spans": '<Labels name="label" toName="t"><Label value="a"/></Labels>',
    "spans, one needed": '<Labels name="label" toName="t" required="true"><Label value="a"/></Labels>',
    "taxonomy": '<Taxonomy name="label" toName="t"><Choice value="a"><Choice value="b"/></Choice></Taxonomy>',
    "number": '<Number name="label" toName="t" min="0" max="10"/>',
    "rating": '<Rating name="label" toName="t"/>',
    "text": '<TextArea name="label" toName="t"/>',
    "verdict": '<Choices name="verdict" toName="t"><Choice value="approve"/><Choice value="reject"/></Choices>',
}
FORMS["generated"] = generate_form(["a", "b"], ["approval", "correction", "comment"], {"text": "$text"})


MANY = [str(i) for i in range(12)]
FORMS["many"] = generate_form(MANY, ["approval", "correction", "comment"], {"text": "$text"}, former=True)


def config(form: str) -> LabelingConfig:
    xml = FORMS[form]
    return LabelingConfig.parse(xml if xml.startswith("<View>") else TEXT % xml)


def region(kind: str, name: str = "label", **more: Any) -> dict[str, Any]:
    value = {key: more.pop(key) for key in list(more) if key != "origin"}
    return {"id": "x", "from_name": name, "to_name": "t", "type": kind, "value": value, **more}


def why(form: str, result: object, model: str | None = "a") -> Unreadable | None:
    return why_unreadable(config(form), result, results.read(config(form), result, model))


@pytest.mark.parametrize(
    ("form", "result", "reason", "ask"),
    [
        ("one", [], "Choices 'label': nothing was given", True),
        ("one", [region("choices", choices=[])], "Choices 'label': nothing was given", True),
        ("one", [region("choices", choices=["a", "b"])], "2 were given ('a', 'b'), but the form asks for one", True),
        ("one", [region("choices", choices=["c"])], "'c' was given, but labels.xml has no such label", False),
        ("one", [region("choices", "c0", choices=["a"])], "it answers with 'c0', but labels.xml has no such", False),
        ("several", [region("choices", choices=["a", "c"])], "'c' was given, but labels.xml has no such", False),
        ("several", [region("choices", "animals", choices=["a"])], "it answers with 'animals'", False),
        ("several, one needed", [], "Choices 'label': nothing was given", True),
        ("spans", [region("labels", start=0, end=1, labels=["z"])], "'z' was given, but labels.xml has no such", False),
        ("spans", [region("labels", "who", start=0, end=1, labels=["a"])], "it answers with 'who'", False),
        ("spans", [region("labels", start=3, end=1, labels=["a"])], "a span is [start, end, label]", False),
        ("spans, one needed", [], "Labels 'label': nothing was given", True),
        ("taxonomy", [region("taxonomy", taxonomy=[["a", "c"]])], "'a / c' was given, but labels.xml has", False),
        ("number", [], "Number 'label': nothing was given", True),
        ("number", [region("number", number=11)], "'11' was given; must lie between 0 and 10", True),
        ("rating", [region("rating", rating=9)], "'9' was given; must lie between 1 and 5", True),
        ("text", [region("textarea", text=["  "])], "TextArea 'label': nothing was given", True),
        ("verdict", [], "Choices 'verdict': nothing was given", True),
        ("generated", [], "Choices 'verdict': nothing was given", True),
        ("generated", [region("textarea", "comment", text=["hm"])], "Choices 'verdict': nothing was given", True),
        ("generated", [region("choices", "verdict", choices=["reject"])], "'correction': nothing was given", True),
        (
            "generated",
            [region("choices", "verdict", choices=["reject"]), region("choices", "correction", choices=["c"])],
            "Choices 'correction': 'c' was given, but labels.xml has no such label",
            False,
        ),
        (
            "many",
            [region("choices", "verdict", choices=["reject"]), region("choices", "quick", choices=["12"])],
            "Choices 'quick': '12' was given, but labels.xml has no such label",
            False,
        ),
        ("many", [region("choices", "verdict", choices=["reject"])], "'correction': nothing was given", True),
    ],
)
def test_what_cannot_be_read_says_what_was_given_and_in_which_control(
    form: str, result: list[Any], reason: str, ask: bool
) -> None:
    found = why(form, result)
    assert found is not None
    assert reason in found.reason
    assert found.ask is ask


@pytest.mark.parametrize(
    ("form", "result"),
    [
        ("one", [region("choices", choices=["a"])]),
        ("alias", [region("choices", choices=["y"])]),
        ("several", []),
        ("several", [region("choices", choices=["a", "b"])]),
        ("spans", []),
        ("spans", [region("labels", start=0, end=1, labels=["a"])]),
        ("taxonomy", []),
        ("number", [region("number", number=0)]),
        ("verdict", [region("choices", "verdict", choices=["reject"])]),
        ("generated", [region("choices", "verdict", choices=["approve"])]),
        ("many", [region("choices", "verdict", choices=["reject"]), region("choices", "quick", choices=["7"])]),
        (
            "generated",
            [region("choices", "verdict", choices=["reject"]), region("choices", "correction", choices=["b"])],
        ),
    ],
)
def test_what_can_be_read_is_an_answer(form: str, result: list[Any]) -> None:
    assert why(form, result) is None


def test_an_approval_of_no_label_is_no_answer_and_asking_another_person_would_not_help() -> None:
    found = why("generated", [region("choices", "verdict", choices=["approve"])], model=None)
    assert found is not None
    assert found.ask is False


def test_nothing_is_an_answer_where_any_number_may_be_given_and_none_is_required() -> None:
    assert {form for form in FORMS if empty_is_an_answer(config(form))} == {"several", "spans", "taxonomy"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["label", "verdict"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from_name", "value", "choices", "labels", "number", "a"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(FORMS)), JSON)
def test_any_json_gives_a_label_a_reject_or_a_reason(form: str, result: Any) -> None:
    reading = results.read(config(form), result, "a")
    found = why_unreadable(config(form), result, reading)
    assert (found is not None and found.reason) or reading.label is not None or reading.approval is False


# -- what was preselected ---------------------------------------------------------------------------------------------


def annotation(*regions: dict[str, Any], prediction: int | None = 7) -> Annotation:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Annotation(
        AnnotationId(1), TaskId(1), list(regions), UserId(1), UserId(1), False, False, 1.0, prediction, at, at
    )


def test_kept_is_what_the_editor_took_from_the_prediction_and_nobody_changed() -> None:
    shown = [region("choices", choices=["a"])]
    kept = [region("choices", choices=["a"], origin="prediction")]
    assert prelabel_kept(config("one"), annotation(*kept), shown) is True
    assert (
        prelabel_kept(config("one"), annotation(region("choices", choices=["b"], origin="prediction-changed")), shown)
        is False
    )
    assert prelabel_kept(config("one"), annotation(region("choices", choices=["a"], origin="manual")), []) is None
    assert prelabel_kept(config("one"), annotation(region("choices", choices=["a"]), prediction=None), shown) is None


def test_a_preselected_span_that_was_taken_away_or_added_to_is_not_kept() -> None:
    def span(start: int, origin: str | None = "prediction") -> dict[str, Any]:
        return region("labels", start=start, end=start + 1, labels=["a"], origin=origin)

    shown = [span(0), span(3)]
    assert prelabel_kept(config("spans"), annotation(span(0), span(3)), shown) is True
    assert prelabel_kept(config("spans"), annotation(span(0)), shown) is False
    assert prelabel_kept(config("spans"), annotation(), shown) is False
    assert prelabel_kept(config("spans"), annotation(span(0), span(3), span(5, "manual")), shown) is False
    assert prelabel_kept(config("spans"), annotation(), []) is None


def test_a_moved_polygon_is_not_kept_though_the_editor_says_so() -> None:
    form = LabelingConfig.parse(
        f'<View><Image name="t" value="$i"/><PolygonLabels name="label" toName="t">{AB.replace("Choice", "Label")}'
        "</PolygonLabels></View>"
    )

    def polygon(right: float) -> dict[str, Any]:
        corners = [[10, 10], [right, 10], [10, 50]]
        return region("polygonlabels", points=corners, polygonlabels=["a"], origin="prediction")

    assert prelabel_kept(form, annotation(polygon(50)), [polygon(50)]) is True
    assert prelabel_kept(form, annotation(polygon(60)), [polygon(50)]) is False


def test_a_comment_does_not_change_what_was_preselected() -> None:
    shown = [region("choices", "verdict", choices=["approve"])]
    kept = region("choices", "verdict", choices=["approve"], origin="prediction")
    said = region("textarea", "comment", text=["hm"], origin="manual")
    assert prelabel_kept(config("generated"), annotation(kept, said), shown) is True


def test_a_guess_that_stood_in_the_correction_is_kept_by_a_reject_and_not_by_an_approval() -> None:
    shown = [region("choices", "correction", choices=["b"])]
    reject = region("choices", "verdict", choices=["reject"], origin="manual")
    approve = region("choices", "verdict", choices=["approve"], origin="manual")
    kept = region("choices", "correction", choices=["b"], origin="prediction")
    assert prelabel_kept(config("generated"), annotation(reject, kept), shown) is True
    assert (
        prelabel_kept(config("generated"), annotation(reject, {**kept, "origin": "prediction-changed"}), shown) is False
    )
    assert prelabel_kept(config("generated"), annotation(approve), shown) is False


def test_an_answer_by_a_key_counts_beside_a_control_that_the_form_has_no_more() -> None:
    form = LabelingConfig.parse(generate_form(MANY, ["correction"], {"text": "$text"}, former=True))
    old = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["hm"]}}
    for name in ("quick", "correction"):
        result = [{"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": ["3"]}}, old]
        reading = results.read(form, result, None)
        assert (reading.label, why_unreadable(form, result, reading)) == ("3", None)


@pytest.mark.parametrize("name", [[], {}, None, 1, ["label"]])
def test_a_region_whose_name_is_no_text_does_not_keep_the_answer_beside_it_from_being_read(name: Any) -> None:
    odd = {"from_name": name, "to_name": "t", "type": "choices", "value": {}}
    shown = [region("choices", choices=["a"])]
    assert prelabel_kept(config("one"), annotation(region("choices", choices=["a"], origin="prediction"), odd), shown)

"""Documents of spaCy, tasks of Prodigy and records of Argilla: their shapes, and wrong ones."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import InvalidOutput, UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs.formats import argilla, docbin, label_studio, prodigy, spacy
from labelloop.outputs.formats.items import How
from tests.support.data.imported import FOLDER, config

PICTURES = """<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">
<Label value="car"/></RectangleLabels></View>"""
BOTH = """<View><Text name="text" value="$text"/><Labels name="names" toName="text"><Label value="PER"/></Labels>
<Choices name="topic" toName="text"><Choice value="a"/><Choice value="b"/></Choices></View>"""


def test_a_docbin_of_spacy_is_read_without_spacy() -> None:
    """spaCy 3.8 wrote the file, and its own Doc.to_json gives these texts and entities."""
    found = list(docbin.docs((FOLDER / "docs.spacy").read_bytes(), "docs.spacy"))
    assert found[0] == {
        "text": "Anna  Bell moved to Köln 🎉 in May.", "cats": {"travel": 1.0, "work": 0.0},
        "ents": [{"start": 0, "end": 10, "label": "PER"}, {"start": 20, "end": 24, "label": "LOC"}],
    }  # fmt: skip
    assert [(one["text"], one["ents"]) for one in found[1:]] == [
        ("Nothing here.", []), ("\nA Corp", [{"start": 1, "end": 7, "label": "ORG"}]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw", [b"", b"no", zlib.compress(b""), zlib.compress(b"\x81\xa1a\x01"), zlib.compress(b"\xc1")]
)
def test_another_file_is_no_docbin(raw: bytes) -> None:
    with pytest.raises(UsageError, match=r"docs.spacy is no DocBin"):
        list(docbin.docs(raw, "docs.spacy"))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=40,
)


@given(VALUES)
def test_message_pack_is_read_as_the_library_writes_it(value: Any) -> None:
    assert docbin.unpack(msgpack.packb(value)) == value


def test_documents_with_categories_are_labels() -> None:
    how = How(config("pets"))
    made = spacy.read({"text": "x", "cats": {"cat": 1.0, "dog": 0.0}}, 1, how, Counter())
    assert made.answers[0].answer == "cat"
    several = spacy.read({"text": "x", "cats": {"late": 1, "rude": 0.9, "wrong": 0}}, 1, How(config("tags")), Counter())
    assert several.answers[0].answer == ["late", "rude"]
    guessed = spacy.read(
        {"text": "x", "cats": {"cat": 0.7, "dog": 0.3}}, 1, How(config("pets"), as_predictions=True), Counter()
    )
    assert (guessed.answers, guessed.output["probabilities"]) == ([], {"cat": 0.7, "dog": 0.3})
    with pytest.raises(InvalidOutput, match="2 categories"):
        spacy.read({"text": "x", "cats": {"cat": 1, "dog": 1}}, 1, how, Counter())


def test_a_form_of_several_controls_takes_the_part_that_a_document_has() -> None:
    how = How(LabelingConfig.parse(BOTH, ("names", "topic")))
    made = spacy.read(
        {"text": "Anna", "ents": [{"start": 0, "end": 4, "label": "PER"}], "cats": {"a": 1, "b": 0}}, 1, how, Counter()
    )
    assert made.answers[0].answer == {"names": [[0, 4, "PER"]], "topic": "a"}


def test_marks_of_prodigy_on_an_image_become_percents() -> None:
    row = {"image": "a.jpg", "width": 200, "height": 100, "answer": "accept", "_view_id": "image_manual", "spans": [
        {"label": "car", "type": "rect", "points": [[20, 10], [20, 30], [60, 30], [60, 10]]},
        {"label": "car", "type": "polygon", "points": [[0, 0], [200, 0], [200, 100]]}]}  # fmt: skip
    made = prodigy.read(row, 1, How(LabelingConfig.parse(PICTURES), media="http://m/"), Counter())
    assert made.output["data"] == {"image": "http://m/a.jpg", "width": 200, "height": 100}
    assert made.answers[0].answer == [
        {"box": [10, 10, 20, 20], "label": "car"}, {"polygon": [[0, 0], [100, 0], [100, 100]], "label": "car"},
    ]  # fmt: skip


def test_options_of_prodigy_may_be_numbers_with_texts() -> None:
    row = {
        "text": "x",
        "options": [{"id": 1, "text": "cat"}, {"id": -1, "text": "dog"}],
        "accept": [-1],
        "answer": "accept",
    }
    assert prodigy.read(row, 1, How(config("pets")), Counter()).answers[0].answer == "dog"


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"text": "x", "answer": "maybe"}, "answer"), ({"answer": "accept"}, "text"),
        ({"text": "x", "spans": [{"start": 1}]}, "spans[0]"), ({"text": "x", "spans": 3}, "spans"),
    ],
)  # fmt: skip
def test_a_wrong_task_of_prodigy_is_told(row: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        prodigy.read(row, 1, How(config("names")), Counter())
    assert caught.value.path == path


def test_a_flattened_record_of_argilla_has_the_status_of_each_response() -> None:
    tally: Counter[str] = Counter()
    [line] = (FOLDER / "argilla_flat.jsonl").read_text().splitlines()
    made = argilla.read(json.loads(line), 1, How(config("travel")), tally)
    assert [(one.person, one.answer) for one in made.answers] == [("3d6f4c1e-1a2b-4c3d-8e9f-0a1b2c3d4e5f", "travel")]
    assert (made.output["label"], made.output["data"]) == ("travel", {"text": "Anna flew to Köln"})
    assert tally[argilla.NOT_SUBMITTED] == 1
    assert tally[argilla.STATUS] == 0


def test_a_record_of_argilla_1_has_a_response_for_each_person() -> None:
    suggestion = {"question_name": "q", "value": "work", "agent": "m"}
    record = {"fields": {"text": "x"}, "external_id": "e1", "suggestions": [suggestion],
              "responses": [{"user_id": "u1", "status": "submitted", "values": {"q": {"value": "travel"}}},
                            {"user_id": "u2", "status": "draft", "values": {"q": {"value": "work"}}}]}  # fmt: skip
    made = argilla.read(record, 1, How(config("travel")), Counter())
    assert (made.key, made.output["label"], made.output["model_version"]) == ("e1", "work", "m")
    assert [(one.person, one.answer) for one in made.answers] == [("u1", "travel")]


def test_questions_of_argilla_are_told_if_none_is_the_loops() -> None:
    record = {"fields": {"text": "x"}, "responses": {"a": [{"value": "travel"}], "b": [{"value": 3}]}}
    with pytest.raises(InvalidOutput, match="--control a=label"):
        argilla.read(record, 1, How(config("travel")), Counter())
    made = argilla.read(record, 1, How(config("travel"), controls={"a": "label"}), Counter())
    assert made.answers[0].answer == "travel"


def test_a_min_export_of_spans_and_several_choices_is_read() -> None:
    spans = {
        "text": "Anna",
        "label": [{"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}],
        "annotation_id": 1,
        "annotator": 2,
        "id": 3,
    }
    made = label_studio.read(spans, 1, How(config("names")), Counter())
    assert made.answers[0].result == [
        {"from_name": "label", "to_name": "text", "id": "r0", "type": "labels", "value": spans["label"][0]}  # type: ignore[index]
    ]
    several = {"text": "x", "label": {"choices": ["late", "rude"]}, "annotation_id": 1, "annotator": 2, "id": 3}
    [given] = label_studio.read(several, 1, How(config("tags")), Counter()).answers
    assert given.result is not None
    assert given.result[0]["value"] == {"choices": ["late", "rude"]}

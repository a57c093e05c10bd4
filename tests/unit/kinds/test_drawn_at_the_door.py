"""Segments, marks and tracks that are none: refused at intake with their place, or no answer with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.answers.unreadable import why_unreadable
from labelloop.errors import InvalidOutput
from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs.fitting import check
from labelloop.outputs.output import Output
from tests.support.data.drawn import FORMS, form

TALK = [{"author": "Ana", "text": "Hello 😀"}]
ITEMS: dict[str, Any] = {
    "audio": "https://media.example/a.wav",
    "timeline": "https://media.example/a.mp4",
    "series": {"t": [0, 5, 9], "v": [1, 2, 3]},
    "dates": "https://media.example/a.csv",
    "html": "<p>Hello</p>",
    "dialogue": TALK,
    "text": "Hello",
    "video": "https://media.example/a.mp4",
}


def region(config: LabelingConfig, **value: Any) -> dict[str, Any]:
    more = {key: value.pop(key) for key in ("original_length",) if key in value}
    box = "sequence" in value
    type_ = "videorectangle" if box else config.answer.tag.lower()
    value = {"labels" if box else type_: ["a"], **value}
    return {"id": "r", "from_name": "box" if box else "label", "to_name": "it", "type": type_, "value": value, **more}


def key_frame(**changes: Any) -> dict[str, Any]:
    box = {"frame": 1, "enabled": True, "time": 0.1, "x": 10, "y": 10, "width": 10, "height": 10, "rotation": 0}
    return {"framesCount": 9, "duration": 1, "sequence": [box | changes]}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("audio", {"start": 2, "end": 1}, "a segment ends after it starts"),
    ("audio", {"start": -1, "end": 1}, "one is from -1 to 1"),
    ("audio", {"start": 0, "end": 9, "original_length": 2.5}, "a segment ends at 9 seconds; the sound has 2.5"),
    ("timeline", {"ranges": [{"start": 9, "end": 3}]}, "one is from 9 to 3"),
    ("series", {"start": 0, "end": 12, "instant": False}, "the series is from 0 to 9"),
    ("dates", {"start": "now", "end": "then", "instant": False}, "is not a time in the form's timeFormat"),
    (
        "html",
        {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 0, "endOffset": 2},
        "no globalOffsets",
    ),
    ("html", {"start": "", "end": "", "globalOffsets": {"start": 0, "end": 6}}, "a mark ends at 6; the text has 5"),
    ("dialogue", {"start": "1", "startOffset": 0, "end": "1", "endOffset": 2}, "in paragraph 1; there are 1"),
    ("dialogue", {"start": "0", "startOffset": 2, "end": "0", "endOffset": 2}, "a mark ends after it starts"),
    (
        "dialogue",
        {"start": "0", "startOffset": 2, "end": "0", "endOffset": 9},
        "character 8 of paragraph 0, which has 7",
    ),
    ("text", {"start": 0, "end": 6}, "a mark ends at 6; the text has 5 characters"),
    ("video", key_frame(width=0), "a box lies in the picture"),
    ("video", key_frame(frame=0), "frames are counted from 1"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_a_region_that_is_none_is_refused_at_the_door(name: str, value: dict[str, Any], words: str) -> None:
    config = form(name)
    output = Output(key="k", data={"it": ITEMS[name]}, result=[region(config, **value)], score=0.5)
    with pytest.raises(InvalidOutput, match=words) as refused:
        check(output, config, config.labels)
    assert refused.value.path == "result[0].value"


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_a_region_that_is_none_is_no_answer_and_its_reason_is_told(
    name: str, value: dict[str, Any], words: str
) -> None:
    config, data = form(name), {"it": ITEMS[name]}
    result = [region(config, **value)]
    reading = results.read(config, result, None, data)
    assert reading.label is None
    why = why_unreadable(config, result, reading, data)
    assert why is not None
    assert words in why.reason
    assert why.reason.startswith(config.answer.words)
    assert why.ask, "another person may draw it better"


def test_the_reason_is_told_in_words_for_labels_that_the_form_does_not_have() -> None:
    config = form("video")
    result = [region(config, **key_frame(), labels=["zebra"])]
    why = why_unreadable(config, result, results.read(config, result, None))
    assert why is not None
    assert (why.reason, why.ask) == ("Labels 'label': 'zebra' was given, but labels.xml has no such label", False)


def test_a_segment_that_a_window_of_a_model_draws_past_the_end_is_cut_there() -> None:
    config = form("audio")
    result = [region(config, start=1, end=2.88, original_length=2.5)]
    assert results.read(config, result, None).label == '[{"end":2.5,"label":"a","start":1}]'


@pytest.mark.parametrize("origin", ["prediction", "prediction-changed"])
def test_what_a_pipeline_draws_beyond_the_sound_can_be_submitted_as_it_is(origin: str) -> None:
    config = form("audio")
    inside = region(config, start=1, end=50, original_length=2.5) | {"origin": origin, "id": "1"}
    beyond = region(config, start=30, end=50, original_length=2.5) | {"origin": origin, "id": "2"}
    assert results.read(config, [inside, beyond], None).label == '[{"end":2.5,"label":"a","start":1}]'
    assert results.read(config, [inside | {"origin": "manual"}], None).label is None


def test_an_answer_in_our_words_that_does_not_fit_the_item_is_refused() -> None:
    config = form("dialogue")
    given = [{"start": [0, 0], "end": [0, 8], "label": "a"}]
    with pytest.raises(InvalidOutput, match="reaches character 8 of paragraph 0, which has 7 characters"):
        check(Output(key="k", data={"it": TALK}, label=given, confidence=0.5), config, config.labels)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_KEYS = ("start", "end", "startOffset", "endOffset", "globalOffsets", "ranges", "sequence", "labels", "channel", "text")


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(sorted(FORMS)))
def test_whatever_is_posted_as_a_result_is_an_answer_or_has_a_reason(data: st.DataObject, name: str) -> None:
    config = form(name)
    names = st.sampled_from([*config.answer.names, "other"]) | _JSON
    value = st.dictionaries(st.sampled_from([*_KEYS, config.answer.tag.lower()]), _JSON, max_size=5) | _JSON
    one = st.fixed_dictionaries({"from_name": names, "value": value}, optional={"id": _JSON, "original_length": _JSON})
    result = data.draw(st.lists(one, max_size=3))
    item = {"it": data.draw(st.sampled_from([ITEMS.get(name), *ITEMS.values()]) | _JSON)}
    reading = results.read(config, result, None, item)
    if reading.label is None:
        assert why_unreadable(config, result, reading, item) is not None

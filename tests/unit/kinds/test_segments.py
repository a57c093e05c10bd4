"""Segments: which there are, how similar two are, and what two and three people agree on."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.answers.consensus import consensus
from labelloop.labeling import kinds
from labelloop.labeling.kinds import moments, segments
from labelloop.reading import strict_json
from tests.support.data.drawn import form

AUDIO, TIMELINE, SERIES, DATES = (form(name).answer for name in ("audio", "timeline", "series", "dates"))


def seg(start: Any, end: Any, label: str = "a", **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, **more}


@pytest.mark.parametrize(
    ("control", "given", "text"),
    [
        (AUDIO, [seg(1.0, 1.50004)], '[{"end":1.5,"label":"a","start":1}]'),
        (AUDIO, [seg(2, 3), seg(0.5, 1)], '[{"end":1,"label":"a","start":0.5},{"end":3,"label":"a","start":2}]'),
        (AUDIO, [seg(0, 1, channel=0)], '[{"end":1,"label":"a","start":0}]'),
        (AUDIO, [seg(0, 1, channel=1)], '[{"channel":1,"end":1,"label":"a","start":0}]'),
        (AUDIO, [], "[]"),
        (TIMELINE, [seg(3.0, 8)], '[{"end":8,"label":"a","start":3}]'),
        (SERIES, [seg(-2, -2.0)], '[{"end":-2,"label":"a","start":-2}]'),
        (
            DATES,
            [seg("2020-01-01 00:00:00.5", "2020-01-01 00:00:01.25")],
            '[{"end":"2020-01-01 00:00:01.250000","label":"a","start":"2020-01-01 00:00:00.500000"}]',
        ),
    ],
)
def test_equal_segments_are_equal_texts(control: Any, given: Any, text: str) -> None:
    assert kinds.canonical(control, given) == text == kinds.canonical(control, text)


@pytest.mark.parametrize(
    ("control", "given", "words"),
    [
        (AUDIO, [seg(2, 1)], "ends after it starts, both from 0 seconds on; one is from 2 to 1"),
        (AUDIO, [seg(1, 1.00001)], "one is from 1 to 1"),
        (AUDIO, [seg(-1, 1)], "one is from -1 to 1"),
        (AUDIO, [seg(0, float("inf"))], "a segment is an object such as"),
        (AUDIO, [seg(0, True)], "a segment is an object such as"),
        (AUDIO, [seg("0", "1")], "a segment is an object such as"),
        (AUDIO, [seg(0, 10**400)], "a segment is an object such as"),
        (AUDIO, [seg(0, 1, channel=-1)], "the number of a channel"),
        (AUDIO, [seg(0, 1, stop=2)], "a segment is an object such as"),
        (AUDIO, [seg(0, 1, label="z")], "no such label 'z'"),
        (AUDIO, [{"start": 0, "end": 1}], "each region has a label"),
        (AUDIO, [seg(0, 1) | {"with": {"sure": "perhaps"}}], "sure: no such label 'perhaps'"),
        (AUDIO, {"start": 0}, "must be a list of objects"),
        (TIMELINE, [seg(0, 4)], "counted from 1"),
        (TIMELINE, [seg(2.5, 4)], "counted from 1"),
        (TIMELINE, [seg(5, 4)], "one is from 5 to 4"),
        (SERIES, [seg(3, 2.5)], "does not end before it starts"),
        (DATES, [seg(1, 2)], "a segment is an object such as"),
        (DATES, [seg("yesterday", "2020-01-01 00:00:01.25")], "'yesterday' is not a time in the form's timeFormat"),
        (DATES, [seg("2020-01-01 00:00:02.0", "2020-01-01 00:00:01.25")], "does not end before it starts"),
    ],
)
def test_the_reason_why_a_segment_is_none_is_told(control: Any, given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        kinds.canonical(control, given)


@pytest.mark.parametrize(
    ("control", "one", "other", "similar"),
    [
        (AUDIO, (0, 2), (1, 3), 1 / 3),
        (AUDIO, (0, 1), (1, 2), 0),
        (TIMELINE, (1, 2), (2, 3), 1 / 3),  # frames 1 to 3, of which they share one
        (TIMELINE, (5, 5), (5, 5), 1),
        (SERIES, (4, 4), (4, 4), 1),
        (SERIES, (4, 4), (5, 5), 0.5),
        (SERIES, (4, 4), (7, 7), 0.125),
        (SERIES, (4, 4), (3, 5), 0),  # an instant within a range
        (
            DATES,
            ("2020-01-01 00:00:00.0", "2020-01-01 00:00:10.0"),
            ("2020-01-01 00:00:05.0", "2020-01-01 00:00:10.0"),
            0.5,
        ),
        (
            DATES,
            ("2020-01-01 00:00:00.0", "2020-01-01 00:00:00.0"),
            ("2020-01-01 00:00:01.0", "2020-01-01 00:00:01.0"),
            0.5,
        ),
    ],
)
def test_similarity_is_the_overlap_in_time(control: Any, one: Any, other: Any, similar: float) -> None:
    found = segments.geometry_of(control).similarity(*({"start": a, "end": b} for a, b in (one, other)))
    assert found == pytest.approx(similar)


def test_segments_of_two_channels_are_not_the_same() -> None:
    both = kinds.canonical(AUDIO, [seg(0, 1)]), kinds.canonical(AUDIO, [seg(0, 1, channel=1)])
    assert kinds.of(AUDIO).score(AUDIO, *both) == 0


@pytest.mark.parametrize(
    ("control", "said", "answer"),
    [
        (AUDIO, [[seg(1, 2)], [seg(1.2, 2.2)]], [seg(1.1, 2.1)]),
        (AUDIO, [[seg(1, 2)], [seg(1.2, 2.2)], []], [seg(1.1, 2.1)]),
        (AUDIO, [[seg(1, 2)], [seg(1.1, 2.2)], [seg(1.4, 2.1)]], [seg(1.1, 2.1)]),
        (AUDIO, [[seg(1, 2)], [seg(1, 2, label="b")]], None),
        (AUDIO, [[seg(1, 2)], []], None),
        (AUDIO, [[], []], []),
        (TIMELINE, [[seg(1, 10)], [seg(2, 13)]], [seg(2, 12)]),
        (SERIES, [[seg(4, 4)], [seg(5, 5)], [seg(4.5, 4.5)]], [seg(4.5, 4.5)]),
        (
            DATES,
            [
                [seg("2020-01-01 00:00:00.0", "2020-01-01 00:01:00.0")],
                [seg("2020-01-01 00:00:10.0", "2020-01-01 00:01:00.0")],
            ],
            [seg("2020-01-01 00:00:05.000000", "2020-01-01 00:01:00.000000")],
        ),
        (
            AUDIO,
            [[seg(1, 2) | {"with": {"words": "hi"}}], [seg(1, 2) | {"with": {"words": "hi"}}], [seg(1, 2)]],
            [seg(1, 2) | {"with": {"words": "hi"}}],
        ),
    ],
)
def test_people_agree_on_the_middle_of_what_most_marked(control: Any, said: Any, answer: Any) -> None:
    found = consensus([kinds.canonical(control, one) for one in said], 1, control)
    assert found is not None
    assert found.label == (None if answer is None else kinds.canonical(control, answer))


def test_a_segment_lies_in_the_series_that_the_data_hold() -> None:
    answer = strict_json.dumps([seg(3, 12)])
    kinds.of(SERIES).fits(SERIES, answer, {"it": {"t": [0, 12, 20], "v": [1, 2, 3]}})
    with pytest.raises(ValueError, match="a segment is from 3 to 12; the series is from 0 to 9"):
        kinds.of(SERIES).fits(SERIES, answer, {"it": {"t": [0, 9], "v": [1, 2]}})


@pytest.mark.parametrize(
    ("time_format", "text", "unit"),
    [
        ("%Y-%m-%d %H:%M:%S.%f", "2020-02-29 23:59:59.125000", 1),
        ("%Y-%m-%dT%H:%M:%S.%LZ", "2020-02-29T23:59:59.125Z", 1),
        ("%d.%m.%Y %H:%M", "29.02.2020 23:59", 60),
        ("%Y-%m-%d", "2020-02-29", 86_400),
        ("%b %d %Y, %I %p", "Feb 29 2020, 11 PM", 3_600),
    ],
)
def test_moments_are_read_and_written_as_the_form_says(time_format: str, text: str, unit: float) -> None:
    assert moments.understood(time_format)
    assert moments.text_of(moments.seconds_of(text, time_format), time_format) == text
    assert moments.resolution(time_format) == unit


def test_moments_in_a_format_that_is_not_understood_stay_as_they_are() -> None:
    assert not moments.understood("%Q")
    geometry = segments._geometry("TimeSeries", "%Q")
    one, other = ({"start": text, "end": text} for text in ("1577836800000", "1577836800001"))
    assert geometry.read(one) == one
    assert (geometry.similarity(one, one), geometry.similarity(one, other)) == (1, 0)

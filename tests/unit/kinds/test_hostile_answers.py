"""Answers that nobody means well with, or that are very large: each is read, or refused with a ValueError, in time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from labelloop.answers.changes import What, changes
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.reading import strict_json

HUGE = 10**400
"""A number that Label Studio's API takes, as 1e400, and that no float holds."""
IMAGE, TEXT = '<Image name="t" value="$image"/>', '<Text name="t" value="$text"/>'
PAGE = '<HyperText name="t" value="$text"/><HyperTextLabels name="c" toName="t"><Label value="a"/></HyperTextLabels>'
SOUND = '<Audio name="t" value="$sound"/><Labels name="c" toName="t"><Label value="a"/></Labels>'
SERIES = (
    '<TimeSeries name="t" value="$s" timeColumn="x"{}/>'
    '<TimeSeriesLabels name="c" toName="t"><Label value="a"/></TimeSeriesLabels>'
)
ABOUT = '<TextArea name="say" toName="t" perRegion="true"/>'
IN_S = 5.0
"""Far above what each large answer takes (under a second), far below what comparing each two takes."""


def form(xml: str, *answer: str) -> LabelingConfig:
    return LabelingConfig.parse(f"<View>{xml}</View>", answer)


@pytest.mark.parametrize("tag", ["Rectangle", "Ellipse", "KeyPoint", "Polygon", "Vector"])
@pytest.mark.parametrize("number", [HUGE, -HUGE, 1e308, float("nan")])
def test_a_number_that_no_image_has_is_refused(tag: str, number: float) -> None:
    config = form(f'{IMAGE}<{tag} name="c" toName="t"/>')
    at = {"x": 1, "y": number}
    value = {**at, "width": 5, "height": 5, "radiusX": 5, "radiusY": 5, "points": [[1, 2], [3, number], [5, 9]]}
    value["vertices"] = [{"x": 1, "y": 2}, at]
    region = {"from_name": "c", "type": tag.lower(), "value": value, "original_width": 9, "original_height": 9}
    with pytest.raises(ValueError, match="number"):
        results.decoded(config.answer, [region])
    assert results.read(config, [region], None).label is None


def test_a_size_that_no_image_has_is_refused() -> None:
    config = form(IMAGE + '<Rectangle name="c" toName="t"/>')
    with pytest.raises(ValueError, match="size"):
        kinds.canonical(config.answer, [{"box": [1, 2, 3, 4], "rotation": 5, "size": [HUGE, 9]}])


@pytest.mark.parametrize("held", [HUGE, float("nan"), float("inf")])
def test_an_answer_that_cannot_be_read_back_is_refused(held: float) -> None:
    unknown = form(TEXT + '<Magic name="c" toName="t"/>')
    region = {"from_name": "c", "type": "magic", "value": {"magic": held}}
    with pytest.raises(ValueError, match=r"64 bits|JSON"):
        results.decoded(unknown.answer, [region])
    sound = {"from_name": "c", "type": "labels", "value": {"start": held, "end": 2, "labels": ["a"]}}
    with pytest.raises(ValueError, match=r"64 bits|JSON"):
        results.decoded(form(SOUND).answer, [sound])


def test_a_region_without_a_value_is_no_answer_to_a_control_that_is_kept_whole() -> None:
    with pytest.raises(ValueError, match="type and value"):
        kinds.canonical(form(TEXT + '<Magic name="c" toName="t"/>').answer, [{"type": "magic"}])


def test_a_large_value_of_a_time_column_has_one_text_that_is_read_back() -> None:
    control = form(SERIES.format("")).answer
    answer = kinds.canonical(control, [{"start": 1e25, "end": 2e25, "label": "a"}])
    assert kinds.canonical(control, answer) == answer
    assert kinds.of(control).score(control, answer, answer) == 1.0
    with pytest.raises(ValueError, match="a segment is"):
        kinds.canonical(control, [{"start": -1.7e308, "end": 1.7e308, "label": "a"}])


def test_a_format_that_names_one_part_twice_is_not_read_and_not_a_crash() -> None:
    control = form(SERIES.format(' timeFormat="%d %e"')).answer
    regions = [{"start": "05  5", "end": "06  6", "label": "a"}]
    assert kinds.canonical(control, regions) == strict_json.dumps(regions)
    with pytest.raises(ValueError, match="must be written as"):
        kinds.canonical(form(TEXT + '<DateTime name="c" toName="t" format="%d %d"/>').answer, "5 5")


def test_moments_in_the_first_years_are_padded_and_those_before_them_refused() -> None:
    control = form(SERIES.format(' timeFormat="%Y-%m-%d%Z"')).answer
    answer = kinds.canonical(control, [{"start": "0005-01-01+0000", "end": "0005-01-02+0000", "label": "a"}])
    assert "0005-01-01" in answer
    assert kinds.canonical(control, answer) == answer
    with pytest.raises(ValueError, match="is not a time"):
        kinds.canonical(control, [{"start": "0001-01-01+1400", "end": "0005-01-02+0000", "label": "a"}])


def test_a_boolean_is_no_id_of_an_item() -> None:
    control = form('<List name="t" value="$items"/><Ranker name="c" toName="t"/>').answer
    for given in (True, False):
        with pytest.raises(ValueError, match="ids"):
            kinds.canonical(control, [given, "a"])


def test_nothing_about_a_region_is_one_text() -> None:
    control = form(SOUND + ABOUT, "c").answer
    bare = {"start": 1, "end": 2, "label": "a"}
    plain = kinds.canonical(control, [bare])
    assert kinds.canonical(control, [{**bare, "with": {"say": None}}]) == plain
    assert kinds.nearest_answer(control, strict_json.dumps([{**bare, "with": 3}])) == plain


def test_labels_of_a_relation_that_are_no_list_leave_the_others() -> None:
    control = form(TEXT + '<Labels name="c" toName="t"><Label value="a"/></Labels>', "relations").answer
    relation = {"from": ["c", [0, 1, "a"]], "to": ["c", [2, 3, "a"]]}
    answer = strict_json.dumps([relation, {**relation, "labels": 3}])
    assert kinds.nearest_answer(control, answer) == strict_json.dumps([relation])


def test_relations_end_at_the_segments_that_people_agree_on() -> None:
    control = form(SOUND, "c", "relations").answer

    def answer(start: float) -> str:
        one, other = {"start": start, "end": 9, "label": "a"}, {"start": 20, "end": 30, "label": "a"}
        return kinds.canonical(control, {"c": [one, other], "relations": [{"from": ["c", one], "to": ["c", other]}]})

    agreed, agreement = kinds.of(control).agreed(control, [answer(1), answer(2), answer(3)], None)
    assert agreed == answer(2)
    assert agreement == 3


@pytest.mark.parametrize("page", ["<![foo[", "<![ foo", "<!--" * 20_000, "<a " * 20_000, "<" * 20_000])
def test_a_damaged_page_is_measured_at_once(page: str) -> None:
    control, begin = form(PAGE).answer, time.process_time()
    answer = kinds.canonical(control, [{"start": 0, "end": 1 << 30, "label": "a"}])
    with pytest.raises(ValueError, match="a mark ends at"):
        kinds.of(control).fits(control, answer, {"text": page})
    assert time.process_time() - begin < IN_S


@pytest.mark.parametrize(
    ("page", "characters"),
    [("a &amp; b<br/>c", 7), ("<p>a</p>\n<p title='x'>b</p>", 3), ("1 < 2 <!-- no -->", 6), ("<BR>", 1), ("", 0)],
)
def test_characters_of_a_page(page: str, characters: int) -> None:
    control = form(PAGE).answer
    fits = kinds.of(control).fits
    fits(
        control,
        kinds.canonical(control, [{"start": 0, "end": max(1, characters), "label": "a"}]),
        {"text": page + "x" * (not characters)},
    )
    with pytest.raises(ValueError, match=f"the text has {characters} characters"):
        fits(control, kinds.canonical(control, [{"start": 0, "end": characters + 1, "label": "a"}]), {"text": page})


def _marks(n: int, move: int) -> list[dict[str, Any]]:
    return [{"start": 10 * i + move, "end": 10 * i + 10, "label": "a"} for i in range(n)]


@pytest.mark.parametrize("xml", [PAGE, SOUND])
def test_five_thousand_regions_on_a_line_take_no_longer_than_their_number(xml: str) -> None:
    control, begin = form(xml).answer, time.process_time()
    answers = [kinds.canonical(control, _marks(5_000, move)) for move in (0, 1, 2)]
    agreed, agreement = kinds.of(control).agreed(control, answers, None)
    assert (agreed, agreement) == (answers[1], 3)
    moved = changes(control, answers[0], answers[2])
    assert [one.what for one in moved] == [What.MOVED] * 5_000
    assert time.process_time() - begin < 4 * IN_S


def test_what_people_changed_in_five_hundred_boxes() -> None:
    control = form(IMAGE + '<RectangleLabels name="c" toName="t"><Label value="a"/></RectangleLabels>').answer

    def answer(move: float) -> str:
        boxes = [{"box": [4 * x + move, 4 * y, 3, 3], "label": "a"} for x in range(24) for y in range(21)]
        return kinds.canonical(control, boxes)

    shown, given, begin = answer(0), answer(0.5), time.process_time()
    assert [one.what for one in changes(control, shown, given)] == [What.MOVED] * 504
    assert time.process_time() - begin < IN_S


def test_a_polygon_that_passes_its_first_corner_often_is_read_in_time() -> None:
    control = form(IMAGE + '<Polygon name="c" toName="t"/>').answer
    corners = [point for i in range(2_000) for point in ([0, 0], [1 + i % 97, 1 + i % 89])]
    begin = time.process_time()
    answer = kinds.canonical(control, [{"polygon": corners}])
    assert kinds.canonical(control, [{"polygon": corners[2:] + corners[:2]}]) == answer
    assert time.process_time() - begin < IN_S


def test_a_shape_without_a_label_stays_beside_the_same_one_with_a_label() -> None:
    labels = '<Labels name="c" toName="t" choice="multiple"><Label value="a"/><Label value="b"/></Labels>'
    control = form(IMAGE + labels + '<Rectangle name="r" toName="t"/>', "c").answer
    box = {"box": [1, 2, 3, 4]}
    answer = kinds.canonical(control, [box, {**box, "label": "a"}, {**box, "label": "b"}])
    assert results.decoded(control, results.regions_of(control, answer)) == answer


def test_shown_tracks_that_are_none_count_as_a_whole() -> None:
    control = form('<Video name="t" value="$v"/><VideoRectangle name="c" toName="t"/>').answer
    given = kinds.canonical(control, [{"frames": [[1, 1, 1, 5, 5, 0]]}])
    for shown in ('[{"frames": []}]', '[{"frames": [[9, 1]]}]'):
        assert [one.what for one in changes(control, shown, given)] == [What.EDITED]


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_a_character_that_cannot_be_stored_is_refused(character: str) -> None:
    order = form('<List name="t" value="$items"/><Ranker name="c" toName="t"/>')
    said = form(TEXT + '<TextArea name="c" toName="t"/>')
    ranked = {"from_name": "c", "type": "ranker", "value": {"ranker": {"c": [character, "a"]}}}
    written = {"from_name": "c", "type": "textarea", "value": {"text": [f"a{character}b"]}}
    for config, region in ((order, ranked), (said, written)):
        with pytest.raises(ValueError, match="cannot be stored"):
            results.decoded(config.answer, [region])
        assert results.read(config, [region], None).label is None
    assert kinds.canonical(order.answer, [r"\u0000", "a"])  # six characters that a person may type


def test_an_answer_that_is_kept_whole_has_one_text() -> None:
    control = form(TEXT + '<Magic name="c" toName="t"/>').answer
    region = {"type": "magic", "value": {"magic": 1}}
    assert kinds.canonical(control, [{**region, "id": "x", "origin": "manual"}]) == kinds.canonical(control, [region])

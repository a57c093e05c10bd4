"""Changes of a shown answer, by kind: regions, spans, labels, texts, and several controls."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.changes import REJECTED, Change, What, changed_words, changes
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical

IMAGE = '<Image name="image" value="$image"/>'
TEXT = '<Text name="text" value="$text"/>'
BOXES = '<RectangleLabels name="boxes" toName="image"><Label value="car"/><Label value="bus"/></RectangleLabels>'


def control(inside: str, *answer: str) -> ControlTag:
    return LabelingConfig.parse(f"<View>{inside}</View>", answer).answer


BOX = control(IMAGE + BOXES)


def box(x: float, y: float, label: str = "car") -> dict[str, Any]:
    return {"box": [x, y, 20, 20], "label": label}


def counted(about: ControlTag, shown: object, given_: object) -> dict[str, int]:
    found = changes(about, *(None if one is None else canonical(about, one) for one in (shown, given_)))
    return dict(Counter(str(change.what) for change in found))


def test_each_box_is_kept_moved_relabelled_deleted_or_added() -> None:
    shown = [box(0, 0), box(40, 0), box(0, 40), box(40, 40)]
    given_ = [box(0, 0), box(42, 1), box(0, 40, "bus"), box(78, 78, "bus")]
    found = changes(BOX, canonical(BOX, shown), canonical(BOX, given_))
    assert sorted(found, key=lambda one: one.what) == [
        Change("boxes", What.ADDED, None, "bus"),
        Change("boxes", What.DELETED, "car", None),
        Change("boxes", What.KEPT, "car", "car"),
        Change("boxes", What.MOVED, "car", "car"),
        Change("boxes", What.RELABELLED, "car", "bus"),
    ]


def test_a_box_moves_to_where_it_is_nearest() -> None:
    two = [box(0, 0), box(10, 0)]
    assert counted(BOX, two, [box(1, 0), box(11, 0)]) == {"moved": 2}
    assert counted(BOX, two, [box(0, 0)]) == {"kept": 1, "deleted": 1}
    assert counted(BOX, [], two) == {"added": 2}
    assert counted(BOX, two, []) == {"deleted": 2}
    assert counted(BOX, two, two) == {"kept": 2}
    assert counted(BOX, [box(0, 0)], [box(15, 15, "bus")]) == {"deleted": 1, "added": 1}  # another thing elsewhere


REGIONS = st.lists(st.builds(box, st.integers(0, 80), st.integers(0, 80), st.sampled_from(["car", "bus"])), max_size=5)


@given(REGIONS, REGIONS)
def test_every_region_is_accounted_for_once(shown: list[dict[str, Any]], given_: list[dict[str, Any]]) -> None:
    was, now = canonical(BOX, shown), canonical(BOX, given_)
    there, back = changes(BOX, was, now), changes(BOX, now, was)
    assert sum(one.shown is not None for one in there) == len(json.loads(was))
    assert sum(one.given is not None for one in there) == len(json.loads(now))
    counts = Counter(one.what for one in there)
    other = Counter(one.what for one in back)
    assert (counts[What.ADDED], counts[What.DELETED]) == (other[What.DELETED], other[What.ADDED])
    assert all(one.what is What.KEPT for one in there) == (was == now)


def test_spans_of_a_text() -> None:
    spans = control(TEXT + '<Labels name="label" toName="text"><Label value="org"/><Label value="person"/></Labels>')
    shown = [[0, 4, "org"], [10, 14, "person"], [20, 24, "org"]]
    given_ = [[0, 6, "org"], [10, 14, "org"], [30, 34, "org"]]
    assert counted(spans, shown, given_) == {"moved": 1, "relabelled": 1, "deleted": 1, "added": 1}


def test_labels_of_an_item() -> None:
    one = control(TEXT + '<Choices name="c" toName="text"><Choice value="a"/><Choice value="b"/></Choices>')
    several = control(
        TEXT + '<Choices name="c" toName="text" choice="multiple"><Choice value="a"/><Choice value="b"/>'
        '<Choice value="c"/></Choices>'
    )
    assert changes(one, "a", "b") == [Change("c", What.RELABELLED, "a", "b")]
    assert changes(one, "a", "a") == [Change("c", What.KEPT, "a", "a")]
    assert changes(one, "a", None) == [Change("c", What.RELABELLED, "a", REJECTED)]
    assert counted(several, ["a", "b"], ["b", "c"]) == {"kept": 1, "deleted": 1, "added": 1}


def test_the_words_of_a_text() -> None:
    area = control(TEXT + '<TextArea name="said" toName="text"/>')
    [found] = changes(area, "teh cat sat on mat", "the cat sat on the mat today")
    assert (found.what, found.words) == (What.EDITED, (("teh", "the"), ("", "the"), ("", "today")))
    assert counted(area, "the same", "the same") == {"kept": 1}
    assert changed_words("a " * 3000, "b") == []


def test_several_controls_and_answers_about_a_region() -> None:
    form = control(
        IMAGE + BOXES + '<Choices name="weather" toName="image"><Choice value="sun"/><Choice value="rain"/></Choices>'
        '<TextArea name="plate" toName="image" perRegion="true"/>',
        "boxes",
        "weather",
    )
    shown = {"boxes": [box(0, 0) | {"with": {"plate": "B 1"}}], "weather": "sun"}
    given_ = {"boxes": [box(0, 0) | {"with": {"plate": "B 7"}}], "weather": "rain"}
    found = changes(form, canonical(form, shown), canonical(form, given_))
    assert [(one.control, str(one.what), one.shown, one.given) for one in found] == [
        ("boxes", "edited", "car", "car"),
        ("weather", "relabelled", "sun", "rain"),
    ]
    assert counted(form, {"weather": "sun"}, {"boxes": [box(0, 0)]}) == {"added": 1, "relabelled": 1}


@pytest.mark.parametrize("unreadable", ["no JSON", '{"a":1}', "[1]"])
def test_what_cannot_be_read_counts_as_a_whole(unreadable: str) -> None:
    assert [str(one.what) for one in changes(BOX, unreadable, "[]")] == ["edited"]
    assert [str(one.what) for one in changes(BOX, unreadable, unreadable)] == ["kept"]

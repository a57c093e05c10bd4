"""Results that Label Studio's own editor wrote are read as the answers that the person gave."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.annotations import Annotation
from labelloop.answers.unreadable import why_unreadable
from labelloop.answers.untouched import prelabel_kept
from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_checks import faults
from labelloop.labeling.kinds import canonical as canonical_of
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from tests.support.data.written_by_the_editor import AREA, GROUP, ITEMS, PICK, RANKER, WRITTEN, Written

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def annotation(written: Written) -> Annotation:
    parent = None if written.shown is None else 7
    return Annotation(
        AnnotationId(1), TaskId(1), list(written.result), UserId(1), UserId(1), False, False, 3.0, parent, NOW, NOW
    )


@pytest.mark.parametrize("written", WRITTEN, ids=lambda one: one.what)
def test_the_answer_is_read_and_a_change_is_seen(written: Written) -> None:
    config = LabelingConfig.parse(written.form)
    assert results.given(config.answer, written.result) == written.answer
    shown = [] if written.shown is None else [written.shown]
    assert prelabel_kept(config, annotation(written), shown) is written.kept


@pytest.mark.parametrize("written", [one for one in WRITTEN if one.shown], ids=lambda one: one.what)
def test_our_prelabel_is_what_the_editor_was_shown(written: Written) -> None:
    config = LabelingConfig.parse(written.form)
    assert written.shown is not None
    answer = results.given(config.answer, [written.shown])
    [ours] = results.encode(config, answer, None)
    assert {**ours, "id": "p1"} == {name: value for name, value in written.shown.items() if name != "origin"} or (
        written.shown["value"].get("text", ["", ""])[1:]  # several texts are shown as one with several lines
    )
    assert results.given(config.answer, [ours]) == answer


@pytest.mark.parametrize("result", [[], [{"from_name": "t", "type": "textarea", "value": {"text": ["  ", "\n"]}}]])
def test_an_empty_transcription_is_unreadable_and_says_so(result: list[dict[str, object]]) -> None:
    config = LabelingConfig.parse(AREA)
    reading = results.read(config, result, None)
    assert reading.label is None
    found = why_unreadable(config, result, reading)
    assert found is not None
    assert (found.reason, found.ask) == ("TextArea 't': nothing was given", True)


def test_a_time_alone_is_not_preselected_since_the_editor_would_lose_a_changed_one() -> None:
    config = LabelingConfig.parse(
        '<View><Text name="text" value="$text"/><DateTime name="d" toName="text" only="time"/></View>'
    )
    assert results.preselect(config, "07:08", None) == []
    assert results.encode(config, "07:08", None)[0]["value"] == {"datetime": "07:08"}


@pytest.mark.parametrize(("only", "refused"), [("month", True), ("month,year", True), ("year", False), ("date", False)])
def test_a_form_that_asks_for_a_month_is_refused(only: str, refused: bool) -> None:
    found = faults(f'<View><Text name="text" value="$text"/><DateTime name="d" toName="text" only="{only}"/></View>')
    assert [("DateTime writes no month" in str(one)) for one in found] == [True] * refused


IDS = [item["id"] for item in ITEMS]
LISTS = st.permutations(IDS)


@given(LISTS, st.integers(0, 3), st.integers(0, 3))
def test_every_order_comes_back_as_it_was_written(ids: list[str], first: int, second: int) -> None:
    parts = {"best": ids[:first], "worst": ids[first : first + second]}
    for form, answer in (
        (RANKER, ids),
        (PICK, {name: part for name, part in parts.items() if part}),
        (GROUP, {name: part for name, part in (("best", ids[:first]), ("rest", ids[first:])) if part}),
    ):
        config = LabelingConfig.parse(form)
        text = canonical_of(config.answer, answer)
        assert results.given(config.answer, results.encode(config, text, None)) == text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_every_text_comes_back_as_it_was_written(text: str) -> None:
    config = LabelingConfig.parse(AREA)
    try:
        canonical = canonical_of(config.answer, text)
    except ValueError:
        assert not text.strip()
        return
    assert results.given(config.answer, results.encode(config, canonical, None)) == canonical

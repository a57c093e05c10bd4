"""Segments, marks and tracks as Label Studio's results: round trips, the SDK's rules, and what the editor saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds import canonical, nearest_answer
from tests.support.data.drawn import FORMS, answers, form

SAVED = json.loads((Path(__file__).parents[2] / "support" / "data" / "editor_results.json").read_text())
"""Results that Label Studio 1.23.2 saved after somebody drew in its editor, with the form and the item."""


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(FORMS)))
def test_an_answer_comes_back_from_its_result_and_fits_the_sdks_rules(data: st.DataObject, name: str) -> None:
    config = form(name)
    answer = canonical(config.answer, data.draw(answers(name)))
    assert canonical(config.answer, answer) == answer == nearest_answer(config.answer, answer)
    result = results.encode(config, answer, None)
    assert results.read(config, result, None).label == answer
    interface: Any = LabelInterface(config.xml)
    assert interface.validate_prediction({"result": result, "score": 0.5}, return_errors=True) == []


WORDS = st.text(st.sampled_from("a ب ש 😀 👍🏽 \u0301"), max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS.filter(bool), min_size=1, max_size=4), st.data())
def test_marks_in_a_dialogue_count_characters_where_the_editor_counts_utf_16(texts: list[str], data: Any) -> None:
    config = form("dialogue", asked=False)
    number = data.draw(st.integers(0, len(texts) - 1))
    start = data.draw(st.integers(0, len(texts[number]) - 1))
    end = data.draw(st.integers(start + 1, len(texts[number])))
    answer = canonical(config.answer, [{"start": [number, start], "end": [number, end], "label": "a"}])
    item = {"it": [{"author": "Ana", "text": text} for text in texts]}
    [region] = results.encode(config, answer, None, item)
    units = texts[number].encode("utf-16-le")
    marked = units[2 * region["value"]["startOffset"] : 2 * region["value"]["endOffset"]].decode("utf-16-le")
    assert marked == texts[number][start:end]
    assert results.read(config, [region], None, item).label == answer


@pytest.mark.parametrize("name", sorted(SAVED))
def test_what_the_editor_saved_is_read_and_written_again(name: str) -> None:
    saved = SAVED[name]
    config = LabelingConfig.parse(saved["xml"], ("label",))
    reading = results.read(config, saved["result"], None, saved["data"])
    assert reading.label == canonical(config.answer, saved["answer"])
    again = results.encode(config, reading.label, None, saved["data"])
    assert results.read(config, again, None, saved["data"]).label == reading.label


def test_words_that_were_marked_are_the_words_of_the_answer() -> None:
    saved = SAVED["dialogue"]
    texts = [one["text"] for one in saved["data"]["dialogue"]]
    said = {region["value"]["text"] for region in saved["result"] if region["value"]["start"] == region["value"]["end"]}
    marks = [mark for mark in saved["answer"] if mark["start"][0] == mark["end"][0]]
    assert {texts[mark["start"][0]][mark["start"][1] : mark["end"][1]] for mark in marks} == said

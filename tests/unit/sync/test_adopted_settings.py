"""The settings of an adopted project: restored exactly, unless a person changed them meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import Failed
from labelloop.queue.adopted import Guess, newest
from labelloop.spec.folder import parse
from sync.adopting.settings import ours, refuse, restored, sent_form, with_words
from tests.support.sync_loop import XML, YAML

SPEC = parse("pets", YAML, XML)
WORDS = {
    "title": "pets",
    "description": "About 40 items wait. Keep this mark: labelloop:1",
    "expert_instruction": "<p>x</p>",
}
SETTINGS = st.fixed_dictionaries(
    {
        "title": st.text(min_size=3, max_size=50),
        "description": st.text(max_size=30),
        "expert_instruction": st.just(""),
        "sampling": st.sampled_from(["Sequential sampling", "Uniform sampling", "Uncertainty sampling"]),
        "maximum_annotations": st.just(SPEC.overlap),
        "model_version": st.sampled_from(["", None, "bert-1", "labelloop-of-theirs"]),
        "show_collab_predictions": st.booleans(),
        "show_overlap_first": st.booleans(),
        "annotator_evaluation_enabled": st.booleans(),
        "enable_empty_annotation": st.booleans(),
        "skip_queue": st.sampled_from(["REQUEUE_FOR_OTHERS", "REQUEUE_FOR_ME", "IGNORE_SKIPPED"]),
        "label_config": st.just(XML),
    }
)


def adopted(before: dict[str, Any]) -> dict[str, Any]:
    """Return the settings while the loop has the project."""
    words = {
        "description": with_words(before["description"], WORDS["description"]),
        "expert_instruction": WORDS["expert_instruction"],
    }
    return {**before, **ours(SPEC), **words, "model_version": "pipeline"}


@given(SETTINGS)
def test_a_release_restores_every_setting_exactly(before: dict[str, Any]) -> None:
    now = adopted(before)
    found = restored(before, now, SPEC, WORDS, {"pipeline"})
    assert {**now, **found.changes} == before
    assert found.kept == []


@given(SETTINGS, st.text(alphabet="abc ", min_size=1, max_size=10))
def test_a_text_of_a_person_around_the_words_of_the_loop_stays(before: dict[str, Any], text: str) -> None:
    now = adopted(before)
    now["description"] = f"{text}|{now['description']}"
    found = restored(before, now, SPEC, WORDS, {"pipeline"})
    assert WORDS["description"] not in found.changes["description"]
    assert found.changes["description"].startswith(f"{text}|".strip())


def test_a_setting_that_a_person_changed_stays_and_is_named() -> None:
    before = {"sampling": "Sequential sampling", "model_version": "bert-1", "title": "Pets", "label_config": XML}
    now = {"sampling": "Uniform sampling", "model_version": "theirs", "title": "Beasts", "label_config": "<View/>"}
    found = restored(before, now, SPEC, WORDS, {"pipeline"})
    assert found.changes == {}
    assert found.kept == ["sampling", "model_version", "title", "label_config"]


@pytest.mark.parametrize(
    ("people", "share", "message"), [(2, 50, "50 % of its tasks"), (11, 100, "at most 10")], ids=["cohort", "many"]
)
def test_a_project_that_asks_as_no_loop_does_is_refused(people: int, share: int, message: str) -> None:
    with pytest.raises(Failed, match=message):
        refuse({"maximum_annotations": people, "overlap_cohort_percentage": share}, 12)
    refuse({"maximum_annotations": 1, "overlap_cohort_percentage": 50}, 12)


def test_a_form_that_the_loop_would_have_to_change_is_refused() -> None:
    assert sent_form(XML) == XML
    with pytest.raises(Failed, match=r"\$my-text"):
        sent_form(XML.replace("$text", "$my-text"))


def test_the_prediction_that_annotators_see_is_taken() -> None:
    old, new, other = Guess(1, "a", 0.1, []), Guess(3, "a", 0.2, []), Guess(7, "b", 0.3, [])
    assert newest([old, new, other], "a") is new
    assert newest([old, new, other], "c") is other
    assert newest([], "a") is None

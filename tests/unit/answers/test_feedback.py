"""Annotations, feedback and answers: the pure decisions."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.annotations import Annotation, clean, digest
from labelloop.answers.consensus import consensus
from labelloop.answers.feedback import Answer, one_a_reviewer

START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7)


def annotation(id_: int = 1, **changes: object) -> Annotation:
    values = {
        "id": id_,
        "task_id": 1,
        "result": [],
        "completed_by": 7,
        "updated_by": 7,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time_s": 1.0,
        "parent_prediction": None,
        "created_at": START,
        "updated_at": START + timedelta(seconds=id_),
        **changes,
    }
    return Annotation(**values)  # type: ignore[arg-type]


@given(LABELS, st.integers(1, 3), st.randoms())
def test_the_answer_is_the_label_that_most_gave_whatever_their_order(
    labels: list[str | None], overlap: int, random: object
) -> None:
    answer = consensus(labels, overlap)
    random.shuffle(labels)  # type: ignore[attr-defined]
    assert consensus(labels, overlap) == answer
    if len(labels) < max(overlap, 1):
        assert answer is None
        return
    assert answer is not None
    counts = Counter(label for label in labels if label is not None)
    if answer.label is None:
        assert list(counts.values()).count(max(counts.values(), default=0)) != 1
    else:
        assert all(counts[answer.label] > n for label, n in counts.items() if label != answer.label)
        assert answer.agreement == counts[answer.label] / len(labels)


def test_a_tie_is_no_answer_and_too_few_are_none_yet() -> None:
    assert consensus(["a"], 2) is None
    assert consensus(["a", "b"], 2) == Answer(None, None, 2)
    assert consensus(["a", "b", "a"], 2) == Answer("a", 2 / 3, 3)
    assert consensus([None], 1) == Answer(None, None, 1)
    assert consensus([], 1) is None


def test_a_reviewer_counts_once_with_the_newest_that_is_no_skip() -> None:
    old, new, skipped = annotation(1), annotation(2), annotation(3, was_cancelled=True)
    nobody = annotation(4, updated_by=None, completed_by=None)
    other = annotation(5, updated_by=8)
    assert one_a_reviewer([skipped, new, old, nobody, other]) == [new, other]


def test_a_version_is_another_when_anything_that_counts_is_another() -> None:
    same = digest(annotation(), "o", None)
    assert digest(annotation(result=[]), "o", None) == same
    others = [
        digest(annotation(result=[{"a": 1}]), "o", None),
        digest(annotation(was_cancelled=True), "o", None),
        digest(annotation(updated_by=9), "o", None),
        digest(annotation(), "p", None),
        digest(annotation(), "o", "why"),
    ]
    assert len({same, *others}) == 6
    assert digest(annotation(result=[{"a": 1, "b": 2}]), "o", None) == digest(
        annotation(result=[{"b": 2, "a": 1}]), "o", None
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_cleaned_value_is_json_that_postgres_takes(value: object) -> None:
    text = json.dumps(clean(value), allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    json.dumps(clean(value), ensure_ascii=False).encode("utf-8")
    assert clean(clean(value)) == clean(value)

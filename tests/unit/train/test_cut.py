"""The split of a run's answers into training and hold-out: copies, groups, removed labels, and labels with too few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest

from backend.learners import make
from backend.train.cut import Cut, _copies, divide, labels_in
from labelloop.pictures.kept import _uri
from labelloop.selection import likeness
from labelloop.spec.folder import parse
from labelloop.spec.sections import LearnerSpec
from labelloop.versions.items import AnsweredItem
from tests.support.backend_factory import texts_spec
from tests.support.data.every_kind import FAMILIES

YAML = "feedback_loop:\n  trigger: 'model_confidence < 0.8'\n  learner: none\n"
HELD_OUT = "Please cancel my subscription before the end of the month, thank you."


def row(key: str, text: str, label: str = "ham", *, holdout: bool = False, **more: Any) -> AnsweredItem:
    item = AnsweredItem(
        key=key, group_key=key, data={"text": text}, answer_seq=1, label=label, weight=1.0, output_id=UUID(int=1),
        lane="rule", holdout=holdout, agreement=1.0, reviewers=1, pipeline_label=None, pipeline_confidence=None,
    )  # fmt: skip
    return replace(item, **more)


def divided(*rows: AnsweredItem, labels: tuple[str, ...] = ("ham", "spam")) -> Cut:
    return divide(texts_spec(labels), make("text", {"field": "text"}), "text", rows)


def near(texts: list[str], others: list[str]) -> list[list[int]]:
    return [list(found) for found in likeness.near(texts, others)]


def keys(rows: list[AnsweredItem]) -> list[str]:
    return [row.key for row in rows]


def test_copies_and_near_duplicates_of_held_out_texts_teach_nothing_and_are_named() -> None:
    cut = divided(
        row("judged", HELD_OUT, holdout=True),
        row("copy", HELD_OUT),
        row("typo", HELD_OUT.replace("subscription", "subscripton").upper()),
        row("other", "My parcel has not arrived yet, where is it?"),
    )
    assert keys(cut.held_out) == ["judged"]
    assert keys(cut.training) == ["other"]
    assert cut.notes[0] == (
        "2 of 3 answers left out of training: 2 are copies or near-duplicates of held-out items "
        "(copy of judged, typo of judged)"
    )


def test_every_near_duplicate_is_found_though_groups_of_duplicates_are_made_around_one_text_each() -> None:
    """b is nearly a, and c nearly b, but c is not nearly a: by groups b belongs to a, and c would stand alone."""
    a, b, c = "abcdefghijklmnopqrst", "abcdefghijklmnopqrstuv", "abcdefghijklmnopqrstuvwxyz1"
    assert near([a, b, c], [a]) == [[0], [0], []]
    assert near([b, c], [b]) == [[0], [0]]
    assert near(["", "x"], ["", "y"]) == [[], []]
    assert near([], [a]) == []
    assert near([a], []) == [[]]


def test_lines_by_one_pattern_are_compared_only_as_often_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is nearly the same as all others: compared with all, ten thousand would take a run's time."""
    compare = Mock(wraps=likeness._jaccard)
    monkeypatch.setattr(likeness, "_jaccard", compare)
    line = "connection to the service was closed by the firewall after seconds, number "
    rows = [row(f"{i}", f"{line}{i}", holdout=i < 50) for i in range(150)]
    assert divided(*rows).training == []
    assert compare.call_count == 100


def test_long_texts_with_the_same_head_are_no_copies() -> None:
    head = "ACME Ltd, 1 Long Street, terms and conditions apply to all of our letters. " * 20
    cut = divided(
        row("judged", head + "You owe us forty pounds." * 60, holdout=True),
        row("other letter", head + "We are glad to welcome you as a guest." * 60),
        row("same letter", head + "You owe us fourty pounds." * 60),
    )
    assert keys(cut.training) == ["other letter"]


def test_the_same_picture_under_another_key_teaches_nothing() -> None:
    cut = divided(row("judged", "data:image/png;base64,AAAA", holdout=True), row("b", "data:image/png;base64,AAAA"))
    assert cut.training == []


@pytest.mark.parametrize(
    "place", ["https://cdn.example/images/2024/", "/data/upload/1/scan-", "s3://bucket/images/call-"]
)
def test_addresses_that_are_nearly_the_same_are_not_the_same_picture(place: str) -> None:
    cut = divided(row("judged", f"{place}00017.png", holdout=True), row("same", f"{place}00017.png"),
                  row("other", f"{place}00018.png"))  # fmt: skip
    assert keys(cut.training) == ["other"]


def test_rows_of_a_table_are_no_copies_where_annotators_see_the_same_word() -> None:
    spec = texts_spec(learner=LearnerSpec(name="tabular", params={"fields": ["age"]}))
    rows = [row(f"{age}", "Berlin", holdout=age > 40, data={"text": "Berlin", "age": age}) for age in (30, 40, 50)]
    cut = divide(spec, make("tabular", {"field": "text", "fields": ["age"]}), "text", rows)
    assert (keys(cut.training), keys(cut.held_out)) == (["30", "40"], ["50"])


def test_a_group_is_on_one_side_even_where_its_share_of_the_hold_out_was_changed_on_the_way() -> None:
    cut = divided(
        row("page 1", "first page", holdout=True, group_key="letter"),
        row("page 2", "and quite another one", group_key="letter"),
        row("else", "something else again"),
    )
    assert keys(cut.training) == ["else"]
    assert cut.notes[0] == "1 of 2 answers left out of training: 1 share a group with held-out items"


def test_labels_that_left_the_config_are_left_out_on_both_sides_and_named() -> None:
    cut = divided(row("a", "one text", "gone"), row("b", "other words"), row("c", "third", "gone", holdout=True))
    assert (keys(cut.training), keys(cut.held_out)) == (["b"], [])
    assert cut.notes == ["2 answers left out, their labels are no longer in the labeling config: gone (2)"]


def test_labels_with_too_few_held_out_answers_are_named() -> None:
    judged = [row(f"{i}", f"held out text number {i * 7919}", "ham", holdout=True) for i in range(6)]
    spam = row("s", "buy now", "spam", holdout=True)
    assert divided(*judged, spam, labels=("ham", "spam", "eggs")).notes == [
        "no held-out answers with label eggs: accuracy on these labels is unknown",
        "fewer than 5 held-out answers with label spam (1): too few to evaluate these labels",
    ]


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_answers_of_every_kind_train_unless_a_label_left_the_form(kind: str) -> None:
    family = FAMILIES[kind]
    spec = parse(kind, f"{YAML}  answer: [{', '.join(family.answer)}]\n" if family.answer else YAML, family.xml)
    rows = [row(f"{i}", f"{i * 7919} words", answer) for i, answer in enumerate(family.texts)]
    cut = divide(spec, make("text", {"field": "text"}), "text", rows)
    assert (keys(cut.training), cut.notes) == (keys(rows), [])


def test_answers_of_regions_with_a_label_that_left_the_form_are_left_out() -> None:
    spec = parse("cars", YAML, FAMILIES["regions"].xml)
    labels = ("car", "gone")
    rows = [row(label, f"{label} words", f'[{{"box":[1,2,3,4],"label":"{label}"}}]') for label in labels]
    cut = divide(spec, make("text", {"field": "text"}), "text", rows)
    assert keys(cut.training) == ["car"]
    assert cut.notes == ["1 answers left out, their labels are no longer in the labeling config: gone (1)"]


def test_answers_name_their_labels() -> None:
    label, several, spans = texts_spec(("ham", "[odd")).config, FAMILIES["labels"].config, FAMILIES["spans"].config
    assert labels_in(label, "[odd") == ["[odd"]
    assert labels_in(label, "gone") == ["gone"]
    assert labels_in(several, '["gone","ham"]') == ["gone", "ham"]
    assert labels_in(several, "[odd label") == ["[odd label"], "it cannot be read"
    assert labels_in(several, "[]") == []
    assert labels_in(spans, '[[0,4,"ham"],[7,9,"spam"]]') == ["ham", "spam"]


def test_an_answer_counts_as_much_as_it_is_sure() -> None:
    cut = divided(
        row("a", "one text"), row("b", "other words", reviewers=3), row("c", "third", agreement=2 / 3, reviewers=3)
    )
    alone, three, two_of_three = (taught.weight for taught in cut.training)
    assert three > alone > two_of_three > 0


@pytest.mark.parametrize("colour", [b"in colour", None])
def test_one_picture_under_two_addresses_is_a_copy_however_it_was_kept(colour: bytes | None) -> None:
    """The held-out one was kept in grey before the learner read colours, and the other one was not."""
    before, since = _uri(colour, b"grey"), _uri(colour, None if colour else b"grey")
    assert _copies([since], [_uri(b"another one", None), before]) == [1]
    assert _copies([since], [_uri(b"another one", b"grey")]) == [None]

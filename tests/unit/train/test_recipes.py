"""The choice of a recipe by the learner auto: repeatable, inside the training set, and by what the answers say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.texts.auto import CANDIDATES
from backend.train.recipes import MIN_COMPARED, RECIPE_FOLDS, lead
from backend.train.search import search
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem
from tests.support.data.learner_data import tickets


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    with one_thread:
        yield


def rows_of(texts: list[str], labels: list[str]) -> list[TrainingItem]:
    return [
        TrainingItem(str(i), str(i), {"item": text}, 1, label, 1.0)
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def some_tickets(n: int) -> list[TrainingItem]:
    data, labels = tickets(n)
    return rows_of([str(item["item"]) for item in data], labels)


def chosen(rows: list[TrainingItem], fixed: dict[str, Any] | None = None, limit_s: float = 1e9) -> Any:
    learner = make("auto", {"field": "item", **(fixed or {})})
    return search(learner, fixed or {}, rows, 3, limit_s, lambda *_: None)


def test_the_same_answers_and_seed_choose_the_same_and_the_version_says_what(tmp_path: Path) -> None:
    rows = some_tickets(60)
    (one, tried), (two, again) = chosen(rows), chosen(rows)
    assert tried == again
    assert one.params == two.params
    assert {name: one.params[name] for name in tried["chosen"]} == tried["chosen"]
    assert [x["params"]["recipe"] for x in tried["tried"]] == [x["recipe"] for x in CANDIDATES]
    assert (tried["answers"], tried["folds"]) == (60, RECIPE_FOLDS)

    def version(learner: Any) -> str:
        learner.fit([row.data for row in rows], [row.label for row in rows], np.random.default_rng(3))
        return models.store(tmp_path, "loop", learner).id

    first = version(one)
    stored = models.load(tmp_path, first)
    assert version(make(stored.name, stored.params)) == first, "a replay does not search again"


def test_the_choice_is_reported_in_plain_words() -> None:
    said = chosen(some_tickets(60))[1]["said"]
    assert said.startswith("the learner reads ")
    assert " of 60 answers are correct in cross-validation (" in said


def test_with_few_answers_or_a_recipe_in_loop_yaml_nothing_is_chosen() -> None:
    rows = some_tickets(MIN_COMPARED)
    learner, tried = chosen(rows[1:])
    assert (learner.params["recipe"], tried) == ("", None)
    learner, tried = chosen(rows, {"recipe": "words"})
    assert (learner.params["recipe"], tried) == ("words", None)
    two = make("auto", {"field": "item"}).fit([row.data for row in rows[:2]], ["a", "b"], np.random.default_rng(0))
    assert two.predict([rows[0].data, rows[1].data]).labels == ["a", "b"], "two answers are enough to train"


def test_without_time_or_groups_it_gives_up_and_says_why() -> None:
    rows = some_tickets(MIN_COMPARED)
    learner, tried = chosen(rows, limit_s=0)
    assert learner.params["recipe"] == ""
    assert "taken too much of the run's time" in tried["given_up"]
    together = [replace(row, group_key=str(i % 3)) for i, row in enumerate(rows)]
    assert "fewer than 5 groups of related items" in chosen(together)[1]["given_up"]
    assert "fewer than 2 labels" in chosen([replace(row, label="a") for row in rows])[1]["given_up"]


def test_words_are_chosen_where_the_meaning_says_nothing() -> None:
    """The label is in a code that no sentence model knows, in texts that are all about the same."""
    rng = np.random.default_rng(0)
    codes = [f"Q{i}X" for i in range(8)]
    drawn = rng.integers(0, len(codes), 160)
    texts = [f"please look at case {codes[i]} number {rng.integers(10_000)} of today" for i in drawn]
    learner, tried = chosen(rows_of(texts, [str(i % 2) for i in drawn]))
    right = {str(one["params"]): one["right"] for one in tried["tried"]}
    alone = max(one["right"] for one in tried["tried"] if one["params"]["recipe"] == "sentences")
    assert learner.params["recipe"] != "sentences"
    assert right[str(tried["chosen"])] > alone + 16


def test_frequent_labels_count_more_where_answers_contain_mistakes() -> None:
    rng = np.random.default_rng(0)
    rows = some_tickets(150)
    rare = [row for row in rows if row.label == "billing"][:12]
    common = [row for row in rows if row.label == "login"] + [row for row in rows if row.label == "shipping"]
    answers = [(row, "rare" if row in rare else "common") for row in [*rare, *common]]
    clean = [replace(row, label=label) for row, label in answers]
    wrong = [replace(row, label="rare" if rng.random() < 0.2 else row.label) for row in clean]
    assert chosen(wrong)[0].params["shares"] > 0.5


def test_few_answers_with_mistakes_are_followed_less_closely_than_without_a_choice() -> None:
    rng = np.random.default_rng(0)
    rows = some_tickets(90)
    labels = sorted({row.label for row in rows})
    answers = [replace(row, label=str(rng.choice(labels)) if rng.random() < 0.3 else row.label) for row in rows]
    learner, tried = chosen(answers)
    assert learner.params["C"] < make("auto", {"field": "item"}).params["C"]
    assert tried["tried"][0]["params"]["C"] < 1, "the first setting holds back"


def test_a_lead_of_one_standard_error_is_not_enough() -> None:
    """Two gains of 2 and 0 sum up to 2, and the standard error of the sum is 1.41."""
    assert lead(np.array([2.0, 0.0])) < 0
    assert lead(np.array([2.0, 1.0])) > 0
    assert lead(np.zeros(3)) == 0

"""Sentences and auto: what they refuse, and how frequent labels are taken to be."""

from __future__ import annotations

import numpy as np
import pytest

from backend.encode import encoder
from backend.learners import Learner, make
from backend.learners.of_spec import check
from backend.learners.texts.prior import prior
from labelloop.errors import Failed, SettingsError, SpecError
from labelloop.spec.folder import parse
from tests.support.review.opinions import XML

AMHARIC = ["ሰላም ለሁሉም", "መልካም ቀን ይሁን"]


def taught(name: str, texts: list[str], labels: list[str], **params: object) -> Learner:
    data = [{"item": text} for text in texts]
    return make(name, {"field": "item", **params}).fit(data, labels, np.random.default_rng(0))


@pytest.mark.parametrize("texts", [["", " "] * 3, ["!!", "??"] * 3])
def test_texts_without_a_letter_are_refused_in_words(texts: list[str]) -> None:
    with pytest.raises(Failed, match="none of the 6 texts has a letter or a digit"):
        taught("auto", texts, ["a", "b"] * 3)
    with pytest.raises(Failed, match=r"use-multilingual:\w+ knows no word of the 6 texts: the learner `text` reads"):
        taught("sentences", ["", " "] * 3, ["a", "b"] * 3)


def test_a_language_that_the_sentence_model_does_not_know_is_read_by_its_words() -> None:
    learner = taught("auto", AMHARIC * 3, ["a", "b"] * 3)
    assert learner.predict([{"item": text} for text in AMHARIC]).labels == ["a", "b"]


@pytest.mark.parametrize("name", ["auto", "sentences"])
def test_a_text_of_a_megabyte_counts_with_its_beginning_and_an_empty_text_is_predicted(name: str) -> None:
    learner = taught(name, ["my invoice is wrong", "where is my parcel"] * 3, ["a", "b"] * 3)
    long = "my invoice is wrong " * 50_000
    whole, part = (learner.predict([{"item": text}]).proba for text in (long, long[:100_000]))
    assert whole is not None
    assert part is not None
    np.testing.assert_array_equal(whole, part)
    assert learner.predict([{"item": ""}]).labels[0] in ("a", "b")


@pytest.mark.parametrize("name", ["auto", "sentences"])
def test_a_version_refuses_the_vectors_of_another_sentence_model(name: str) -> None:
    assert make(name, {"field": "item"}).params["encoder_id"] == encoder().id
    with pytest.raises(SettingsError, match=r"learner\.params\.encoder: the sentence model here is use-.*, and "):
        make(name, {"field": "item", "encoder_id": "use-multilingual:000000000000"})
    with pytest.raises(SettingsError, match=r"learner\.params\.encoder: "):
        make(name, {"field": "item", "encoder": "minilm"})


def test_an_unknown_recipe_and_naive_bayes_with_embeddings_are_refused() -> None:
    with pytest.raises(SpecError, match=r"learner\.params\.recipe: should be 'both', .*'forest'"):
        make("auto", {"field": "item", "recipe": "forest"})
    with pytest.raises(SpecError, match=r"learner\.params\.model: naive Bayes counts words"):
        make("text", {"field": "item", "model": "bayes", "embeddings": "/any"})


def test_the_prior_is_equal_where_few_answers_tell_nothing_and_the_share_where_many_do() -> None:
    np.testing.assert_allclose(prior(np.array([1] * 40 + [2] * 5)), 0, atol=0.02)
    np.testing.assert_allclose(prior(np.array([25, 25])), 0)
    many = np.exp(prior(np.array([900, 100])))
    assert many[0] == 1
    assert many[1] == pytest.approx(1 / 9, abs=0.01)


def test_the_shares_move_predictions_to_the_frequent_label() -> None:
    texts = ["good parcel", "bad parcel", "fine parcel", "nice parcel", "well parcel", "great parcel"]
    labels = ["a", "b", "a", "a", "a", "a"]
    item = [{"item": "parcel"}]
    equal, counted = (taught("auto", texts, labels, shares=share).predict(item).proba for share in (0.0, 1.0))
    assert equal is not None
    assert counted is not None
    assert counted[0, 0] > equal[0, 0]
    odds = [np.log(found[0, 0] / found[0, 1]) for found in (equal, counted)]
    assert odds[1] - odds[0] == pytest.approx(-prior(np.array([5, 1]))[1])


@pytest.mark.parametrize("name", ["auto", "sentences"])
def test_the_parameters_that_a_mistake_lists_are_those_for_people(name: str) -> None:
    with pytest.raises(SpecError, match=r"parameter \(did you mean 'encoder'\?\); there are: field, encoder, [^_]*$"):
        make(name, {"field": "item", "encoder_idd": "x"})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("C: 3", "learner.params.C: without a recipe each run chooses C itself: add `recipe` (both, sentences, words)"),
        ("words: 1.0", "learner.params.words: without a recipe each run chooses words itself: add `recipe` (both), or"),
        ("recipe: bayes, C: 3", "the recipe bayes does not use C; it takes no other parameter"),
        ("recipe: words, words: 1.0", "the recipe words does not use words; it takes C, sharpness, shares"),
        ("recipe: both, C: 3, words: 1.0, shares: 1.0", None),
        ("recipe: sentences, C: 10", None),
        ("encoder: ''", None),
    ],
)
def test_a_parameter_that_the_recipe_does_not_use_is_refused(params: str, said: str | None) -> None:
    yaml = f"feedback_loop:\n  trigger: margin < 0.1\n  learner: {{name: auto, params: {{{params}}}}}\n"
    spec = parse("texts", yaml, XML)
    if said is None:
        return check(spec)
    with pytest.raises(SpecError) as refused:
        check(spec)
    assert said in str(refused.value)

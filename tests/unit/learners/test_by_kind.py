"""What is particular to tables, committees, the incremental learner, embeddings and HOG."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from backend import models
from backend.learners import embedding, make
from backend.learners.calibrate import with_temperature
from backend.learners.incremental import AT_A_TIME, Incremental
from backend.learners.parts.hog import hog
from labelloop import strategies
from labelloop.errors import Failed, SettingsError, Unreadable
from labelloop.reading import evidence
from tests.support.data.learner_data import Data, parcels, points, tickets


def taught(name: str, data: Data, labels: list[str], **params: Any) -> Any:
    return make(name, {"field": "item", **params}).fit(data, labels, np.random.default_rng(0))


def test_a_table_takes_what_is_scalar_and_keeps_the_kinds_that_it_saw_first() -> None:
    data, labels = parcels()
    for i, row in enumerate(data):
        row.update({"id": f"n-{i}", "tags": ["x"], "labelloop_why": "margin 0.1", "fresh": i % 2 == 0, "empty": None})
    table = taught("tabular", data, labels).estimator[0]
    assert table.numbers_ == ["fresh", "item"]
    assert table.words_ == {"colour": ["blue", "green", "red"], "id": [], "note": ["fragile"]}


def test_missing_values_and_new_words_are_no_trouble() -> None:
    data, labels = parcels()
    learner = taught("tabular", data, labels)
    assert learner.predict([{"item": 8.5, "colour": "mauve"}]).labels == ["heavy"]
    assert learner.predict([{"item": None, "colour": "blue"}, {"colour": "blue", "more": [1]}]).labels == [
        "blue",
        "blue",
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"item": "much"}, "its field 'item' is not a number but str"),
        ({"item": 10**400}, "its field 'item' is no number to compute with"),
        ({"colour": 3}, "its field 'colour' is not a word but int"),
        ({"colour": {"name": "red"}}, "its field 'colour' is not a word but dict"),
        ({"weight": 3}, "it has none of the fields item, colour, note"),
    ],
)
def test_a_row_that_is_not_as_the_others_is_named(row: dict[str, object], reason: str) -> None:
    data, labels = parcels()
    learner = taught("tabular", data, labels)
    with pytest.raises(Unreadable, match=f"item 1: {reason}"):
        learner.predict([data[0], row])


def test_rows_without_anything_to_read_are_named_before_they_are_taught() -> None:
    with pytest.raises(Unreadable, match="item 0: no field holds numbers or words"):
        make("tabular", {"field": "item"}).check([{"item": [1]}, {"item": [2]}])


def test_a_megabyte_of_a_word_is_a_word_like_any_other() -> None:
    data, labels = parcels()
    data[0]["colour"] = "x" * 1_000_000
    assert taught("tabular", data, labels).predict(data[:1]).labels == [labels[0]] or labels[0] == "red"


def test_a_committee_disagrees_most_where_least_is_known_and_strategies_read_it() -> None:
    data, labels = points()
    learner = taught("committee", data, labels, reads="vectors", members=6)
    places = np.linspace(0, 2, 41)
    said = learner.predict([{"item": [float(place)] * 4} for place in places])
    for item, proba in zip(said.evidence, said.proba, strict=True):
        read = evidence.read(item)
        assert read is not None
        members = read["committee"]
        np.testing.assert_allclose(np.mean([list(member.values()) for member in members], axis=0), proba)
    utilities = np.array([strategies.from_evidence("vote_entropy", item, learner.classes) for item in said.evidence])
    between = np.abs(places % 1 - 0.5) < 0.2
    assert utilities[between].max() > 0
    assert not utilities[~between].any()
    assert learner.predict([]).proba.shape == (0, 3)
    tempered = with_temperature(learner, 2.0).predict([{"item": [0.5] * 4}])
    assert tempered.evidence == learner.predict([{"item": [0.5] * 4}]).evidence
    assert tempered.confidences[0] < learner.predict([{"item": [0.5] * 4}]).confidences[0]


def test_an_incremental_learner_that_goes_on_is_one_that_learned_all_at_once() -> None:
    data, labels = tickets(3 * AT_A_TIME)
    weights = [0.5 + i / 1000 for i in range(len(data))]
    rng = np.random.default_rng
    some = slice(0, 2 * AT_A_TIME)
    rest = slice(2 * AT_A_TIME, None)
    once = Incremental("item").fit(data, labels, rng(0), weights)
    on = (
        Incremental("item")
        .fit(data[some], labels[some], rng(0), weights[some])
        .teach(data[rest], labels[rest], weights[rest])
    )
    np.testing.assert_array_equal(once.predict(data).proba, on.predict(data).proba)
    with pytest.raises(Failed, match="'refunds' is a new label: fit anew; known are billing, login, shipping"):
        on.teach(data[:1], ["refunds"])


def test_an_incremental_learner_that_was_stored_can_go_on(tmp_path: Path) -> None:
    data, labels = tickets(2 * AT_A_TIME)
    half = slice(0, AT_A_TIME)
    learner = Incremental("item").fit(data[half], labels[half], np.random.default_rng(0))
    back: Any = models.load(tmp_path, models.store(tmp_path, "loop", learner).id)
    rest = slice(AT_A_TIME, None)
    back.teach(data[rest], labels[rest])
    once = Incremental("item").fit(data, labels, np.random.default_rng(0))
    np.testing.assert_array_equal(once.predict(data).proba, back.predict(data).proba)


@pytest.fixture
def model2vec_folder(tmp_path: Path) -> Path:
    """A real model of six words: money and entrance are far apart, what means the same is near."""
    from model2vec import StaticModel

    words = ["[UNK]", "invoice", "bill", "password", "login", "the"]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.array([[0, 0], [1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1], [0, 0]], dtype=np.float32)
    folder = tmp_path / "vectors"
    StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


TWO: Data = [{"item": "the invoice"}, {"item": "the password"}] * 3


def test_an_embedding_knows_words_that_nobody_was_asked_about(model2vec_folder: Path, tmp_path: Path) -> None:
    learner = taught("text", TWO, ["money", "door"] * 3, embeddings=str(model2vec_folder), characters=False)
    assert learner.predict([{"item": "bill"}, {"item": "login"}]).labels == ["money", "door"]
    back = models.load(tmp_path, models.store(tmp_path, "loop", learner).id)
    np.testing.assert_array_equal(back.predict(TWO).proba, learner.predict(TWO).proba)
    assert taught("committee", TWO, ["money", "door"] * 3, embeddings=str(model2vec_folder)).params["embeddings"]


def test_a_version_answers_by_no_other_vectors_than_it_learned_from(model2vec_folder: Path, tmp_path: Path) -> None:
    learner = taught("text", TWO, ["money", "door"] * 3, embeddings=str(model2vec_folder))
    version = models.store(tmp_path, "loop", learner).id
    weights = model2vec_folder / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    embedding.model.cache_clear()
    with pytest.raises(Failed, match=r"cannot serve here: learner\.params\.embeddings: .* and \w{12} is wanted"):
        models.load(tmp_path, version)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("potion", "is the absolute path of a model2vec model's folder, not 'potion'"),
        ("/nowhere/potion", r"holds no model2vec model, config.json cannot be read: No such file"),
    ],
)
def test_embeddings_that_are_not_there_are_refused(folder: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        make("text", {"field": "item", "embeddings": folder})


def test_without_model2vec_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(SettingsError, match=r"pip install 'labelloop\[embeddings\]'"):
        make("text", {"field": "item", "embeddings": "/any"})


def test_hog_sees_edges_and_not_the_light() -> None:
    grey = np.zeros((32, 32))
    grey[:, 16:] = 1.0
    upright = hog(grey)
    assert upright.shape == (9 * 4 * 9,)
    np.testing.assert_allclose(hog(0.2 + 0.5 * grey), upright, atol=1e-3)
    np.testing.assert_allclose(hog(1 - grey), upright, atol=1e-9)
    assert np.abs(hog(grey.T) - upright).max() > 0.3
    assert not hog(np.ones((32, 32))).any()


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ("0.1 0.2", "is not a list of numbers but str"),
        ([], "is not a list of numbers but list"),
        ([0.1, None, 0.3, 0.4], "holds what is not a finite number"),
        ([0.1, 10**400, 0.3, 0.4], "holds what is not a finite number"),
        ([0.1, 0.2], "has 2 numbers, not 4"),
    ],
)
def test_a_vector_that_cannot_be_compared_is_named(vector: object, reason: str) -> None:
    data, labels = points(30)
    for learner in (make("vectors", {"field": "item"}), taught("vectors", data, labels)):
        with pytest.raises(Unreadable, match=f"item 2: its field 'item' {reason}"):
            learner.check([*data[:2], {"item": vector}])

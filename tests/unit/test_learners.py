"""One behaviour suite for all learners, and what is particular to each."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from backend.learners import LEARNERS, Learner, make
from backend.learners.said import Floats
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.features import open_image

Data = list[dict[str, object]]


def picture(pixels: Sequence[Sequence[float]], scale: int = 1, form: str = "PNG") -> str:
    """A data: URI; `pixels` 0 (paper) to 1 (ink)."""
    grey = np.kron(255 * (1 - np.asarray(pixels)), np.ones((scale, scale))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def digits(n: int = 120) -> tuple[Data, list[str]]:
    images, targets = load_digits(return_X_y=True)
    pixels = (images / 16).reshape(-1, 8, 8)
    return [{"item": picture(p), "n": i} for i, p in enumerate(pixels[:n])], [str(t) for t in targets[:n]]


def tickets(n: int = 120) -> tuple[Data, list[str]]:
    topics = {
        "billing": ["invoice", "refund", "charged twice", "credit card"],
        "login": ["password", "cannot sign in", "locked account", "reset link"],
        "shipping": ["parcel", "delivery is late", "tracking number", "courier"],
    }
    names = sorted(topics)
    labels = [names[i % 3] for i in range(n)]
    texts = [f"Hello, about my {topics[label][i % 4]}, case {i}" for i, label in enumerate(labels)]
    return [{"item": text} for text in texts], labels


@dataclass(frozen=True)
class Case:
    name: str
    items: Callable[[], tuple[Data, list[str]]]
    bad: object


CASES = [Case("images", digits, "data:image/png;base64,AAAA"), Case("text", tickets, 12)]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def fitted(case: Case, seed: int = 0) -> Learner:
    data, labels = case.items()
    return make(case.name, {"field": "item"}).fit(data, labels, np.random.default_rng(seed))


def proba_of(learner: Learner, data: Data) -> Floats:
    found = learner.say(data).proba
    assert found is not None
    return found


def test_every_learner_has_a_case() -> None:
    of_others = {"label-studio-ml", "remote"}  # test_hosted.py and test_remote.py
    assert {case.name for case in CASES} == set(LEARNERS) - of_others - {"multilabel", "numbers", "spans"}


def test_probabilities_have_a_column_a_class_and_sum_to_one(case: Case) -> None:
    data, labels = case.items()
    learner = fitted(case)
    proba = proba_of(learner, data)
    assert learner.classes == tuple(sorted(set(labels)))
    assert proba.shape == (len(data), len(learner.classes))
    assert proba.dtype == np.float64
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba_of(learner, []).shape == (0, len(learner.classes))


def test_it_learns(case: Case) -> None:
    data, labels = case.items()
    learner = make(case.name, {"field": "item"}).fit(data[:80], labels[:80], np.random.default_rng(0))
    said = [learner.classes[i] for i in proba_of(learner, data[80:]).argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(said, labels[80:], strict=True)]) > 0.8


def test_an_item_is_judged_alike_alone_and_among_others(case: Case) -> None:
    data, _ = case.items()
    learner = fitted(case)
    np.testing.assert_allclose(proba_of(learner, data[3:4])[0], proba_of(learner, data)[3], atol=1e-9)


def test_the_same_seed_and_data_teach_the_same(case: Case) -> None:
    data, _ = case.items()
    np.testing.assert_array_equal(proba_of(fitted(case), data), proba_of(fitted(case), data))


def test_fitting_again_forgets_what_was_learned_before(case: Case) -> None:
    data, labels = case.items()
    learner = fitted(case)
    kept = [i for i, label in enumerate(labels) if label in learner.classes[:2]]
    learner.fit([data[i] for i in kept], [labels[i] for i in kept], np.random.default_rng(0))
    assert learner.classes == tuple(sorted({labels[i] for i in kept}))


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_nothing_to_tell_apart_is_refused_in_words(case: Case, labels: list[str]) -> None:
    data, _ = case.items()
    with pytest.raises(Failed, match="at least 2 different labels"):
        make(case.name, {"field": "item"}).fit(data[: len(labels)], labels, np.random.default_rng(0))


def test_items_that_cannot_be_read_are_named_all_at_once(case: Case) -> None:
    data, labels = case.items()
    data[4], data[7] = {"item": case.bad}, {"other": 1}
    learner = fitted(case)
    for use in (
        lambda: learner.check(data),
        lambda: proba_of(learner, data),
        lambda: learner.fit(data, labels, np.random.default_rng(0)),
    ):
        with pytest.raises(Unreadable, match=r"item 4: its field 'item' .*\(and 1 more\)") as raised:
            use()
        assert set(raised.value.faults) == {4, 7}


def test_an_unknown_learner_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"no learner 'magic'; there are: .*images, .*text"):
        make("magic", {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not a data: URI"),
        ("https://example.org/cat.png", "not a data: URI"),
        ("data:image/png,abc", "not base64"),
        ("data:image/png;base64,####", "not valid base64"),
        ("data:image/png;base64,iVBORw0KGgo=", "does not load"),
        (picture(np.zeros((8, 8)).tolist(), form="TIFF"), "does not load"),
        (picture(np.zeros((8, 8)).tolist(), scale=600), "more than 20000000"),
    ],
)
def test_what_is_not_a_picture_is_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        open_image(value)


def test_the_size_of_the_scan_and_a_transparent_background_change_nothing() -> None:
    data, labels = digits(100)
    learner = make("images", {"field": "item"}).fit(data, labels, np.random.default_rng(0))
    pixels = (load_digits().data[0] / 16).reshape(8, 8)
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 3] = np.round(255 * pixels)
    file = io.BytesIO()
    Image.fromarray(ink, "RGBA").save(file, "PNG")
    transparent = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    proba = proba_of(learner, [data[0], {"item": picture(pixels.tolist(), scale=9)}, {"item": transparent}])
    np.testing.assert_allclose(proba[1], proba[0], atol=0.02)
    np.testing.assert_allclose(proba[2], proba[0], atol=0.02)


def test_texts_without_a_single_word_are_refused_in_words() -> None:
    with pytest.raises(Failed, match="cannot be learned from"):
        make("text", {"field": "t", "characters": False}).fit(
            [{"t": " "}, {"t": "\t"}], ["a", "b"], np.random.default_rng(0)
        )


def test_a_text_of_a_megabyte_is_learned_from_and_judged() -> None:
    data: Data = [{"t": "spam " * 200_000}, {"t": "ham and eggs"}, {"t": "more spam"}, {"t": "ham"}]
    learner = make("text", {"field": "t"}).fit(data, ["spam", "ham"] * 2, np.random.default_rng(0))
    assert learner.classes == ("ham", "spam")

"""One behaviour suite for all learners of single labels."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from backend import models
from backend.learners import LEARNER_CLASSES, Learner, make
from backend.learners.predictions import Floats
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.selection.features import open_image
from tests.support.data.learner_data import Data, digits, parcels, picture, points, tickets


@dataclass(frozen=True)
class Case:
    name: str
    items: Callable[[], tuple[Data, list[str]]]
    bad: object
    params: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Learner:
        return make(self.name, {"field": "item", **self.params})


NO_IMAGE = "data:image/png;base64,AAAA"
TABLE = {"fields": ["item", "colour", "note"]}
CASES = [
    Case("auto", tickets, ["a text"]),
    Case("auto", tickets, ["a text"], {"recipe": "bayes"}),
    Case("auto", tickets, ["a text"], {"recipe": "sentences", "shares": 0.5, "sharpness": 2.0}),
    Case("committee", tickets, ["a text"], {"members": 3}),
    Case("committee", points, ["a"], {"members": 2, "reads": "vectors"}),
    Case("estimator", parcels, "much", {"path": "sklearn.tree.DecisionTreeClassifier", "reads": "tabular", **TABLE}),
    Case("sklearn.ensemble.RandomForestClassifier", digits, NO_IMAGE, {"n_estimators": 20, "reads": "images"}),
    Case("images", digits, NO_IMAGE),
    Case("images", digits, NO_IMAGE, {"features": "hog"}),
    Case("incremental", tickets, ["a text"]),
    Case("tabular", parcels, "much", TABLE),
    Case("sentences", tickets, ["a text"]),
    Case("text", tickets, ["a text"]),
    Case("text", tickets, ["a text"], {"model": "bayes"}),
    Case("vectors", points, [1.0, "a"]),
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join([case.name, *map(str, case.params.values())]))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def fitted(case: Case, seed: int = 0) -> Learner:
    data, labels = case.items()
    return case.make().fit(data, labels, np.random.default_rng(seed))


def proba_of(learner: Learner, data: Data) -> Floats:
    found = learner.predict(data).proba
    assert found is not None
    return found


def test_every_learner_has_a_case() -> None:
    of_others = {"label-studio-ml", "remote"}  # test_hosted.py and test_remote.py
    structured = {"multilabel", "numbers", "spans"}  # test_structured_learners.py
    assert {case.make().name for case in CASES} == set(LEARNER_CLASSES) - of_others - structured


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
    learner = case.make().fit(data[:80], labels[:80], np.random.default_rng(0))
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


def test_weights_change_what_is_learned(case: Case) -> None:
    """The answer with more weight is learned if two answers about the same items differ."""
    data, labels = case.items()
    classes = sorted(set(labels))
    other = dict(zip(classes, [*classes[1:], classes[0]], strict=True))
    swapped = [other[label] for label in labels]
    many, few = [1.0] * len(data), [0.05] * len(data)
    for weights, wanted in (([*many, *few], labels), ([*few, *many], swapped)):
        said = (
            case.make().fit([*data, *data], [*labels, *swapped], np.random.default_rng(0), weights).predict(data).labels
        )
        assert np.mean([a == b for a, b in zip(said, wanted, strict=True)]) > 0.7


def test_a_rare_label_is_still_found(case: Case) -> None:
    data, labels = case.items()
    rare = max(labels)
    kept = [i for i, label in enumerate(labels) if label != rare] + [i for i, x in enumerate(labels) if x == rare][:5]
    learner = case.make().fit([data[i] for i in kept], [labels[i] for i in kept], np.random.default_rng(0))
    found = [s == rare for s, label in zip(learner.predict(data).labels, labels, strict=True) if label == rare]
    assert np.mean(found) > 0.5


ELSEWHERE = """
import json, pathlib, tempfile
from backend import models
from tests.unit.learners.test_learners import CASES, fitted
folder = pathlib.Path(tempfile.mkdtemp())
print(json.dumps([models.store(folder, "loop", fitted(case)).id for case in CASES]))
"""


@pytest.fixture(scope="module")
def elsewhere() -> list[str]:
    """The version that another process makes of each case."""
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, check=True, text=True)
    versions: list[str] = json.loads(done.stdout)
    return versions


@pytest.mark.slow
def test_another_process_makes_the_same_bytes_and_they_come_back_as_it_was(
    case: Case, elsewhere: list[str], tmp_path: Path
) -> None:
    data, _ = case.items()
    learner = fitted(case)
    version = models.store(tmp_path, "loop", learner).id
    assert version == elsewhere[CASES.index(case)]
    back = models.load(tmp_path, version)
    assert (back.name, back.params, back.classes) == (learner.name, learner.params, learner.classes)
    np.testing.assert_array_equal(proba_of(back, data), proba_of(learner, data))


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_nothing_to_tell_apart_is_refused_in_words(case: Case, labels: list[str]) -> None:
    data, _ = case.items()
    with pytest.raises(Failed, match="at least 2 different labels"):
        case.make().fit(data[: len(labels)], labels, np.random.default_rng(0))


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
    with pytest.raises(SpecError, match=r"no learner 'magic'; there are: none, auto, .*such as sklearn.svm.SVC"):
        make("magic", {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not a data: URI"),
        ("https://example.org/cat.png", "an address that is not fetched: learner.fetch"),
        ("data:image/png,abc", "not base64"),
        ("data:image/png;base64,####", "not valid base64"),
        ("data:image/png;base64,iVBORw0KGgo=", "does not load"),
        (picture(np.zeros((8, 8)).tolist(), form="TIFF"), "does not load"),
        (picture(np.zeros((8, 8)).tolist(), scale=600), "more than 20000000"),
    ],
)
def test_a_value_that_is_not_a_picture_is_refused_with_the_reason(value: object, reason: str) -> None:
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
    with pytest.raises(Failed, match=r"training on the \d+ items failed"):
        make("text", {"field": "t", "characters": False}).fit(
            [{"t": " "}, {"t": "\t"}], ["a", "b"], np.random.default_rng(0)
        )


def test_a_text_of_a_megabyte_is_learned_from_and_judged() -> None:
    data: Data = [{"t": "spam " * 200_000}, {"t": "ham and eggs"}, {"t": "more spam"}, {"t": "ham"}]
    learner = make("text", {"field": "t"}).fit(data, ["spam", "ham"] * 2, np.random.default_rng(0))
    assert learner.classes == ("ham", "spam")


def test_a_parameter_that_a_learner_needs_is_named_where_it_is_missing() -> None:
    with pytest.raises(SpecError, match=r"learner\.params: 'url' is missing; there are: field, .*url, protocol"):
        make("remote", {"field": "text", "label_config": "<View/>"})

"""scikit-learn's probabilities, from models that are really fitted, become outputs that the intake takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier

from labelloop.adapters import sklearn
from labelloop.errors import InvalidOutput, UsageError
from tests.support.data.payloads import SEVERAL, lanes_of

LABELS = ["billing", "delivery", "other"]
X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.array(LABELS)[np.argmax(X[:, :3], axis=1)]
MATRIX = (X[:, :3] > 0).astype(int)
FRAME = pd.DataFrame({"text": [f"text {i}" for i in range(60)], "age": [np.nan, *range(59)]})
KEYS = pd.Series([f"ticket/{i}" for i in range(60)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_probabilities_of_every_width_are_taken(dtype: Any) -> None:
    model = LogisticRegression().fit(X, Y)
    proba = model.predict_proba(X).astype(dtype)
    rows = lanes_of(sklearn.outputs(model, proba, KEYS, FRAME, model_version="v7"))
    assert [row.placement.label for row in rows.values()] == model.predict(X).tolist()
    first = rows["ticket/0"].output
    assert first.probabilities == pytest.approx(dict(zip(LABELS, model.predict_proba(X)[0], strict=True)), abs=2e-3)
    assert (first.data, first.model_version) == ({"text": "text 0", "age": None}, "v7")


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (np.array([0, 1]), ["0", "1"]),
        (np.array([False, True]), ["False", "True"]),
        (np.array([0.0, 1.0]), ["0", "1"]),
        (np.array(["no", "yes"], dtype=object), ["no", "yes"]),
        (pd.Index(["no", "yes"]), ["no", "yes"]),
        (pd.Categorical(["no", "yes"]), ["no", "yes"]),
    ],
)
def test_labels_of_every_type_become_the_texts_of_a_form(classes: Any, names: list[str]) -> None:
    (output,) = sklearn.outputs(classes, [[0.25, 0.75]], [17], ["a text"])
    assert (output.key, output.data, output.probabilities) == (
        "17",
        {"text": "a text"},
        {names[0]: 0.25, names[1]: 0.75},
    )


def test_the_probability_of_the_second_of_two_classes_is_enough() -> None:
    for proba in (np.array([0.75]), np.array([[0.75]]), pd.Series([0.75])):
        (output,) = sklearn.outputs(["no", "yes"], proba, ["k"], ["t"])
        assert output.probabilities == {"no": 0.25, "yes": 0.75}


def test_a_frame_of_probabilities_names_its_classes() -> None:
    (output,) = sklearn.outputs(None, pd.DataFrame({"no": [0.25], "yes": [0.75]}), ["k"], ["t"])
    assert output.probabilities == {"no": 0.25, "yes": 0.75}
    with pytest.raises(UsageError, match="give the model or its classes_"):
        next(sklearn.outputs(None, [[0.25, 0.75]], ["k"], ["t"]))


@pytest.mark.parametrize(
    "model",
    [
        OneVsRestClassifier(LogisticRegression()),
        MultiOutputClassifier(LogisticRegression()),
        RandomForestClassifier(n_estimators=5, random_state=0),
        ClassifierChain(LogisticRegression()),
    ],
    ids=["one-vs-rest", "multi-output", "forest", "chain"],
)
def test_several_labels_are_independent_of_each_other(model: Any) -> None:
    proba = model.fit(X, MATRIX).predict_proba(X)
    made = list(sklearn.outputs(model, proba, KEYS, FRAME, labels=LABELS))
    rows = lanes_of(made, SEVERAL)
    first = made[0].evidence
    assert first is not None
    assert list(first["labels"]) == LABELS
    wanted = [proba[i][0][1] for i in range(3)] if isinstance(proba, list) else proba[0].tolist()
    assert list(first["labels"].values()) == pytest.approx(wanted)
    assert all(row.placement.confidence is not None for row in rows.values())


def test_a_label_that_all_training_items_had_has_one_column() -> None:
    model = MultiOutputClassifier(DummyClassifier()).fit(X, np.column_stack([MATRIX[:, 0], np.ones(60), np.zeros(60)]))
    made = next(sklearn.outputs(model, model.predict_proba(X), KEYS, FRAME, labels=LABELS))
    assert made.evidence is not None
    assert list(made.evidence["labels"].values())[1:] == [1.0, 0.0]


def test_what_does_not_fit_is_refused_in_words() -> None:
    two = [[0.25, 0.75], [0.5, 0.5]]
    for keys, data, classes, proba, words in (
        (["a"], ["x", "y"], ["n", "y"], two, "keys has 1 items, and there are 2 predictions"),
        (["a", "b"], ["x"], ["n", "y"], two, "data has 1 items"),
        (["a", "b"], ["x", "y"], ["n", "y", "z"], two, "proba has 2 columns, and there are 3 classes"),
        (["a", "b"], [1, 2], ["n", "y"], two, "the data of output 'a' is a int"),
        ([1.0, 2.0], ["x", "y"], ["n", "y"], two, "the key of item 0 is 1.0"),
        (["a", "b"], ["x", "y"], [1, 1.0], two, "two classes are named '1'"),
        (["a", "b"], ["x", "y"], ["n", "y"], [["x", "y"], ["x", "y"]], "proba must hold numbers"),
        (["a", "b"], ["x", "y"], ["n", "y"], [two, [[0.1, 0.2, 0.7]] * 2], "output 1 of the model has 3 classes"),
    ):
        with pytest.raises(UsageError, match=words):
            list(sklearn.outputs(classes, proba, keys, data))
    model = MultiOutputClassifier(LogisticRegression()).fit(X, MATRIX)
    with pytest.raises(UsageError, match="have no names: pass labels="):
        list(sklearn.outputs(model, model.predict_proba(X), KEYS, FRAME))
    for row, words in (([0.9, 0.9], "pass several=True"), ([float("nan"), 0.5], "is nan")):
        with pytest.raises(InvalidOutput, match=rf"{words}.* \(output 'k'\)"):
            list(sklearn.outputs(["n", "y"], [row], ["k"], ["t"]))


def test_a_model_without_probabilities_sends_its_labels_to_people() -> None:
    predicted = np.array(["billing", "other"], dtype=object)
    rows = lanes_of(sklearn.labels_only(predicted, ["a", "b"], ["x", "y"]))
    assert [row.placement.confidence for row in rows.values()] == [None, None]
    assert all(row.placement.triggered for row in rows.values())
    one = DummyClassifier().fit(X, ["billing"] * 60)
    (alone,) = sklearn.outputs(one, one.predict_proba(X[:1]), ["k"], ["t"])
    assert (alone.label, alone.confidence, alone.probabilities) == ("billing", None, None), "it knows one class"


def test_adapters_import_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; from labelloop.adapters import mlflow, openai, otlp, sklearn, spacy, transformers; "
        "heavy = set('click httpx mlflow numpy pandas pydantic sklearn yaml'.split()); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_frame_with_the_classes_in_another_order_is_refused_and_never_read_by_position() -> None:
    model = LogisticRegression().fit(X, Y)
    proba = pd.DataFrame(model.predict_proba(X), columns=model.classes_)
    turned = proba[["other", "billing", "delivery"]]
    with pytest.raises(UsageError, match="the columns of proba are other, billing, delivery"):
        list(sklearn.outputs(model, turned, KEYS, FRAME))
    right = list(sklearn.outputs(model, proba, KEYS, FRAME))
    none = list(sklearn.outputs(None, turned, KEYS, FRAME))
    assert [one.probabilities for one in right] == [one.probabilities for one in none]


@pytest.mark.filterwarnings("ignore:.*converged")
def test_a_network_with_several_labels_gives_each_its_own_probability() -> None:
    model = MLPClassifier(max_iter=5).fit(X, MATRIX)
    (first, *_) = sklearn.outputs(model, model.predict_proba(X), KEYS, FRAME, labels=LABELS)
    assert first.evidence == {"labels": dict(zip(LABELS, model.predict_proba(X)[0].tolist(), strict=True))}
    assert (first.label, first.probabilities) == (None, None)

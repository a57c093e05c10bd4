"""Any classifier of scikit-learn as a learner: its faults are reported before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.of_spec import check
from labelloop.errors import Failed, SpecError
from tests.support.backend_factory import texts_spec
from tests.support.data.learner_data import Data, points, tickets


@pytest.mark.parametrize(
    ("path", "params", "reason"),
    [
        ("sklearn.svm.SVCC", {}, r"cannot be imported: module 'sklearn.svm' has no attribute 'SVCC'"),
        ("sklearn.trees.DecisionTreeClassifier", {}, "cannot be imported: No module named 'sklearn.trees'"),
        ("xgboost.XGBClassifier", {}, "not an import path in scikit-learn, such as sklearn.svm.SVC"),
        ("os.system", {}, "not an import path in scikit-learn"),
        ("sklearn.svm._classes.SVC", {}, "not an import path in scikit-learn"),
        ("sklearn.base.ClassifierMixin", {}, "is not an estimator"),
        ("sklearn.linear_model.Ridge", {}, "is not a classifier"),
        ("sklearn.svm.SVC", {"gama": 1}, "^learner.params.gama: .* takes no such parameter; it takes: C, .*gamma"),
        ("sklearn.tree.DecisionTreeClassifier", {"criterion": "best"}, "'criterion' parameter .* must be a str among"),
        (
            "sklearn.tree.DecisionTreeClassifier",
            {"max_depth": -1},
            r"'max_depth' parameter .* must be an int in the range",
        ),
        ("sklearn.ensemble.VotingClassifier", {}, "missing 1 required positional argument: 'estimators'"),
        (
            "sklearn.svm.LinearSVC",
            {},
            r"has no predict_proba.*CalibratedClassifierCV .* \{name: sklearn.svm.LinearSVC\}",
        ),
        ("sklearn.linear_model.SGDClassifier", {"loss": "hinge"}, "with these parameters has no predict_proba"),
        ("sklearn.tree.DecisionTreeClassifier", {"reads": "sounds"}, "no 'sounds'; there are: images, tabular, text"),
        ("sklearn.tree.DecisionTreeClassifier", {"characters": 3}, "characters: should be a valid boolean, not 3"),
        ("sklearn.calibration.CalibratedClassifierCV", {"estimator": {"name": "os.system"}}, "not an import path"),
        (
            "sklearn.calibration.CalibratedClassifierCV",
            {"estimator": {"name": "sklearn.svm.LinearSVC", "params": {"C": -1}}},
            r"^learner\.params\.estimator\.params\.C: .* must be a float in the range",
        ),
    ],
)
def test_a_faulty_classifier_is_refused_when_the_loop_is_registered(
    path: str, params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        make(path, {"field": "item", **params})
    spec = texts_spec()
    learner = spec.learner.model_copy(update={"name": path, "params": params})
    with pytest.raises(SpecError, match=reason):
        check(spec.model_copy(update={"learner": learner}))


def test_parameters_of_the_former_default_name_the_learner_to_write() -> None:
    spec = texts_spec()
    learner = spec.learner.model_copy(update={"name": "auto", "params": {"characters": False}})
    with pytest.raises(
        SpecError, match=r"learner.params.characters: no such parameter.*; these are parameters .* write name: text$"
    ):
        check(spec.model_copy(update={"learner": learner}))
    with pytest.raises(SpecError, match=r"shares$"):
        check(spec.model_copy(update={"learner": learner.model_copy(update={"params": {"charm": 1}})}))


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        (
            "text",
            {"charcters": True},
            r"charcters: no such parameter \(did you mean 'characters'\?\); there are: field",
        ),
        ("images", {"features": "sift"}, "features: should be 'pixels', 'hog' or 'pretrained', not 'sift'"),
        ("committee", {"members": 1}, "members: should be greater than or equal to 2, not 1"),
        ("incremental", {"reads": "images"}, "learner.params.reads: no such parameter"),
        ("tabular", {"fields": "age"}, "fields: "),
    ],
)
def test_a_parameter_that_a_learner_does_not_take_is_named(name: str, params: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        make(name, {"field": "item", **params})


def test_a_classifier_without_probabilities_learns_inside_one_that_has_them(tmp_path: Path) -> None:
    params = {"estimator": {"name": "sklearn.svm.LinearSVC", "params": {"C": 0.5}}, "characters": False}
    data, labels = tickets()
    learner = make("sklearn.calibration.CalibratedClassifierCV", {"field": "item", **params})
    learner.fit(data, labels, np.random.default_rng(0))
    back = models.load(tmp_path, models.store(tmp_path, "loop", learner).id)
    assert back.params == learner.params
    assert back.predict(data).labels == learner.predict(data).labels == labels


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 3}),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 3}),
        ("sklearn.ensemble.ExtraTreesClassifier", {"n_estimators": 3}),
        ("sklearn.neighbors.KNeighborsClassifier", {"algorithm": "ball_tree"}),
        ("sklearn.neural_network.MLPClassifier", {"hidden_layer_sizes": [4], "max_iter": 5}),
        ("sklearn.naive_bayes.GaussianNB", {}),
        ("sklearn.linear_model.LogisticRegression", {"C": 3.0}),
        ("sklearn.discriminant_analysis.LinearDiscriminantAnalysis", {}),
    ],
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_usual_classifiers_are_stored_and_come_back(path: str, params: dict[str, Any], tmp_path: Path) -> None:
    data, labels = points(60)
    learner = make(path, {"field": "item", "reads": "vectors", **params}).fit(data, labels, np.random.default_rng(0))
    back = models.load(tmp_path, models.store(tmp_path, "loop", learner).id)
    np.testing.assert_array_equal(back.predict(data).proba, learner.predict(data).proba)
    assert back.params == learner.params
    assert {**params, "path": path}.items() <= back.params.items(), "its own, not those of the learner that sees"


def test_what_may_not_be_loaded_is_named_before_it_can_serve_and_leaves_no_file(tmp_path: Path) -> None:
    data, labels = points(30)
    learner = make("sklearn.gaussian_process.GaussianProcessClassifier", {"field": "item", "reads": "vectors"})
    learner.fit(data, labels, np.random.default_rng(0))
    with pytest.raises(Failed, match=r"types that we do not trust: .*sklearn\.gaussian_process\.kernels\.RBF"):
        models.store(tmp_path, "loop", learner)
    assert not list(tmp_path.iterdir())


def test_what_the_classifier_itself_refuses_is_a_verdict_in_its_words() -> None:
    data: Data = [{"item": "a b"}, {"item": "c d"}]
    learner = make("sklearn.naive_bayes.GaussianNB", {"field": "item"})
    with pytest.raises(Failed, match=r"items failed: sklearn\.naive_bayes\.GaussianNB: Sparse data"):
        learner.fit(data, ["x", "y"], np.random.default_rng(0))


def test_the_run_seeds_a_classifier_that_has_no_seed() -> None:
    data, labels = points()

    def trees(seed: int, **params: Any) -> Any:
        learner = make(
            "sklearn.ensemble.ExtraTreesClassifier", {"field": "item", "reads": "vectors", "n_estimators": 5, **params}
        )
        return learner.fit(data[:60], labels[:60], np.random.default_rng(seed)).predict([{"item": [0.5] * 4}]).proba

    assert (trees(1) == trees(1)).all()
    assert any((trees(1) != trees(seed)).any() for seed in range(2, 9))
    assert all((trees(1, random_state=7) == trees(seed, random_state=7)).all() for seed in range(2, 4))

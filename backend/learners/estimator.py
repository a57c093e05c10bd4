"""Estimator: any scikit-learn classifier by its import path, as `learner: {name: sklearn.svm.SVC, ...}`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils._param_validation import InvalidParameterError

from backend.learners.refit import weighed_fit
from backend.learners.through import FEATURIZERS, Through
from labelloop.errors import SpecError

PUBLIC = re.compile(r"sklearn(\.[a-z][a-z_]*)+\.[A-Z]\w*")
"""Import paths in scikit-learn only: an import runs code, and a version's file names the path that is imported."""


class Estimator(Through):
    """`path` is the class; parameters that the featurizer does not take are the class's, and are checked at once.

    A parameter may be an estimator itself: {name: sklearn.svm.LinearSVC, params: {C: 0.5}}. A random_state that is not
    set gets the run's seed. If `fit` takes no sample weights, all answers count alike.
    """

    name: ClassVar[str] = "estimator"

    def __init__(self, field: str, path: str, reads: str = "text", **params: Any) -> None:
        of_featurizer = FEATURIZERS[reads].featurizer_params if reads in FEATURIZERS else ()
        super().__init__(field, reads, {name: value for name, value in params.items() if name in of_featurizer})
        self.own = {name: value for name, value in params.items() if name not in of_featurizer}
        self.path = path
        made = self._made()
        if not hasattr(made, "predict_proba"):
            raise SpecError(
                f"learner.name: {path} with these parameters has no predict_proba, and outputs cannot be ranked "
                "without probabilities; use sklearn.calibration.CalibratedClassifierCV with the parameter estimator: "
                f"{{name: {path}}}"
            )

    @property
    def params(self) -> Mapping[str, Any]:
        names = ("field", "reads", *self.featurizer.featurizer_params)
        of_featurizer = {name: value for name, value in super().params.items() if name in names}
        return {**of_featurizer, "path": self.path, **self.own}

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        made = self._made()
        unset = {
            name: seed
            for name, value in made.get_params().items()
            if value is None and name.rpartition("__")[2] == "random_state"
        }
        return made.set_params(**unset)

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        try:
            return weighed_fit(self.build(features, seed), features, codes, weights)
        except MemoryError:
            raise
        except Exception as exc:  # any error of the user's estimator is a fault of that choice
            raise ValueError(f"{self.path}: {exc}") from exc

    def _made(self) -> Any:
        return _estimator(self.path, self.own)


def _estimator(path: str, params: Mapping[str, Any], key: str = "learner") -> Any:
    """Return the estimator at this import path, unfitted. `key`: the key of loop.yaml that has its name and parameters.

    Raises SpecError if there is none or its parameters are invalid.
    """
    if not PUBLIC.fullmatch(path):
        raise SpecError(f"{key}.name: {path!r} is not an import path in scikit-learn, such as sklearn.svm.SVC")
    module, _, name = path.rpartition(".")
    try:
        made: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise SpecError(f"{key}.name: {path} cannot be imported: {exc}") from None
    if not (inspect.isclass(made) and issubclass(made, BaseEstimator)) or inspect.isabstract(made):
        raise SpecError(f"{key}.name: {path} is not an estimator")
    known = sorted(inspect.signature(made).parameters)
    for param in params:
        if param not in known:
            raise SpecError(f"{key}.params.{param}: {path} takes no such parameter; it takes: {', '.join(known)}")
    try:
        found: Any = made(**{param: _value(value, f"{key}.params.{param}") for param, value in params.items()})
        found._validate_params()
    except (TypeError, InvalidParameterError) as exc:
        named = re.match(r"The '(\w+)' parameter", str(exc))
        at = f"{key}.params.{named[1]}" if named else f"{key}.params"
        raise SpecError(f"{at}: {path}: {exc}") from None
    if not is_classifier(found):
        raise SpecError(f"{key}.name: {path} is not a classifier")
    return found


def _value(value: Any, key: str) -> Any:
    """Return a parameter as scikit-learn takes it: a JSON list as a tuple, the description of an estimator as one."""
    if isinstance(value, dict) and isinstance(value.get("name"), str) and set(value) <= {"name", "params"}:
        return _estimator(value["name"], value.get("params", {}), key)
    return tuple(_value(one, key) for one in value) if isinstance(value, list) else value

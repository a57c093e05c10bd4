"""Estimator: any classifier of scikit-learn by its import path, as `learner: {name: sklearn.svm.SVC, ...}`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils._param_validation import InvalidParameterError

from backend.learners.refit import weighed_fit
from backend.learners.through import EYES, Through
from labelloop.errors import SpecError

PUBLIC = re.compile(r"sklearn(\.[a-z][a-z_]*)+\.[A-Z]\w*")
"""Of scikit-learn only: what is imported runs, and a version's file names what is to be imported."""


class Estimator(Through):
    """`path` is the class; what the eyes do not take are its parameters, checked before anything is trained.

    A parameter may be an estimator itself: {name: sklearn.svm.LinearSVC, params: {C: 0.5}}. Where there is a
    random_state that nobody set, the run's seed is. Where `fit` takes no sample weights, each answer counts alike.
    """

    name: ClassVar[str] = "estimator"

    def __init__(self, field: str, path: str, reads: str = "text", **params: Any) -> None:
        sees = EYES[reads].sees if reads in EYES else ()
        super().__init__(field, reads, {name: value for name, value in params.items() if name in sees})
        self.own = {name: value for name, value in params.items() if name not in sees}
        self.path = path
        made = self._made()
        if not hasattr(made, "predict_proba"):
            raise SpecError(
                f"learner: {path} with these parameters has no predict_proba, and without probabilities nothing can be "
                "ranked; what would do: sklearn.calibration.CalibratedClassifierCV with the parameter estimator: "
                f"{{name: {path}}}"
            )

    @property
    def params(self) -> Mapping[str, Any]:
        seen = {name: value for name, value in super().params.items() if name in ("field", "reads", *self.eyes.sees)}
        return {**seen, "path": self.path, **self.own}

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
        except Exception as exc:  # whatever the user's choice trips over is a verdict on the choice
            raise ValueError(f"{self.path}: {exc}") from exc

    def _made(self) -> Any:
        return _estimator(self.path, self.own)


def _estimator(path: str, params: Mapping[str, Any]) -> Any:
    """The estimator of this path, not fitted. Raises SpecError where there is none, or its parameters are wrong."""
    if not PUBLIC.fullmatch(path):
        raise SpecError(f"learner: {path!r} is no import path of scikit-learn's, such as sklearn.svm.SVC")
    module, _, name = path.rpartition(".")
    try:
        made: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise SpecError(f"learner: {path} cannot be imported: {exc}") from None
    if not (inspect.isclass(made) and issubclass(made, BaseEstimator)) or inspect.isabstract(made):
        raise SpecError(f"learner: {path} is no estimator")
    known = sorted(inspect.signature(made).parameters)
    for param in params:
        if param not in known:
            raise SpecError(f"learner.params: {path} takes no {param!r}; it takes: {', '.join(known)}")
    try:
        found: Any = made(**{param: _value(value) for param, value in params.items()})
        found._validate_params()
    except (TypeError, InvalidParameterError) as exc:
        raise SpecError(f"learner.params: {path}: {exc}") from None
    if not is_classifier(found):
        raise SpecError(f"learner: {path} is no classifier")
    return found


def _value(value: Any) -> Any:
    """A parameter as scikit-learn takes it: lists of JSON as tuples, an estimator where one is described."""
    if isinstance(value, dict) and isinstance(value.get("name"), str) and set(value) <= {"name", "params"}:
        return _estimator(value["name"], value.get("params", {}))
    return tuple(_value(one) for one in value) if isinstance(value, list) else value

"""Numbers: predicts a number or a rating from texts or numbers, by an ensemble that estimates its own error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from scipy.special import erf
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion
from sklearn.tree import DecisionTreeRegressor

from backend.learners.predictions import Floats, Predictions
from backend.learners.reading import different, parsed, read_field
from backend.learners.text import bag
from backend.learners.texts.multilabel import counted
from labelloop.errors import Unreadable
from labelloop.labeling.kinds.number import read_number, write_number
from labelloop.reading.texts import text_of
from labelloop.selection.features import read_text

MEMBERS = 20
"""Models in the ensemble."""
DECIMALS = 6
"""Significant digits of a prediction; more would suggest a precision that it does not have."""


class Numbers:
    """Reads a field and the others named in `fields`: texts by their words and characters, numbers as they are.

    Each member is fitted to a draw of the answers with replacement (Breiman 1996, doi:10.1007/BF00058655). It is a
    ridge regression if there is a text, else a regression tree. The prediction is the members' mean, within the range
    of the answers.

    The confidence is the probability that the answer lies within `tolerance` of the prediction, for normal errors.
    Their variance is that of the errors on answers that members did not draw, plus that of the members on this item.
    `tolerance` 0 stands for half of the answers' standard deviation.
    """

    name: ClassVar[str] = "numbers"

    def __init__(self, field: str, fields: Sequence[str] = (), tolerance: float = 0.0) -> None:
        self.field = field
        self.fields = list(fields)
        self.tolerance = tolerance
        self.classes: tuple[str, ...] = ()
        """Any number can be an answer."""
        self.estimator: Any = None
        """columns: of each field the vectorizers, or mean and scale; members; noise, tolerance, low and high"""

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "fields": self.fields, "tolerance": self.tolerance}

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        self._columns(data, self._texts())

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        different(data, labels)
        answers = np.array(parsed(labels, read_number))
        read = self._columns(data, None)
        columns = [_learned(column) for column in read]
        seen = _matrix(columns, read)
        sure = np.ones(len(answers)) if weights is None else np.asarray(weights, dtype=np.float64)
        members, unseen = [], np.full((MEMBERS, len(answers)), np.nan)
        for row in unseen:
            drawn = rng.integers(len(answers), size=len(answers))
            others = np.setdiff1d(np.arange(len(answers)), drawn)
            member = _member(sparse.issparse(seen), int(rng.integers(2**31)))
            members.append(member.fit(seen[drawn], answers[drawn], sample_weight=sure[drawn]))
            row[others] = member.predict(seen[others]) if len(others) else ()
        judged = ~np.isnan(unseen).all(axis=0)
        errors = np.nanmean(unseen[:, judged], axis=0) - answers[judged]
        noise = np.sqrt(np.average(errors**2, weights=sure[judged])) if judged.any() else answers.std()
        self.estimator = {
            "columns": columns,
            "members": members,
            "noise": float(noise),
            "tolerance": self.tolerance or float(answers.std() / 2),
            "low": float(answers.min()),
            "high": float(answers.max()),
        }
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        learned = self.estimator
        if not data:
            return Predictions([], np.empty(0), tolerance=learned["tolerance"])
        seen = _matrix(learned["columns"], self._columns(data, self._texts()))
        each = np.array([member.predict(seen) for member in learned["members"]])
        numbers = np.clip(each.mean(axis=0), learned["low"], learned["high"])
        spread = np.sqrt(learned["noise"] ** 2 + each.var(axis=0))
        confidences: Floats = erf(learned["tolerance"] / np.maximum(spread, 1e-12) / np.sqrt(2))
        return Predictions(
            [write_number(float(f"{number:.{DECIMALS}g}")) for number in numbers],
            np.clip(confidences, 0.0, 1.0),
            tolerance=learned["tolerance"],
        )

    def _texts(self) -> list[bool] | None:
        """Return for each field whether it was fitted as a text; None before `fit`."""
        return None if self.estimator is None else ["words" in column for column in self.estimator["columns"]]

    def _columns(self, data: Sequence[Mapping[str, object]], texts: Sequence[bool] | None) -> list[list[Any]]:
        """Return the values of each field. `texts`: whether each field holds texts; None if most values decide it."""
        columns: list[list[Any]] = []
        faults: dict[int, str] = {}
        for place, name in enumerate([self.field, *self.fields]):
            try:
                columns.append(read_field(data, name, _value))
            except Unreadable as exc:
                faults |= exc.faults
                continue
            of_text = [isinstance(value, str) for value in columns[-1]]
            if 2 * sum(of_text) > len(of_text) if texts is None else texts[place]:
                columns[-1] = [text_of(value) for value in columns[-1]]
                continue
            odd = [position for position, is_text in enumerate(of_text) if is_text]
            faults |= dict.fromkeys(odd, f"its field {name!r} is not a number, as in the other items")
        if faults:
            raise Unreadable(faults)
        return columns


def _value(value: object) -> str | float:
    if isinstance(value, str):
        return read_text(value)
    if not isinstance(value, int | float):
        raise ValueError(f"is neither a text nor a number but {type(value).__name__}")
    if not abs(value) <= 1e300:
        raise ValueError("is not a finite number, or too large")
    return float(value)


def _learned(column: Sequence[Any]) -> dict[str, Any]:
    """Return the fitted conversion of the field to columns of a matrix."""
    if isinstance(column[0], str):
        words = FeatureUnion(bag(characters=True))
        counted(words, column)
        return {"words": words}
    return {"mean": float(np.mean(column)), "scale": float(np.std(column)) or 1.0}


def _matrix(columns: Sequence[Mapping[str, Any]], read: Sequence[Sequence[Any]]) -> Any:
    """Return the features: shape (n_items, ...), sparse if there are texts."""
    parts = [
        column["words"].transform(values)
        if "words" in column
        else (np.array(values)[:, None] - column["mean"]) / column["scale"]
        for column, values in zip(columns, read, strict=True)
    ]
    return sparse.hstack(parts, format="csr") if any(map(sparse.issparse, parts)) else np.hstack(parts)


def _member(of_words: bool, seed: int) -> Any:
    return Ridge(alpha=1.0) if of_words else DecisionTreeRegressor(min_samples_leaf=3, random_state=seed)

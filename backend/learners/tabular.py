"""Tabular: classifies rows of numbers and words by gradient boosting, which accepts missing values and new words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from backend.learners.refit import Refit
from backend.learners.table import Table
from labelloop.errors import Unreadable


class Tabular(Refit):
    """Reads `fields`, or all fields that hold numbers or words; `fit` decides the kind of each field.

    `field`, which annotators see, is read only if `fields` names it too. `balanced`: a rare label gets the same total
    weight as a frequent one, which raises its recall and lowers the accuracy.
    """

    name: ClassVar[str] = "tabular"
    featurizer_params = ("fields",)

    def __init__(self, field: str, fields: Sequence[str] = (), balanced: bool = False) -> None:
        super().__init__(field)
        self.fields = list(fields)
        self.balanced = balanced

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "fields": self.fields, "balanced": self.balanced}

    def read(self, value: object) -> Any:
        raise NotImplementedError("a table is read row by row")

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        """Return steps that scale numbers to unit variance, missing ones as the mean, and give each word a column."""
        table = Table(self.fields).fit(features)
        first = len(table.numbers_)
        return [
            ("table", Table(self.fields)),
            (
                "columns",
                ColumnTransformer(
                    [
                        (
                            "numbers",
                            make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()),
                            list(range(first)),
                        ),
                        (
                            "words",
                            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                            list(range(first, first + len(table.words_))),
                        ),
                    ]
                ),
            ),
        ]

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        # The number of leaves grows with the answers: scikit-learn's default of 31 overfits 50 answers.
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=int(np.clip(len(features) // 150, 3, 15)),
            min_samples_leaf=int(np.clip(len(features) // 20, 2, 20)),
            early_stopping=False,
            random_state=seed,
            class_weight="balanced" if self.balanced else None,
        )

    def build(self, features: Sequence[Any], seed: int) -> Any:
        table = Table(self.fields).fit(features)
        words = [*[False] * len(table.numbers_), *[True] * len(table.words_)]
        return Pipeline(
            [
                ("table", Table(self.fields)),
                ("classify", self.classifier(features, seed).set_params(categorical_features=words)),
            ]
        )

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        try:
            table = Table(self.fields).fit(data) if self.estimator is None else self.estimator[0]
        except ValueError as exc:
            if not data:
                return []
            raise Unreadable(dict.fromkeys(range(len(data)), str(exc))) from None
        faults = {place: fault for place, row in enumerate(data) if (fault := table.fault(row))}
        if faults:
            raise Unreadable(faults)
        return list(data)

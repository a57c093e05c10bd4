"""Images: small pictures by their pixels, for scans, icons and the like; no embedding, no download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from backend.learners.refit import Refit
from labelloop.features import SIDE, pixels

MAX_LANDMARKS = 500


class Images(Refit):
    """Reads a `data:` URI; grey, averaged down to `size` x `size` pixels; kernel logistic regression.

    On scikit-learn's digits (5 orders, least-margin queries of 40) it has 96.3 % right after 150 answers and 98.6 %
    after 270, where plain logistic regression has 94.1 % and 96.4 %, and unlike an SVM it gives probabilities.
    """

    name: ClassVar[str] = "images"
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"C": (10.0, 100.0), "gamma": (0.5, 1.0, 2.0)}

    def __init__(self, field: str, size: int = SIDE, C: float = 100.0, gamma: float = 1.0) -> None:
        super().__init__(field)
        self.size = size
        self.C = C
        self.gamma = gamma

    @property
    def params(self) -> Mapping[str, str | int | float | bool]:
        return {"field": self.field, "size": self.size, "C": self.C, "gamma": self.gamma}

    def read(self, value: object) -> npt.NDArray[np.float64]:
        return pixels(value, self.size)

    def build(self, features: Sequence[Any], seed: int) -> Any:
        # The width that scikit-learn's SVC calls "scale". With a landmark for each item the kernel is exact.
        pixels = np.asarray(features)
        gamma = self.gamma / (pixels.shape[1] * max(float(pixels.var()), 1e-6))
        return make_pipeline(
            Nystroem(gamma=gamma, n_components=min(len(features), MAX_LANDMARKS), random_state=seed),
            LogisticRegression(C=self.C, max_iter=2000),
        )

"""Images: classifies pictures by pixels, by edges, or by a pretrained network; no download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from backend.learners.parts import pretrained
from backend.learners.parts.hog import hog
from backend.learners.refit import Refit
from labelloop.errors import SpecError
from labelloop.selection.features import SIDE, colours, pixels

MAX_LANDMARKS = 500
LARGEST = 128
"""Largest number of pixels a side that pixels and HOG features are made of; a network may see more."""
SIDES = {"pixels": SIDE, "hog": 32, "pretrained": 128}
"""Pixels a side if `size` names none. Labelloop keeps fetched pictures with 128."""


class Images(Refit):
    """Reads a `data:` URI as `size` x `size` grey pixels, their HOG features, or the vector that a pretrained network
    gives the picture in colour, for a kernel logistic regression.

    `model`: absolute path of an ONNX file whose first output is used as the vector. If it is "", the packaged network
    is used. The file is not copied: a version keeps its SHA-256 and refuses any other. `colour`: whether the network
    sees the colours of fetched pictures, and not their grey. Loops have it by default, and versions of before do not.

    Accuracy on scikit-learn's digits (5 orders, least-margin queries of 40): 96.3 % after 150 answers and 98.6 % after
    270. Plain logistic regression has 94.1 % and 96.4 %. Unlike an SVM, it gives probabilities.
    """

    name: ClassVar[str] = "images"
    featurizer_params = ("size", "features", "model", "model_sha256", "colour")
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"C": (10.0, 100.0), "gamma": (0.5, 1.0, 2.0)}

    def __init__(
        self,
        field: str,
        size: Annotated[int, Field(ge=4, le=224)] | None = None,
        features: Literal["pixels", "hog", "pretrained"] = "pixels",
        model: str = "",
        model_sha256: str = "",
        colour: bool = False,
        C: Annotated[float, Field(gt=0)] = 100.0,
        gamma: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(field)
        if model and features != "pretrained":
            raise SpecError(f"learner.params.model is for `features: pretrained`, not for {features!r}")
        if colour and features != "pretrained":
            raise SpecError(f"learner.params.colour is for `features: pretrained`, not for {features!r}")
        if size and size > LARGEST and features != "pretrained":
            raise SpecError(f"learner.params.size: at most {LARGEST} for `features: {features}`, not {size}")
        self.features = features
        self.colour = colour
        self.size = size or SIDES[features]
        self.model = model
        self.model_sha256 = pretrained.digest(model, model_sha256) if features == "pretrained" else ""
        self.C = C
        self.gamma = gamma

    @property
    def params(self) -> Mapping[str, Any]:
        own: dict[str, Any] = {"size": self.size, "features": self.features, "C": self.C, "gamma": self.gamma}
        if self.features == "pretrained":
            own |= {"model": self.model, "model_sha256": self.model_sha256}
        if self.colour:
            own["colour"] = True
        return {"field": self.field, **own}

    def read(self, value: object) -> npt.NDArray[np.float64]:
        if self.features == "pretrained":
            network = pretrained.network(self.model, self.model_sha256)
            return network(colours(value, self.size, fetched=self.colour)).astype(np.float64)
        grey = pixels(value, self.size)
        return grey if self.features == "pixels" else hog(grey.reshape(self.size, self.size))

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        # The width that scikit-learn's SVC calls "scale". With a landmark for each item the kernel is exact.
        pixels = np.asarray(features)
        gamma = self.gamma / (pixels.shape[1] * max(float(pixels.var()), 1e-6))
        return make_pipeline(
            Nystroem(gamma=gamma, n_components=min(len(features), MAX_LANDMARKS), random_state=seed),
            LogisticRegression(C=self.C, max_iter=2000, class_weight="balanced"),
        )

"""Images: small pictures by their pixels, for scans, icons and the like; no embedding, no download."""

from __future__ import annotations

import binascii
import io
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from backend.learners.refit import Refit

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_PIXELS = 20_000_000
MAX_LANDMARKS = 500


class Images(Refit):
    """Reads a `data:` URI; grey, averaged down to `size` x `size` pixels; kernel logistic regression.

    On scikit-learn's digits (5 orders, least-margin queries of 40) it has 96.3 % right after 150 answers and 98.6 %
    after 270, where plain logistic regression has 94.1 % and 96.4 %, and unlike an SVM it gives probabilities.
    """

    name: ClassVar[str] = "images"

    def __init__(self, field: str, size: int = 8) -> None:
        super().__init__(field)
        self.size = size

    @property
    def params(self) -> Mapping[str, str | int | float | bool]:
        return {"field": self.field, "size": self.size}

    def read(self, value: object) -> npt.NDArray[np.float64]:
        grey = open_image(value).resize((self.size, self.size), Image.Resampling.BOX)
        return np.asarray(grey, dtype=np.float64).ravel() / 255

    def build(self, features: Sequence[Any], seed: int) -> Any:
        # The width that scikit-learn's SVC calls "scale". With a landmark for each item the kernel is exact.
        pixels = np.asarray(features)
        gamma = 1 / (pixels.shape[1] * max(float(pixels.var()), 1e-6))
        return make_pipeline(
            Nystroem(gamma=gamma, n_components=min(len(features), MAX_LANDMARKS), random_state=seed),
            LogisticRegression(C=100, max_iter=2000),
        )


def open_image(value: object) -> Image.Image:
    """The picture of a `data:` URI in grey, transparency as white paper. Raises ValueError, saying what is wrong."""
    if not isinstance(value, str) or not value.startswith("data:"):
        raise ValueError("is not a data: URI with an image")
    head, _, body = value.partition(",")
    if not head.endswith(";base64"):
        raise ValueError("is a data: URI that is not base64")
    try:
        raw = b64decode(body, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"is not valid base64: {exc}") from None
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"has {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
            if not image.has_transparency_data:
                return image.convert("L")
            paper = Image.new("RGBA", image.size, "white")
            paper.alpha_composite(image.convert("RGBA"))
            return paper.convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        reason = exc if type(exc) is ValueError else f"does not load as an image ({', '.join(FORMATS)})"
        raise ValueError(str(reason)) from None

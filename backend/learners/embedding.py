"""Embedding: vectors of texts by a model2vec model in a folder of the user's; no download, no GPU.

A version holds the folder's path and the SHA-256 of its model. If the model has changed, the version cannot be loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from backend.encode.static import MODEL_FILES, opened
from labelloop.errors import SettingsError


class Embedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to vectors of unit length; a text without a known word is all zeros."""

    def __init__(self, folder: str, sha256: str) -> None:
        self.folder = folder
        self.sha256 = sha256

    def fit(self, texts: Sequence[str], y: object = None) -> Self:
        self.width_ = int(model(self.folder, self.sha256).dim)
        return self

    def transform(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        found = np.asarray(model(self.folder, self.sha256).encode(list(texts)), dtype=np.float64)
        unit: npt.NDArray[np.float64] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return unit


def digest(folder: str, expected: str = "") -> str:
    """Return the SHA-256 of the model in the folder. Raises SettingsError if it is unusable or not `expected`."""
    try:
        import model2vec  # noqa: F401
    except ImportError:
        raise SettingsError("learner.params.embeddings needs model2vec: pip install 'labelloop[embeddings]'") from None
    if not Path(folder).is_absolute():
        raise SettingsError(
            f"learner.params.embeddings is the absolute path of a model2vec model's folder, not {folder!r}"
        )
    found = hashlib.sha256()
    for part in MODEL_FILES:
        try:
            with (Path(folder) / part).open("rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as exc:
            raise SettingsError(
                f"learner.params.embeddings: {folder!r} holds no model2vec model, {part} cannot be read: {exc.strerror}"
            ) from None
    if expected not in ("", found.hexdigest()):
        raise SettingsError(
            f"learner.params.embeddings: the model in {folder!r} has the SHA-256 {found.hexdigest()[:12]}, "
            f"and must have {expected[:12]}"
        )
    return found.hexdigest()


@cache
def model(folder: str, sha256: str) -> Any:
    """Return the model, which each process reads once. Raises SettingsError if it is damaged or not this one."""
    digest(folder, sha256)
    try:
        return opened(Path(folder))
    except SettingsError as exc:
        raise SettingsError(f"learner.params.embeddings: {exc}") from None

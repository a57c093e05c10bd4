"""Give items the sentence vectors that are kept in Postgres; vectors that are missing are computed and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from backend.encode.encoder import Encoder, encoder
from backend.encode.items import with_vector
from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of
from labelloop.selection.features import read_text
from labelloop.selection.sentences import CUT, text_hash
from labelloop.selection.vectors import Vectors
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.sentences import vectors as vector_store
from labelloop.store.sentences.vectors import Used
from labelloop.versions.items import ItemToLabel, TrainingItem

Encode = Callable[[Sequence[str]], Vectors]
"""Computes the vectors of texts, here or in another process."""
Encoding = Callable[[str], Encode]
"""Gives the function that computes vectors with the encoder of a name or path, and checks that it is the one here."""
Data = Mapping[str, Any]
Item = TypeVar("Item", bound=TrainingItem | ItemToLabel)
TEXTS_AT_A_TIME = 1024
"""Texts whose vectors are read or stored in one statement."""


def with_vectors(
    database: Database, spec: LoopSpec, data: Sequence[Data], encoding: Encoding | None = None
) -> list[Data]:
    """Return the items with their sentence vectors, if the loop's learner reads any; else the same items.

    An item whose field holds no text stays as it is. `encoding` computes what is missing; None computes it here. Raises
    SettingsError if the encoder cannot be used.
    """
    field = spec.field
    if spec.learner.encoder is None or field is None:
        return list(data)
    model = encoder(spec.learner.encoder)
    encode = encoding(spec.learner.encoder) if encoding else model.encode
    texts = [_text(item, field) for item in data]
    found = vectors_by_text(database, spec, model, (text for text in texts if text is not None), encode)
    return [
        item if text is None else with_vector(item, text, model.id, found[text_hash(text)])
        for item, text in zip(data, texts, strict=True)
    ]


def with_vectors_in(
    database: Database, spec: LoopSpec, rows: Sequence[Item], encoding: Encoding | None = None
) -> list[Item]:
    """Do the same for rows that have the item in `data`."""
    data = with_vectors(database, spec, [row.data for row in rows], encoding)
    return [replace(row, data=item) for row, item in zip(rows, data, strict=True)]


def vectors_by_text(
    database: Database, spec: LoopSpec, model: Encoder, texts: Iterable[str], encode: Encode
) -> dict[bytes, bytes]:
    """Return the vector of each text in half precision, by the text's hash; missing ones are computed and kept."""
    by_hash = {text_hash(text): text[:CUT] for text in texts}
    hashes = sorted(by_hash)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(hashes), TEXTS_AT_A_TIME):
        some = hashes[start : start + TEXTS_AT_A_TIME]
        with database.transaction() as conn:
            have = vector_store.get(conn, spec.name, model.id, model.width, some)
        missing = [name for name in some if name not in have]
        if missing:
            computed = encode([by_hash[name] for name in missing])
            new = dict(zip(missing, packed(computed), strict=True))
            with database.transaction() as conn:
                keep(conn, spec, model, new)
            have |= new
        found |= have
    return found


def keep(conn: Conn, spec: LoopSpec, model: Encoder, vectors: Mapping[bytes, bytes]) -> None:
    """Store vectors by the hash of their texts, and record that this encoder gives the loop's vectors now."""
    vector_store.use(conn, spec.name, Used(spec.learner.encoder or "", model.id, model.width))
    # No need to wait for the disk: a vector that is lost in a crash of Postgres is computed again.
    conn.execute("set local synchronous_commit = off")
    vector_store.keep(conn, spec.name, model.id, vectors)


def packed(vectors: Vectors) -> list[bytes]:
    """Return each row as Postgres has it: numbers of 16 bits."""
    return [row.tobytes() for row in vectors.astype(np.dtype("<f2"))]


def _text(item: Data, field: str) -> str | None:
    text = text_of(value_at(item, field))
    return None if text is None else read_text(text)

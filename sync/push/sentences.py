"""Sentence vectors for the window: the texts of a loop that learns from vectors are compared by them.

They are read from Postgres, where the backend keeps them. A push never waits for one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of
from labelloop.selection import likeness
from labelloop.selection.sentences import text_hash, unpacked
from labelloop.selection.vectors import Vectors
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.sentences import vectors as vector_store

ENOUGH = 0.9
"""Share of the candidates that need a vector; with fewer, all are compared by their letters."""
TEXTS_AT_A_TIME = 1024
"""Vectors that are read in one statement."""


def beginnings(data: Iterable[Mapping[str, Any]], field: str) -> tuple[list[dict[str, Any]], list[bytes | None]]:
    """Return the part of each item that letters compare, and the hash that names its text; None if it has no text."""
    items, hashes = list[dict[str, Any]](), list[bytes | None]()
    for item in data:
        text = text_of(value_at(item, field))
        items.append({field: text and text[: likeness.SEEN]})
        hashes.append(None if text is None else text_hash(text))
    return items, hashes


def vectors_of(
    database: Database, spec: LoopSpec, hashes: Sequence[bytes | None], candidates: int
) -> list[Vectors | None] | None:
    """Return the vectors of these texts, the first `candidates` of which could come into the window.

    One is None if it was not computed yet or if the encoder knows nothing of the text. Such items are compared with no
    others, and their letters still show near-duplicates. All of it is None unless ENOUGH of the candidates have one, or
    if the loop's encoder was changed: then nothing is compared by vectors of two encoders.
    """
    with database.transaction() as conn:
        used = vector_store.used(conn, spec.name)
    if used is None or used.name != spec.learner.encoder:
        return None
    found: dict[bytes, bytes] = {}
    wanted = sorted({name for name in hashes if name is not None})
    for start in range(0, len(wanted), TEXTS_AT_A_TIME):
        with database.transaction() as conn:
            some = wanted[start : start + TEXTS_AT_A_TIME]
            found |= vector_store.get(conn, spec.name, used.encoder, used.width, some)
    with_text = [name for name in hashes[:candidates] if name is not None]
    if sum(name in found for name in with_text) < ENOUGH * len(with_text):
        return None
    rows = (None if name is None or name not in found else unpacked(found[name]) for name in hashes)
    return [row if row is not None and row.any() else None for row in rows]

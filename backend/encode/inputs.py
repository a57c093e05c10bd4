"""Inputs: what a learner reads besides the item itself. Pictures replace addresses, and sentence vectors are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.encode.kept import Encoding, Item, with_vectors, with_vectors_in
from labelloop.pictures.kept import with_pictures, with_pictures_in
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database

Data = Mapping[str, Any]


def with_inputs(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    data: Sequence[Data],
    encoding: Encoding | None = None,
) -> list[Data]:
    """Return the items with what the loop's learner reads: see `with_pictures` and `with_vectors`."""
    return with_vectors(database, spec, with_pictures(database, settings, spec, data), encoding)


def with_inputs_in(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    rows: Sequence[Item],
    encoding: Encoding | None = None,
) -> list[Item]:
    """Do the same for rows that have the item in `data`."""
    return with_vectors_in(database, spec, with_pictures_in(database, settings, spec, rows), encoding)

"""Statements about answers that come from a file. The caller owns the transaction and holds the lock of the loop's
answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.reading.ids import AnnotationId
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Known:
    """A stored output of a key in the file."""

    id: UUID
    key: str
    label: str | None
    """The pipeline's label."""
    data: Mapping[str, Any]
    body_sha256: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """A stored version of an answer."""

    annotation_id: AnnotationId
    updated_at: datetime
    result: list[Any]
    deleted: bool


def lock(conn: Conn, loop: str, keys: Sequence[str]) -> dict[str, Known]:
    """Return the outputs of these keys, locked until the transaction ends; keys without an output are left out."""
    cursor = rows_of(conn, Known)
    rows = cursor.execute(
        """
        select id, key, label, data, body_sha256 from outputs
        where loop = %(loop)s and key = any(%(keys)s) order by key collate "C" for update
        """,
        {"loop": loop, "keys": list(keys)},
    ).fetchall()
    return {row.key: row for row in rows}


def data(conn: Conn, loop: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return the data of the outputs of these keys; keys without an output are left out."""
    rows = conn.execute(
        "select key, data from outputs where loop = %(loop)s and key = any(%(keys)s)",
        {"loop": loop, "keys": list(keys)},
    )
    return {row["key"]: row["data"] for row in rows}


def versions(conn: Conn, instance: UUID, annotations: Sequence[AnnotationId]) -> dict[AnnotationId, list[Version]]:
    """Return all stored versions of these answers, the oldest first."""
    cursor = rows_of(conn, Version)
    found: dict[AnnotationId, list[Version]] = {}
    for row in cursor.execute(
        """
        select annotation_id, updated_at, result, deleted from annotation_versions
        where instance = %(instance)s and annotation_id = any(%(ids)s) order by updated_at, seq
        """,
        {"instance": instance, "ids": list(annotations)},
    ):
        found.setdefault(row.annotation_id, []).append(row)
    return found


def now(conn: Conn) -> datetime:
    """Return the time of the database."""
    row = conn.execute("select clock_timestamp() as now").fetchone()
    assert row is not None
    found: datetime = row["now"]
    return found

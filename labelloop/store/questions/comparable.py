"""The parts of outputs that are compared with others, to find near-duplicates. Read-only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.reading import paths
from labelloop.store.database import Conn, rows_of


class Comparable(NamedTuple):
    """The parts of an output that are compared with others."""

    id: UUID
    data: Mapping[str, Any]
    """Holds at most the one field that was asked for."""
    embedding: Sequence[float] | None


def seen(conn: Conn, ids: Sequence[UUID], field: str | None, *, embeddings: bool) -> dict[UUID, Comparable]:
    """Return the comparable parts of these outputs: one field of the data, if `field` names it, and the embedding."""
    rows = (
        rows_of(conn, Comparable)
        .execute(
            """
        select id, case when %(field)s::text is null then '{}' else
                jsonb_build_object(
                    %(field)s::text, coalesce(data -> %(field)s::text, data #> %(path)s::text[])
                ) end as data,
            case when %(embeddings)s then embedding end as embedding
        from outputs where id = any(%(ids)s)
        """,
            {"ids": list(ids), "field": field, "path": paths.steps(field or ""), "embeddings": embeddings},
        )
        .fetchall()
    )
    return {row.id: row for row in rows}

"""Statements of the ML backend while it serves predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.reading.ids import ProjectId
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class PipelineLabel:
    """The label that the pipeline gave to an output."""

    id: UUID
    label: str | None
    confidence: float | None


def loop_of(conn: Conn, project_id: ProjectId) -> str | None:
    """Return the loop of this project in Label Studio; None if the project is not ours."""
    row = conn.execute(
        "select loop from projects where project_id = %(project_id)s order by created_at desc limit 1",
        {"project_id": project_id},
    ).fetchone()
    return None if row is None else row["loop"]


def project_ids(conn: Conn) -> list[ProjectId]:
    """Return the ids of the loops' projects in Label Studio."""
    rows = conn.execute("select project_id from projects where project_id is not null order by project_id").fetchall()
    return [row["project_id"] for row in rows]


def pipeline_labels(conn: Conn, loop: str, output_ids: Sequence[UUID]) -> dict[UUID, PipelineLabel]:
    """Map output ids to the pipeline's labels; ids of other loops are left out."""
    cursor = rows_of(conn, PipelineLabel)
    rows = cursor.execute(
        "select id, label, confidence from outputs where loop = %(loop)s and id = any(%(ids)s)",
        {"loop": loop, "ids": list(output_ids)},
    ).fetchall()
    return {row.id: row for row in rows}

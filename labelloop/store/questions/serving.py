"""What the ML backend asks while it serves; one statement a function, the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from labelloop.store.database import Conn


def loop_of(conn: Conn, project_id: int) -> str | None:
    """The loop that stands in this project of Label Studio; None: none of ours."""
    row = conn.execute(
        "select loop from projects where project_id = %(project_id)s order by created_at desc limit 1",
        {"project_id": project_id},
    ).fetchone()
    return None if row is None else row["loop"]


def project_ids(conn: Conn) -> list[int]:
    """Label Studio's projects in which a loop stands."""
    rows = conn.execute("select project_id from projects where project_id is not null order by project_id").fetchall()
    return [row["project_id"] for row in rows]


def pipeline_labels(conn: Conn, loop: str, output_ids: Sequence[UUID]) -> dict[str, dict[str, Any]]:
    """Output id to the label and confidence that the pipeline gave; ids that are none of this loop's are left out."""
    rows = conn.execute(
        "select id, label, confidence from outputs where loop = %(loop)s and id = any(%(ids)s)",
        {"loop": loop, "ids": list(output_ids)},
    ).fetchall()
    return {str(row["id"]): row for row in rows}

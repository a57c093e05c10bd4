"""Rows that only tests read or change by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.store.database import Conn


def items_of_part(conn: Conn, run_id: UUID, part: str) -> list[dict[str, Any]]:
    """Return the items of a run in `part`, which is train or holdout, in the order of the keys."""
    return conn.execute(
        """
        select i.*, o.key from run_items i join outputs o on o.id = i.output_id
        where i.run_id = %(run_id)s and i.part = %(part)s order by o.key collate "C"
        """,
        {"run_id": run_id, "part": part},
    ).fetchall()


def move_outputs(conn: Conn, ids: Iterable[UUID], state: OutputState) -> int:
    """Move outputs to a state and return the number moved. The database refuses a move that it does not allow."""
    return conn.execute(
        """
        update outputs set state = %(state)s::output_state, state_reason = null
        where id = any(%(ids)s) and state <> %(state)s::output_state
        """,
        {"ids": list(ids), "state": state},
    ).rowcount

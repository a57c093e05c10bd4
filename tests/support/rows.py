"""Rows that only tests read or change by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.store.database import Conn, Database, rows_of


@dataclass(frozen=True, slots=True)
class RunItem:
    """A row of run_items, with the output's key."""

    output_id: UUID
    key: str
    part: str
    """train or holdout."""
    answer_seq: int
    label: str
    weight: float | None
    champion_label: str | None
    champion_confidence: float | None
    challenger_label: str | None
    challenger_confidence: float | None


def items_of_part(conn: Conn, run_id: UUID, part: str) -> list[RunItem]:
    """Return the items of a part (train or holdout) of a run, in the order of the keys."""
    rows = rows_of(conn, RunItem)
    return rows.execute(
        """
        select i.output_id, o.key, i.part::text, i.answer_seq, i.label, i.weight, i.champion_label,
            i.champion_confidence, i.challenger_label, i.challenger_confidence
        from run_items i join outputs o on o.id = i.output_id
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


def rows_with(database: Database, word: str) -> list[str]:
    """Return the tables in which the word is, in any case."""
    with database.transaction() as conn:
        rows = conn.execute("select tablename as name from pg_tables where schemaname = 'public' order by 1").fetchall()
        found = "select from {} t where t::text ilike %s limit 1"
        return [n for n in (row["name"] for row in rows) if conn.execute(found.format(n), [f"%{word}%"]).fetchall()]

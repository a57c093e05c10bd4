"""Statements about the table shadow_items: labels of a version in shadow, beside the champion's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.reading import paths
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.verdicts import FACTS
from labelloop.versions.items import ItemToLabel, JudgedItem


class Said(NamedTuple):
    """Both models' labels of one output; None if a model predicted nothing."""

    output_id: UUID
    champion_label: str | None
    champion_confidence: float | None
    challenger_label: str | None
    challenger_confidence: float | None


def loops(conn: Conn) -> list[str]:
    """Return the loops with a version in shadow, without archived loops."""
    rows = conn.execute(
        """
        select r.loop from retrain_runs r join loops l on l.name = r.loop
        where r.status = 'shadow' and l.archived_at is null
        """
    )
    return [row["loop"] for row in rows]


def open_outputs(conn: Conn, loop: str) -> list[UUID]:
    """Return the outputs in review."""
    rows = conn.execute("select id from outputs where loop = %(loop)s and state = 'in_review'", {"loop": loop})
    return [row["id"] for row in rows]


def unsaid(conn: Conn, run_id: UUID, output_ids: Sequence[UUID], limit: int) -> list[ItemToLabel]:
    """Return those of these outputs, in their order, without an answer and without a label of the shadow version."""
    cursor = rows_of(conn, ItemToLabel)
    return cursor.execute(
        """
        select o.id as output_id, o.key, o.data, o.label as pipeline_label, o.confidence as pipeline_confidence
        from unnest(%(ids)s::uuid[]) with ordinality as w (id, place) join outputs o using (id)
        where o.lane <> 'gold' and not exists (select from answers a where a.output_id = o.id)
        and not exists (select from shadow_items s where s.run_id = %(run_id)s and s.output_id = o.id)
        order by place limit %(limit)s
        """,
        {"run_id": run_id, "ids": list(output_ids), "limit": limit},
    ).fetchall()


def write(conn: Conn, run_id: UUID, said: Iterable[Said]) -> int:
    """Store both models' labels of the outputs that have no answer yet; return how many were stored."""
    said = list(said)
    columns = [list(column) for column in zip(*said, strict=True)] or [[], [], [], [], []]
    return conn.execute(
        """
        insert into shadow_items (run_id, output_id, champion_label, champion_confidence, challenger_label,
            challenger_confidence)
        select %(run_id)s, v.* from unnest(
            %(ids)s::uuid[], %(champion)s::text[], %(sure)s::float8[], %(challenger)s::text[], %(surely)s::float8[]
        ) as v (output_id, champion_label, champion_confidence, challenger_label, challenger_confidence)
        where not exists (select from answers a where a.output_id = v.output_id)
        on conflict (run_id, output_id) do nothing
        """,
        {"run_id": run_id, **dict(zip(("ids", "champion", "sure", "challenger", "surely"), columns, strict=True))},
    ).rowcount


def said(conn: Conn, run_id: UUID) -> int:
    """Count the outputs that both models have labelled."""
    row = conn.execute(
        "select count(*) as n from shadow_items where run_id = %(run_id)s", {"run_id": run_id}
    ).fetchone()
    assert row is not None
    return int(row["n"])


def answered(conn: Conn, run_id: UUID, field: str | None) -> list[JudgedItem]:
    """Return the outputs in shadow that have a clear answer by now; `field` as in verdicts.held_out."""
    cursor = rows_of(conn, JudgedItem)
    return cursor.execute(
        f"""
        select {FACTS}, s.champion_label, s.challenger_label, s.champion_confidence, s.challenger_confidence
        from shadow_items s join outputs o on o.id = s.output_id cross join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1
        ) a
        where s.run_id = %(run_id)s and a.label is not null order by o.key collate "C"
        """,
        {"run_id": run_id, "field": field, "path": paths.steps(field or "")},
    ).fetchall()


def days(conn: Conn, run_id: UUID) -> float:
    """Return for how many days the version has been in shadow."""
    row = conn.execute(
        "select extract(epoch from now() - finished_at) / 86400.0 as days from retrain_runs where id = %(id)s",
        {"id": run_id},
    ).fetchone()
    assert row is not None
    return float(row["days"])

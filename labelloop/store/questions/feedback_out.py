"""Feedback for export, in full or its changes since a cursor; and answers as examples for training a language model.

The numbers of a loop's changes are committed in their order (migration 0015). So in one snapshot, every change up to
the highest visible number is visible, and no later export can miss one. The caller owns the transaction and reads all
of an export in one snapshot: see `snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg.rows import DictRow

from labelloop.answers import cursor as cursors
from labelloop.answers.cursor import Cursor
from labelloop.store.database import Conn

EXPORT_ROWS = 2000
"""Rows that are in memory at the same time."""
COLUMNS = (
    "loop", "key", "model_output_id", "reviewer_id", "reviewer", "approval", "correction", "comment", "label",
    "model_label", "model_version", "lane", "holdout", "answer", "agreement", "created_at", "updated_at", "deleted",
    "repeats",
)  # fmt: skip
"""Columns of a row: the feedback of one reviewer on one output, and the answer of all its reviewers.

A repeat has the feedback on its original, whose key is in `repeats`.
"""
_SELECTED = """
    select o.loop, o.key, p.output_id as model_output_id, p.reviewer_id, r.email as reviewer,
    case when g.id is null or about.label is not distinct from o.label then coalesce(f.approval, g.approval)
        else g.label = o.label end as approval,
    case when g.id is null or about.label is not distinct from o.label then coalesce(f.correction, g.correction)
        when g.label <> o.label then g.label end as correction,
    coalesce(f.comment, g.comment) as comment, coalesce(f.label, g.label) as label, o.label as model_label,
    o.model_version, o.lane::text, o.holdout, case when coalesce(f.id, g.id) is not null then a.label end as answer,
    case when coalesce(f.id, g.id) is not null then a.agreement end as agreement,
    coalesce(f.created_at, g.created_at) as created_at, coalesce(f.updated_at, g.updated_at) as updated_at,
    coalesce(f.id, g.id) is null as deleted, case when g.id is not null then about.key end as repeats
    from pairs p join outputs o on o.id = p.output_id and (%(source)s::text is null or o.source = %(source)s)
    join reviewers r on r.id = p.reviewer_id
    left join feedback f on f.model_output_id = p.output_id and f.reviewer_id = p.reviewer_id
    left join repeats s on s.output_id = p.output_id
    left join feedback g on g.model_output_id = s.original_id and g.reviewer_id = p.reviewer_id and f.id is null
    left join outputs about on about.id = s.original_id
    left join lateral (
        select label, agreement from answers where output_id = coalesce(s.original_id, p.output_id)
        order by seq desc limit 1
    ) a on true
    order by p.output_id, p.reviewer_id
"""
_ALL = f"""
    with pairs as (
        select f.model_output_id as output_id, f.reviewer_id
        from feedback f join outputs o on o.id = f.model_output_id where o.loop = %(loop)s
        union all
        select s.output_id, f.reviewer_id from repeats s join feedback f on f.model_output_id = s.original_id
        where s.loop = %(loop)s and not exists (
            select from feedback own where own.model_output_id = s.output_id and own.reviewer_id = f.reviewer_id)
    ) {_SELECTED}
"""
_CHANGED = f"""
    with changes as (
        select output_id, reviewer_id from feedback_changes
        where loop = %(loop)s and seq > %(since)s and seq <= %(upto)s
    ), pairs as (
        select output_id, reviewer_id from changes where reviewer_id is not null
        union
        select f.model_output_id, f.reviewer_id from feedback f
        where f.model_output_id in (select output_id from changes)
        union
        select s.output_id, f.reviewer_id from repeats s join feedback f on f.model_output_id = s.original_id
        where s.output_id in (select output_id from changes)
    ) {_SELECTED}
"""
_EXAMPLES = """
    select o.data, o.label as model_label, a.label as answer, w.results as written
    from outputs o cross join lateral (
        select label from answers where output_id = o.id order by seq desc limit 1
    ) a
    cross join lateral (
        select coalesce(jsonb_agg(v.result order by f.updated_at desc, f.id), '[]') as results
        from feedback f join reviewers r on r.id = f.reviewer_id
        cross join lateral (
            select result from counting_versions
            where instance = r.instance and annotation_id = f.annotation_id order by updated_at desc, seq desc limit 1
        ) v
        where f.model_output_id = o.id and f.label = a.label and a.label = any(%(edited)s)
    ) w
    where o.loop = %(loop)s and not o.holdout and o.lane <> 'gold' and a.label is not null
    and (%(source)s::text is null or o.source = %(source)s)
    order by o.id
"""


def snapshot(conn: Conn) -> None:
    """Have the transaction, which must not have begun to read, read one snapshot, slowly if the reader is slow."""
    conn.execute("set transaction isolation level repeatable read, read only")
    conn.execute("set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '10min'")


def newest(conn: Conn, loop: str) -> Cursor:
    """Return the cursor behind the newest change of the loop."""
    row = conn.execute(
        "select seq, at from feedback_changes where loop = %(loop)s order by seq desc limit 1", {"loop": loop}
    ).fetchone()
    return cursors.start(loop) if row is None else Cursor(loop, row["seq"], row["at"])


def is_known(conn: Conn, cursor: Cursor) -> bool:
    """Return whether this database has given the cursor."""
    row = conn.execute(
        "select at from feedback_changes where loop = %(loop)s and seq = %(seq)s",
        {"loop": cursor.loop, "seq": cursor.seq},
    ).fetchone()
    return cursor == cursors.start(cursor.loop) if row is None else bool(row["at"] == cursor.at)


def rows(conn: Conn, since: Cursor | None, upto: Cursor, source: str | None = None) -> Iterator[DictRow]:
    """Yield the rows with COLUMNS, by output and reviewer: all without `since`, else the changed and deleted ones.

    With `source` only those of this source.
    """
    parameters = {"loop": upto.loop, "since": 0 if since is None else since.seq, "upto": upto.seq, "source": source}
    return _streamed(conn, _ALL if since is None else _CHANGED, parameters)


def examples(conn: Conn, loop: str, edited: Sequence[str] = (), source: str | None = None) -> Iterator[DictRow]:
    """Yield data, model_label, answer and written of the outputs with an answer that models may learn from: neither
    held out nor gold.

    `written` has the results of the annotations that gave the answer, the newest first; [] if the answer is not one of
    `edited`. `source`: only the outputs of this source.
    """
    return _streamed(conn, _EXAMPLES, {"loop": loop, "source": source, "edited": list(edited)})


def held_out(conn: Conn, loop: str) -> int:
    """Count the outputs whose answer is no example, because they are in the hold-out set."""
    row = conn.execute(
        """
        select count(*) as n from outputs o cross join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a
        where o.loop = %(loop)s and o.holdout and o.lane <> 'gold' and a.label is not null
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def _streamed(conn: Conn, statement: str, parameters: dict[str, Any]) -> Iterator[DictRow]:
    with conn.cursor(name="export") as cursor:
        cursor.itersize = EXPORT_ROWS
        cursor.execute(statement, parameters)
        yield from cursor


def columns_of(row: DictRow) -> Sequence[Any]:
    """Return the values of a row in the order of COLUMNS."""
    return [row[name] for name in COLUMNS]

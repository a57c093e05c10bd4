"""Statements about the table label_changes, and about what stands in other tables under a label that changed.

Outputs, prelabels and answers have the labels of today, so that no reader needs to know of a change. What a pipeline
sent stays in outputs.as_given, and what people answered in annotation_versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.labeling.controls import Former
from labelloop.labeling.former import ChangeKind, LabelChange, in_force
from labelloop.store.database import Conn

PAGE = 1000
"""Rows that are in memory at a time."""
REASON = "the labels of the loop have changed"
"""Reason on the record of what follows from a change. It names no label: that would outlive a forgotten output."""
GIVEN = ("label", "confidence", "probabilities", "result", "gold")
"""Columns of outputs that a change of labels may change."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of the rows that a change is about."""

    answers: int
    """Outputs whose newest answer has one of the labels."""
    held_out: int
    """Those of them in the hold-out set."""
    open: int
    """Open tasks that show one of the labels as their prelabel."""
    waiting: int
    """Waiting outputs with one of the labels."""
    outputs: int
    """Outputs with one of the labels as the pipeline's, or as their known answer."""


def list_(conn: Conn, loop: str) -> list[LabelChange]:
    """Return all changes of the loop's labels, oldest first."""
    rows = conn.execute(
        """
        select id, kind, labels, becomes, created, became, files, undoes, by, why, at from label_changes
        where loop = %(loop)s order by id
        """,
        {"loop": loop},
    )
    return [LabelChange(**{**row, "kind": ChangeKind(row["kind"]), "became": _read(row["became"])}) for row in rows]


def newest(conn: Conn, loop: str) -> int:
    """Return the number of the newest change; 0 if there is none."""
    row = conn.execute("select coalesce(max(id), 0) as id from label_changes where loop = %s", [loop]).fetchone()
    assert row is not None
    return int(row["id"])


def lock(conn: Conn, loop: str) -> bool:
    """Whether this transaction has the lock on the labels of the loop now. It holds it until it ends."""
    row = conn.execute("select pg_try_advisory_xact_lock(hashtext('labelloop.labels'), hashtext(%s)) as mine", [loop])
    found = row.fetchone()
    assert found is not None
    return bool(found["mine"])


def former(conn: Conn, loop: str) -> dict[str, Former]:
    """Return what became of each label that the loop's form does not have any more."""
    return in_force(list_(conn, loop))


def add(
    conn: Conn,
    loop: str,
    kind: ChangeKind,
    labels: Sequence[str],
    becomes: Sequence[str],
    created: Sequence[str],
    became: Mapping[str, Former | None],
    files: Mapping[str, Mapping[str, str]],
    undoes: int | None,
    by: str,
    why: str,
) -> int:
    """Store a change; return its number."""
    row = conn.execute(
        """
        insert into label_changes (loop, kind, labels, becomes, created, became, files, undoes, by, why)
        values (%(loop)s, %(kind)s, %(labels)s, %(becomes)s, %(created)s, %(became)s, %(files)s, %(undoes)s, %(by)s,
            %(why)s)
        returning id
        """,
        {
            "loop": loop,
            "kind": str(kind),
            "labels": list(labels),
            "becomes": list(becomes),
            "created": list(created),
            "became": Jsonb({label: None if one is None else asdict(one) for label, one in became.items()}),
            "files": Jsonb(files),
            "undoes": undoes,
            "by": by,
            "why": why,
        },
    ).fetchone()
    assert row is not None
    return int(row["id"])


def counts(conn: Conn, loop: str, labels: Sequence[str]) -> Counts:
    row = conn.execute(
        """
        select
            (select count(*) from outputs o where o.loop = %(loop)s
                and (o.label = any(%(labels)s) or o.gold = any(%(labels)s))) as outputs,
            (select count(*) from pool p where p.loop = %(loop)s and p.label = any(%(labels)s)) as waiting,
            (select count(*) from tasks t join outputs o on o.id = t.output_id
                where t.loop = %(loop)s and t.label = any(%(labels)s) and o.state = 'in_review') as open,
            count(*) as answers, count(*) filter (where o.holdout and o.lane <> 'gold') as held_out
        from outputs o join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a on a.label = any(%(labels)s)
        where o.loop = %(loop)s
        """,
        {"loop": loop, "labels": list(labels)},
    ).fetchone()
    assert row is not None
    return Counts(**row)


def labels_of_forms(conn: Conn, loop: str) -> list[list[str]]:
    """Return the labels of every form that the loop has had."""
    rows = conn.execute("select distinct spec -> 'labels' as labels from spec_versions where loop = %s", [loop])
    return [row["labels"] for row in rows]


def given(conn: Conn, loop: str, labels: Sequence[str], after: UUID | None, *, again: bool) -> list[dict[str, Any]]:
    """Return a page of outputs, by id, that have one of these labels and came since the newest change. Each has its
    columns GIVEN as they are, and `as_given`. With `again` it returns older ones too, and those that had another label
    at first.
    """
    # A worker looks for late ones every few minutes: that must not read the whole loop. `offset 0` keeps it apart.
    late = """
        (select * from outputs where loop = %(loop)s and received_at > (
            select max(at) - interval '1 hour' from label_changes where loop = %(loop)s) offset 0) as o
    """
    return conn.execute(
        f"""
        select id, as_given, {", ".join(GIVEN)} from {"outputs" if again else late}
        where loop = %(loop)s and (%(after)s::uuid is null or id > %(after)s) and (
            (%(again)s and as_given is not null) or label = any(%(labels)s) or gold = any(%(labels)s)
            or probabilities ?| %(labels)s
            or jsonb_path_query_array(result, '$[*].value.choices[*]') ?| %(labels)s)
        order by id limit %(page)s
        """,
        {"loop": loop, "labels": list(labels), "after": after, "again": again, "page": PAGE},
    ).fetchall()


def write_given(conn: Conn, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store the columns GIVEN and `as_given` of these outputs."""
    with conn.cursor() as cursor:
        cursor.executemany(
            f"""
            update outputs set as_given = %(as_given)s, {", ".join(f"{name} = %({name})s" for name in GIVEN)}
            where id = %(id)s
            """,
            [{name: Jsonb(v) if isinstance(v, dict | list) else v for name, v in row.items()} for row in rows],
        )


def write_prelabels(conn: Conn, loop: str, became: Mapping[str, str | None], outputs: Sequence[UUID]) -> None:
    """Give prelabels the labels of today; the next push shows them in open tasks.

    A pipeline's label is read from its output again (`outputs`: those that changed). A version's label is mapped by
    `became`; a label that is not in it, and that a version may give in another way now, is scored again.
    """
    values = {"loop": loop, "became": Jsonb(dict(became)), "labels": list(became), "outputs": list(outputs)}
    conn.execute(
        """
        update pool p set label = o.label, confidence = o.confidence from outputs o
        where o.id = p.output_id and p.champion = 'pipeline' and o.id = any(%(outputs)s)
        """,
        values,
    )
    conn.execute(
        """
        update tasks t set label = o.label, confidence = o.confidence, shown_version = '' from outputs o
        where o.id = t.output_id and t.champion = 'pipeline' and o.id = any(%(outputs)s)
        """,
        values,
    )
    mapped = """
        label = %(became)s::jsonb ->> label, champion = '',
        confidence = case when %(became)s::jsonb ->> label is not null then confidence end,
        margin = case when %(became)s::jsonb ->> label is not null then margin end
    """
    where = "where loop = %(loop)s and label = any(%(labels)s) and champion <> 'pipeline'"
    conn.execute(f"update pool set {mapped} {where}", values)
    conn.execute(f"update tasks set {mapped}, shown_version = '' {where}", values)
    conn.execute(
        """
        update batch_items i set label = case when i.champion = 'pipeline' then o.label
            else %(became)s::jsonb ->> i.label end
        from outputs o where o.id = i.output_id and o.loop = %(loop)s and i.label = any(%(labels)s)
        """,
        values,
    )


def unsettled(conn: Conn, loop: str, labels: Sequence[str], outputs: Sequence[UUID], *, again: bool) -> list[UUID]:
    """Return the outputs whose answers may count otherwise now, by id: those with feedback that has one of these
    labels, and those of `outputs` that somebody answered. With `again` also those with an answer that could not be
    read.
    """
    rows = conn.execute(
        """
        select model_output_id as id from feedback f join outputs o on o.id = f.model_output_id
        where o.loop = %(loop)s and f.label = any(%(labels)s)
        union select output_id from unreadable
        where %(again)s and loop = %(loop)s and until is null and decision is null
        union select output_id from annotation_versions where output_id = any(%(outputs)s)
        order by id
        """,
        {"loop": loop, "labels": list(labels), "outputs": list(outputs), "again": again},
    )
    return [row["id"] for row in rows]


def _read(became: Mapping[str, Any]) -> dict[str, Former | None]:
    return {label: None if one is None else Former(tuple(one["to"]), bool(one["ask"])) for label, one in became.items()}

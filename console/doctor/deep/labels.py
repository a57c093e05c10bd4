"""Labels: what each former label became, by the changes on file. Written again, not shared with the pull."""

from __future__ import annotations

from collections.abc import Mapping

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, is_there

Became = Mapping[str, str | None]
"""The label of today by each label that a change was about; None if answers with it do not count."""


def became(conn: Conn, loop: Loop) -> Became:
    if not is_there(conn, "label_changes"):
        return {}
    rows = conn.execute(
        """
        with recursive newest as (
            select distinct on (e.key) e.key as label, e.value as what
            from label_changes c cross join jsonb_each(c.became) e where c.loop = %(loop)s order by e.key, c.id desc
        ), step as (
            select label, case when jsonb_array_length(what -> 'to') = 1 and not (what ->> 'ask')::boolean
                then what #>> '{to,0}' end as next
            from newest where jsonb_typeof(what) = 'object'
        ), walk as (
            select label, next, 1 as n from step
            union all select w.label, s.next, w.n + 1 from walk w join step s on s.label = w.next where w.n < 1000
        )
        select distinct on (label) label, next from walk order by label, n desc
        """,
        {"loop": loop.name},
    )
    found = {row["label"]: row["next"] for row in rows}
    undone = conn.execute("select labels from label_changes where loop = %(loop)s", {"loop": loop.name}).fetchall()
    return {label: label for row in undone for label in row["labels"]} | found

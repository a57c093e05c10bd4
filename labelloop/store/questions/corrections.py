"""The shown prelabel beside each answer that a person gave to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from labelloop.store.database import Conn


class Shown(NamedTuple):
    """One person's answer to an output whose task showed a prelabel."""

    shown: str | None
    """The prelabel that the task had last."""
    champion: str
    """The version that gave it, by its first 12 digits; `pipeline` for the output's own model."""
    model_version: str
    """The pipeline's name for its model."""
    output_label: str | None
    result: list[Any] | None
    """Label Studio's own result, if the pipeline sent one."""
    kept: bool
    label: str | None
    """The person's answer."""
    week: datetime
    """Monday, 0:00 UTC, of the week of the answer."""


def since(conn: Conn, loop: str, begin: datetime, most: int) -> Iterator[Shown]:
    """Yield the answers since `begin`, at most `most`, newest first; gold items are left out."""
    with conn.cursor(name="corrections") as cursor:
        cursor.itersize = 5_000
        cursor.execute(
            """
            select t.label as shown, t.champion, o.model_version, o.label as output_label, o.result,
                f.prelabel_kept as kept, f.label, date_trunc('week', f.updated_at at time zone 'utc') as week
            from feedback f join outputs o on o.id = f.model_output_id join tasks t on t.output_id = o.id
            where o.loop = %(loop)s and f.prelabel_kept is not null and f.updated_at >= %(begin)s and o.lane <> 'gold'
            order by f.updated_at desc, f.id limit %(most)s
            """,
            {"loop": loop, "begin": begin, "most": most},
        )
        for row in cursor:
            yield Shown(**row)

"""Loops: what their files said when they were last read."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from labelloop.spec import LoopSpec
from labelloop.store.database import Conn


def register(conn: Conn, spec: LoopSpec) -> None:
    """Write the loop down, or what its files say now. Twice is once."""
    conn.execute(
        """
        insert into loops (name, spec, labels_xml) values (%(name)s, %(spec)s, %(labels_xml)s)
        on conflict (name) do update
            set spec = excluded.spec, labels_xml = excluded.labels_xml, updated_at = now()
            where (loops.spec, loops.labels_xml) is distinct from (excluded.spec, excluded.labels_xml)
        """,
        {"name": spec.name, "spec": Jsonb(spec.to_json()), "labels_xml": spec.labels_xml},
    )


def get(conn: Conn, name: str) -> LoopSpec | None:
    """The loop of this name; None where nobody registered it."""
    row = conn.execute("select spec from loops where name = %(name)s", {"name": name}).fetchone()
    return None if row is None else LoopSpec.from_json(row["spec"])


def names(conn: Conn) -> list[str]:
    """All loops, by name."""
    return [row["name"] for row in conn.execute("select name from loops order by name")]

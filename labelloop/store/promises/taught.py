"""Statements about the table accepted_items: accepted outputs that a run is trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.spec.accept import ALL
from labelloop.store.database import Conn
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.versions.items import AcceptedItem

# Whether the certificate `c`, or a later one of its test, was revoked, or ended for another reason than a new
# certificate of the same test or another model's labels.
_WITHDRAWN = """
    exists (select from certificates l where l.test_id = c.test_id and l.made_at >= c.made_at
            and (l.revoked_at is not null or (l.ended_at is not null and not l.replaced and not l.succeeded)))
"""


@dataclass(frozen=True, slots=True)
class Teachable:
    """Accepted outputs that may train a version."""

    rows: list[AcceptedItem]
    """Those that were drawn, in the order of their keys. Their weight is 1 until the run sets it."""
    of: int
    """Number of all that may."""


def teachable(conn: Conn, loop: str, basis: bytes, upto: datetime, most: int) -> Teachable:
    """Return accepted outputs with the pipeline's label whose promise still holds, at most `most`, drawn by a hash.

    `basis`: that of the loop's promise now. `upto`: those that were accepted later are left out. An output that anybody
    answered is left out too.

    The certificate that let an output pass must stand, and so must each later one of its test. One that was revoked
    does not, nor one that ended for another reason than a new certificate of the test or another model's labels. The
    newest one must still cover the output.
    """
    rows = conn.execute(
        f"""
        with newest as (
            select distinct on (c.test_id) c.test_id, c.thresholds, c.error from certificates c
            where c.loop = %(loop)s and c.labeller = 'pipeline' and c.basis = %(basis)s
            order by c.test_id, c.made_at desc, c.id
        ), limits as (
            select n.test_id, n.error, t.key as label, t.value::text::float8 as least
            from newest n cross join lateral jsonb_each(n.thresholds) t
        )
        select o.id as output_id, o.key, o.group_key, o.data, x.label, s.error, count(*) over () as of
        from accepted x join certificates c on c.id = x.certificate_id join limits s on s.test_id = c.test_id
        join outputs o on o.id = x.output_id
        where x.loop = %(loop)s and not {_WITHDRAWN} and x.revoked_at is null and x.at <= %(upto)s
        and o.state = 'accepted'
        and s.label in (x.label, %(all)s) and x.confidence >= s.least and {NO_REPEAT}
        and not exists (select from answers a where a.output_id = o.id)
        and not exists (select from feedback f where f.model_output_id = o.id)
        order by md5(o.id::text) limit %(most)s
        """,
        {"loop": loop, "basis": basis, "upto": upto, "most": most, "all": ALL},
    ).fetchall()
    found = [
        AcceptedItem(row["key"], row["group_key"], row["data"], None, row["label"], 1.0, row["output_id"], row["error"])
        for row in rows
    ]
    return Teachable(sorted(found, key=lambda row: row.key), rows[0]["of"] if rows else 0)


def write(conn: Conn, run_id: UUID, rows: Iterable[AcceptedItem]) -> None:
    """Store the accepted outputs that the run is trained on."""
    with conn.cursor().copy("copy accepted_items (run_id, output_id, label, weight) from stdin") as copy:
        for row in rows:
            copy.write_row((run_id, row.output_id, row.label, row.weight))


def no_longer_standing(conn: Conn, version_id: str, run_id: UUID | None = None) -> int:
    """Count the accepted outputs that the version was trained on and whose certificate was revoked or withdrawn since.

    A certificate that another one of the same test has replaced stands as long as that one does. `run_id`: a run that
    has made the version, or judged it again, and that has not ended yet.
    """
    row = conn.execute(
        f"""
        select count(distinct i.output_id) as n from accepted_items i join retrain_runs r on r.id = i.run_id
        join accepted x on x.output_id = i.output_id join certificates c on c.id = x.certificate_id
        where (r.version_id = %(version)s or r.id = %(run)s) and {_WITHDRAWN}
        """,
        {"version": version_id, "run": run_id},
    ).fetchone()
    assert row is not None
    return int(row["n"])

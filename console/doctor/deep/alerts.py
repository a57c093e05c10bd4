"""Alerts: no version counts that somebody else than its author wrote, unless a person accepted that (I21)."""

from __future__ import annotations

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, is_there, stream
from console.doctor.deep.seen import Seen


def foreign(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Note the answers that count in another person's name.

    Left out: versions that were stored before alerts, and the answers that an adopted project came with.
    """
    if loop.instance is None or not is_there(conn, "alerts"):
        return
    rows = stream(
        conn,
        """
        with counting as (
            select * from (
                select distinct on (v.annotation_id) v.* from annotation_versions v
                where v.instance = %(instance)s and v.output_id is not null and not exists (
                    select from exclusions x where x.annotation_version = v.seq and x.until is null)
                order by v.annotation_id, v.updated_at desc, v.seq desc
            ) newest where not deleted and distrusted is null and updated_by is not null
        )
        select c.seq, c.annotation_id, c.output_id, o.key, c.updated_by, first.author
        from counting c join outputs o on o.id = c.output_id and o.loop = %(loop)s cross join lateral (
            select coalesce(f.completed_by, f.updated_by) as author from annotation_versions f
            where f.instance = c.instance and f.annotation_id = c.annotation_id order by f.seq limit 1
        ) first
        left join reviewers w on w.instance = c.instance and w.label_studio_user_id = c.updated_by
        where first.author <> c.updated_by
        and not exists (
            select from alerts a where a.loop = %(loop)s and a.instance = c.instance and a.state = 'accepted'
            and a.annotation_id = c.annotation_id and a.person_id = c.updated_by)
        and not coalesce(lower(w.email) = any(%(may_edit)s), false)
        and not exists (
            select from adopted_tasks d where d.output_id = c.output_id and c.seen_at <= o.received_at)
        and not exists (
            select from record_entries e where e.what = 'annotation_versions' and e.key = c.seq::text
            and e.reason = 'the record began')
        """,
        {
            "loop": loop.name,
            "instance": loop.instance,
            "may_edit": [
                str(email).lower()
                for key in ("reviewers_may_edit", "adjudicators")
                for email in loop.spec.get(key) or ()
            ],
        },
    )
    for row in rows:
        if not seen.told(row["output_id"]):
            says = f"user {row['updated_by']} wrote it in the place of user {row['author']}, and nobody accepted that"
            seen.wrong("I21", row["annotation_id"], says, mark=row["seq"], output=row["output_id"])
            seen.name_row(f"annotation_versions/{row['seq']}")

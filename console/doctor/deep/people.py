"""People: the open tasks that are shared out among them (I26)."""

from __future__ import annotations

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, is_there, stream
from console.doctor.deep.seen import Seen


def assignments(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Note the tasks that are assigned in vain; none while a push is at work, whose end shares the tasks out again.

    Tasks that a person let go are left out.
    """
    if not is_there(conn, "assignments"):
        return
    rows = stream(
        conn,
        """
        with newest as (
            select distinct on (v.instance, v.annotation_id) v.* from annotation_versions v
            join assignments a on a.output_id = v.output_id and a.loop = %(loop)s
            order by v.instance, v.annotation_id, v.updated_at desc, v.seq desc
        )
        select o.id, o.key, o.state::text, a.reviewer_id, coalesce(r.email, r.id::text) as person,
            not exists (select from assignees p where p.loop = a.loop and p.reviewer_id = a.reviewer_id) as stranger,
            exists (
                select from newest n where n.output_id = a.output_id and n.instance = r.instance and not n.deleted
                and n.completed_by = r.label_studio_user_id
            ) or exists (
                select from feedback f join reviewers s on s.id = f.reviewer_id
                where f.model_output_id = a.output_id and (s.id = r.id or s.email = r.email)) as done
        from assignments a join outputs o on o.id = a.output_id join reviewers r on r.id = a.reviewer_id
        where a.loop = %(loop)s and a.handed_on_at is null and not exists (
            select from procrastinate_jobs j
            where j.task_name = 'sync.push' and j.status = 'doing' and j.args ->> 'loop' = a.loop)
        """,
        {"loop": loop.name},
    )
    for row in rows:
        if row["state"] != "in_review":
            says = f"it is {row['state']}, and {row['person']} is to answer it"
        elif row["stranger"]:
            says = f"{row['person']} is to answer it, and is not one of the loop's people"
        elif row["done"]:
            says = f"{row['person']} is to answer it, and has answered or skipped it"
        else:
            continue
        seen.name_row(f"assignments/{row['id']}/{row['reviewer_id']}")
        seen.wrong("I26", row["key"], says, mark=row["person"], output=row["id"])

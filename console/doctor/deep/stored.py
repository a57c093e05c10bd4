"""Annotations: each one in Label Studio beside its newest stored version (I6, I7, I19), and the versions (I25)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, Row, not_forgotten, stream
from console.doctor.deep.seen import Seen
from console.doctor.deep.values import moment, plain, user, version_hashes
from console.doctor.deep.web import Json


def compare(
    seen: Seen, conn: Conn, loop: Loop, page: list[Json], outputs: Mapping[int, Row | None], there: set[int]
) -> None:
    """Compare the annotations of a page of tasks; add their ids to `there`. `outputs`: those of the tasks."""
    given = [(task["id"], one) for task in page for one in task.get("annotations") or [] if isinstance(one, dict)]
    there |= {one["id"] for _, one in given}
    stored = _newest(conn, loop, [one["id"] for _, one in given])
    for task_id, one in given:
        output, row = outputs[task_id], stored.get(one["id"])
        blame = None if output is None else output["id"]
        changed = moment(one.get("updated_at"))
        if row is None:
            seen.wrong(
                "I6", one["id"], f"on task {task_id}: it is not stored", mark=changed, task=task_id, output=blame
            )
        elif row["deleted"]:
            says = f"on task {task_id}: it is stored as deleted"
            seen.wrong("I19", one["id"], says, mark=changed, task=task_id, output=blame)
        elif row["updated_at"] != changed:
            older = "older" if row["updated_at"] < changed else "newer"
            says = f"on task {task_id}: the stored version is {older}"
            seen.wrong("I6", one["id"], says, mark=changed, task=task_id, output=blame)
        elif names := _different(one, row, blame):
            says = f"on task {task_id}: stored with another {', '.join(names)}"
            seen.wrong("I6", one["id"], says, mark=changed, task=task_id, output=blame)


def _newest(conn: Conn, loop: Loop, ids: list[int]) -> dict[int, Row]:
    if not ids:
        return {}
    rows = conn.execute(
        """
        select distinct on (annotation_id) * from annotation_versions
        where instance = %(instance)s and annotation_id = any(%(ids)s)
        order by annotation_id, updated_at desc, seq desc
        """,
        {"instance": loop.instance, "ids": ids},
    )
    return {row["annotation_id"]: row for row in rows}


def _different(one: Json, row: Row, output: Any) -> list[str]:
    """Return the names of the fields that differ."""
    result = plain(one.get("result"))
    lead = one.get("lead_time")
    theirs: dict[str, Any] = {
        "result": result if isinstance(result, list) else [],
        "completed_by": user(one.get("completed_by")),
        "updated_by": user(one.get("updated_by")),
        "was_cancelled": one.get("was_cancelled") is True,
        "ground_truth": one.get("ground_truth") is True,
        "lead_time_s": plain(float(lead)) if isinstance(lead, int | float) and not isinstance(lead, bool) else None,
        "created_at": moment(one.get("created_at")),
    }
    if theirs["completed_by"] is None and theirs["updated_by"] is None:  # a user that was deleted: we keep the name
        del theirs["completed_by"], theirs["updated_by"]
    if row["distrusted"] is None:
        theirs["output_id"] = output
    return [name for name, value in theirs.items() if value != row[name]]


def left(seen: Seen, conn: Conn, loop: Loop, there: set[int]) -> None:
    """Note the stored annotations that are not `there` and count all the same."""
    rows = stream(
        conn,
        """
        select * from (
            select distinct on (v.annotation_id) v.annotation_id, v.task_id, v.output_id, v.updated_at, v.deleted
            from annotation_versions v where v.instance = %(instance)s
            order by v.annotation_id, v.updated_at desc, v.seq desc
        ) newest where not deleted and output_id is not null
        """,
        {"instance": loop.instance},
    )
    for row in rows:
        if row["annotation_id"] not in there and not seen.told(row["output_id"]):
            says = f"on task {row['task_id']}: Label Studio does not have it"
            seen.wrong(
                "I7", row["annotation_id"], says, mark=row["updated_at"], task=row["task_id"], output=row["output_id"]
            )


def versions(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Compute the SHA-256 of each stored version anew, and look what each tombstone follows."""
    rows = stream(
        conn,
        f"""
        select v.*, v.deleted and not exists (
            select from annotation_versions b
            where b.instance = v.instance and b.annotation_id = v.annotation_id and b.seq < v.seq and not b.deleted
            and b.updated_at = v.updated_at) as of_nothing, v.instance <> %(instance)s and exists (
            select from reviewers r where r.instance = v.instance and r.forgotten_at is not null
            and r.label_studio_user_id = v.completed_by) as renumbered
        from annotation_versions v left join outputs o on o.id = v.output_id
        where o.loop = %(loop)s and {not_forgotten(conn)} or (v.output_id is null and v.instance = %(instance)s)
        order by v.seq
        """,
        {"loop": loop.name, "instance": loop.instance},
    )
    for row in rows:
        if seen.told(row["output_id"]):
            continue
        if row["of_nothing"]:
            says = f"version {row['seq']} is a tombstone of an annotation that was never stored"
            seen.wrong("I19", row["annotation_id"], says, mark=row["seq"], output=row["output_id"])
        elif not row["renumbered"] and bytes(row["sha256"]) not in version_hashes(row):
            says = f"version {row['seq']} is not as it was written"
            seen.wrong("I25", row["annotation_id"], says, mark=row["seq"], output=row["output_id"])

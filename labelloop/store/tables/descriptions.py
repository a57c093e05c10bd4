"""Statements about the table version_descriptions: what people call versions and note about them."""

from __future__ import annotations

from labelloop.errors import Conflict
from labelloop.store.database import Conn, columns, rows_of
from labelloop.versions.descriptions import Description, DescriptionChange


def write(conn: Conn, version_id: str, description: Description, by: str, *, seen: int | None = None) -> None:
    """Store a version's new description; the earlier ones stay on record. An equal description is not stored again.

    `seen`: id of the newest change that the writer has looked at (0 if there was none, None if it is not checked).
    Raises Conflict if there is a newer change.
    """
    conn.execute("select from model_versions where id = %(id)s for no key update", {"id": version_id})  # one at a time
    newest = next(iter(history(conn, version_id)), None)
    if seen is not None and seen != (0 if newest is None else newest.id):
        raise Conflict("somebody has changed name, tags or note since you looked: nothing was done, look again")
    if description == (Description() if newest is None else newest.description):
        return
    conn.execute(
        """
        insert into version_descriptions (version_id, name, tags, note, by)
        values (%(version_id)s, %(name)s, %(tags)s, %(note)s, %(by)s)
        """,
        {
            "version_id": version_id,
            "name": description.name,
            "tags": list(description.tags),
            "note": description.note,
            "by": by,
        },
    )


def history(conn: Conn, version_id: str) -> list[DescriptionChange]:
    """Return every change of the version's description, newest first."""
    changes = rows_of(conn, DescriptionChange)
    return changes.execute(
        f"""
        select {columns(DescriptionChange)} from version_descriptions where version_id = %(id)s order by id desc
        """,
        {"id": version_id},
    ).fetchall()


def newest(conn: Conn, loop: str | None = None) -> dict[str, Description]:
    """Return the description of each version that has one; of all loops if `loop` is None."""
    rows = conn.execute(
        """
        select distinct on (d.version_id) d.version_id, d.name, d.tags, d.note
        from version_descriptions d join model_versions v on v.id = d.version_id
        where %(loop)s::text is null or v.loop = %(loop)s order by d.version_id, d.id desc
        """,
        {"loop": loop},
    )
    return {row["version_id"]: Description(row["name"], tuple(row["tags"]), row["note"]) for row in rows}

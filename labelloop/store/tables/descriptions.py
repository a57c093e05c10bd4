"""What people call versions, and what they note about them: one statement a function; the caller's transaction."""

from __future__ import annotations

from typing import Any

from labelloop.errors import Conflict
from labelloop.store.database import Conn
from labelloop.versions.descriptions import Description


def write(conn: Conn, version_id: str, description: Description, by: str, *, seen: int | None = None) -> None:
    """The description from now on; the earlier ones stay on record. One that says the same is not written.

    `seen`: number of the change that whoever writes has looked at (0: none; None: whichever). Raises Conflict where it
    is not the newest one.
    """
    conn.execute("select from model_versions where id = %(id)s for no key update", {"id": version_id})  # one at a time
    newest = next(iter(history(conn, version_id)), None)
    if seen is not None and seen != (0 if newest is None else newest["id"]):
        raise Conflict("somebody has changed name, tags or note since you looked: nothing was done, look again")
    now = Description() if newest is None else Description(newest["name"], tuple(newest["tags"]), newest["note"])
    if now == description:
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


def history(conn: Conn, version_id: str) -> list[dict[str, Any]]:
    """Every change: id, name, tags, note, by, at; newest first."""
    return conn.execute(
        "select id, name, tags, note, by, at from version_descriptions where version_id = %(id)s order by id desc",
        {"id": version_id},
    ).fetchall()


def newest(conn: Conn, loop: str | None = None) -> dict[str, dict[str, Any]]:
    """Version to its name, tags and note, where it has any; of one loop, or of all."""
    rows = conn.execute(
        """
        select distinct on (d.version_id) d.version_id, d.name, d.tags, d.note
        from version_descriptions d join model_versions v on v.id = d.version_id
        where %(loop)s::text is null or v.loop = %(loop)s order by d.version_id, d.id desc
        """,
        {"loop": loop},
    ).fetchall()
    return {row.pop("version_id"): row for row in rows}

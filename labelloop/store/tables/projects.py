"""Statements about the table projects: each loop's project in Label Studio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Jsonb

from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.store.database import Conn, columns, rows_of


def get(conn: Conn, loop: str) -> LoopProject | None:
    """Return the loop's project; None if the loop has no row yet."""
    cursor = rows_of(conn, LoopProject)
    return cursor.execute(
        f"select {columns(LoopProject)} from projects where loop = %(loop)s", {"loop": loop}
    ).fetchone()


def intend(conn: Conn, loop: str, label_studio_url: str, signing_key: bytes) -> None:
    """Store that the loop needs a project. A second call changes nothing."""
    conn.execute(
        """
        insert into projects (loop, label_studio_url, signing_key) values (%(loop)s, %(url)s, %(key)s)
        on conflict (loop) do nothing
        """,
        {"loop": loop, "url": label_studio_url, "key": signing_key},
    )


def claim_creation(conn: Conn, loop: str, grace_s: float) -> bool:
    """Claim the right to create the project in Label Studio.

    False if the project exists, or if another process claimed it less than `grace_s` seconds ago.
    """
    return (
        conn.execute(
            """
            update projects set creating_since = now()
            where loop = %(loop)s and project_id is null
              and (creating_since is null or creating_since < now() - make_interval(secs => %(grace)s))
            """,
            {"loop": loop, "grace": grace_s},
        ).rowcount
        == 1
    )


def give_up_creation(conn: Conn, loop: str) -> None:
    """Release the claim, because the project was certainly not created. The next process may try at once."""
    conn.execute("update projects set creating_since = null where loop = %(loop)s", {"loop": loop})


def made(conn: Conn, loop: str, project_id: ProjectId, label_studio_url: str) -> None:
    """Store the id and the address of the project that was created in Label Studio."""
    conn.execute(
        """
        update projects set project_id = %(id)s, label_studio_url = %(url)s, creating_since = null
        where loop = %(loop)s
        """,
        {"loop": loop, "id": project_id, "url": label_studio_url},
    )


def replace(conn: Conn, loop: str, signing_key: bytes) -> None:
    """Have the loop get a new project, which is not created yet.

    The rows of the earlier project keep that project's `instance`. Its doorbells are deleted.
    """
    conn.execute(
        """
        update projects set project_id = null, instance = gen_random_uuid(), signing_key = %(key)s,
            creating_since = null, model_version = default, bookmark = null, swept_at = null, asks = null
        where loop = %(loop)s
        """,
        {"loop": loop, "key": signing_key},
    )
    conn.execute("delete from pull_requests where loop = %(loop)s", {"loop": loop})


def set_model_version(conn: Conn, loop: str, version: str) -> None:
    """Store the `model_version` that the project shows in Label Studio."""
    conn.execute(
        "update projects set model_version = %(version)s where loop = %(loop)s", {"loop": loop, "version": version}
    )


def set_words(conn: Conn, loop: str, words: Mapping[str, str]) -> None:
    """Store the texts that labelloop wrote. If Label Studio's texts differ later, a person has changed them."""
    conn.execute("update projects set words = %(words)s where loop = %(loop)s", {"loop": loop, "words": Jsonb(words)})


def asks(conn: Conn, loop: str) -> int | None:
    """Return how many people Label Studio was told to ask about a task; None if it is not known."""
    row = conn.execute("select asks from projects where loop = %(loop)s", {"loop": loop}).fetchone()
    return None if row is None else row["asks"]


def set_asks(conn: Conn, loop: str, people: int | None) -> None:
    """Store how many people Label Studio asks about a task; None while that is being changed."""
    conn.execute("update projects set asks = %(n)s where loop = %(loop)s", {"n": people, "loop": loop})


def set_bookmark(conn: Conn, loop: str, bookmark: datetime | None) -> None:
    """Store that everything changed in Label Studio up to `bookmark` has been pulled. It never moves back."""
    conn.execute(
        "update projects set bookmark = greatest(bookmark, %(bookmark)s) where loop = %(loop)s",
        {"loop": loop, "bookmark": bookmark},
    )


def swept(conn: Conn, loop: str) -> None:
    """Store that a full sweep has just been completed."""
    conn.execute("update projects set swept_at = now(), restored_at = null where loop = %(loop)s", {"loop": loop})


def was_restored(conn: Conn, loop: str) -> bool:
    """Return whether the database was restored from a backup and the tasks were not compared since."""
    row = conn.execute("select restored_at from projects where loop = %(loop)s", {"loop": loop}).fetchone()
    return row is not None and row["restored_at"] is not None


def lock_hop(conn: Conn, loop: str, hop: str) -> None:
    """Lock this hop of the loop until the transaction ends; other transactions that lock it wait."""
    conn.execute(
        "select pg_advisory_xact_lock(hashtext('labelloop.' || %(hop)s), hashtext(%(loop)s))",
        {"hop": hop, "loop": loop},
    )

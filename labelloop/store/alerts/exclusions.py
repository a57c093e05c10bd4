"""Exclusions: versions of annotations that do not count, as if Label Studio had never shown them.

The version before an excluded one counts; without one, the annotation is no answer. Nothing in annotation_versions
changes. After any call the caller has `resolve` compute the answers of the outputs again, in the same transaction or in
one that holds the lock on the loop's answers.
"""

from __future__ import annotations

from collections.abc import Collection

from labelloop.store.database import Conn


def exclude(conn: Conn, loop: str, versions: Collection[int], alert_id: int, reason: str, *, ask: bool) -> None:
    """Exclude these versions (annotation_versions.seq) because of an alert; those that it excludes already stay.

    `reason`: for people. `ask`: somebody else is asked if nothing of the annotation is left.
    """
    conn.execute(
        """
        insert into exclusions (loop, annotation_version, alert_id, reason, ask)
        select %(loop)s, unnest(%(versions)s::bigint[]), %(alert)s, %(reason)s, %(ask)s
        on conflict do nothing
        """,
        {"loop": loop, "versions": sorted(set(versions)), "alert": alert_id, "reason": reason, "ask": ask},
    )

"""Exclusions: versions of annotations that do not count, as if Label Studio had never shown them.

The version before an excluded one counts; without one, the annotation is no answer. Nothing in annotation_versions
changes. After any call the caller has `resolve` compute the answers of the outputs again, in the same transaction or in
one that holds the lock on the loop's answers.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from labelloop.store.database import Conn


class Cause(StrEnum):
    ALERT = "alert"
    """An alert that is open or rejected."""
    DISTRUST = "distrust"
    """The author is distrusted."""


def exclude(
    conn: Conn,
    loop: str,
    versions: Collection[int],
    cause: Cause,
    reason: str,
    *,
    ask: bool = False,
    alert_id: int | None = None,
) -> None:
    """Exclude these versions (annotation_versions.seq), by this cause; those that are excluded by it already stay.

    `reason`: for people. `ask`: somebody else is asked if nothing of the annotation is left.
    """
    conn.execute(
        """
        insert into exclusions (loop, annotation_version, cause, alert_id, reason, ask)
        select %(loop)s, unnest(%(versions)s::bigint[]), %(cause)s, %(alert)s, %(reason)s, %(ask)s
        on conflict do nothing
        """,
        {
            "loop": loop,
            "versions": sorted(set(versions)),
            "cause": cause,
            "alert": alert_id,
            "reason": reason,
            "ask": ask,
        },
    )


def include(conn: Conn, versions: Collection[int], cause: Cause, *, alert_id: int | None = None) -> None:
    """End the exclusion of these versions by this cause; another cause may still exclude them."""
    conn.execute(
        """
        update exclusions set until = now()
        where annotation_version = any(%(versions)s::bigint[]) and cause = %(cause)s and until is null
        and alert_id is not distinct from %(alert)s
        """,
        {"versions": sorted(set(versions)), "cause": cause, "alert": alert_id},
    )

"""What is measured of all loops at once, for Prometheus: one statement a function, cheap whatever waits."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Conn


def runs(conn: Conn) -> list[dict[str, Any]]:
    """Loop, status and number of its runs."""
    return conn.execute(
        "select loop, status::text as status, count(*) as n from retrain_runs group by 1, 2 order by 1, 2"
    ).fetchall()


def epochs(conn: Conn) -> list[dict[str, Any]]:
    """Loop, how often its champion has changed, and the version that serves (null: the pipeline's own outputs)."""
    return conn.execute(
        """
        select l.name as loop, coalesce(p.epoch, 0) as epoch, p.version_id
        from loops l left join lateral (
            select epoch, version_id from promotions where loop = l.name order by epoch desc limit 1
        ) p on true where l.archived_at is null order by 1
        """
    ).fetchall()


def jobs(conn: Conn) -> list[dict[str, Any]]:
    """Job, status and number of those that wait or are being done."""
    return conn.execute(
        """
        select task_name as job, status::text as status, count(*) as n from procrastinate_jobs
        where status in ('todo', 'doing') group by 1, 2 order by 1, 2
        """
    ).fetchall()


def open_tasks(conn: Conn) -> list[dict[str, Any]]:
    """Loop and the number of its tasks that stand open in Label Studio."""
    return conn.execute(
        """
        select l.name as loop,
            (select count(*) from outputs o where o.loop = l.name and o.state = 'in_review') as n
        from loops l where l.archived_at is null order by 1
        """
    ).fetchall()

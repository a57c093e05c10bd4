"""How Postgres, the queue and the window are, for `labelloop doctor`: one statement a function, nothing is changed."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Conn


def server(conn: Conn) -> dict[str, Any]:
    """Version, clock, and connections of the server, of this database and of this role: places (null: any) and use."""
    row = conn.execute(
        """
        select current_setting('server_version') as version,
               extract(epoch from clock_timestamp())::float8 as clock,
               current_setting('max_connections')::int
                 - current_setting('superuser_reserved_connections')::int
                 - coalesce(current_setting('reserved_connections', true), '0')::int as places,
               (select count(*) from pg_stat_activity where backend_type = 'client backend') as used,
               case when r.rolsuper or d.datconnlimit < 0 then null else d.datconnlimit end as database_places,
               (select count(*) from pg_stat_activity
                where backend_type = 'client backend' and datname = d.datname) as database_used,
               case when r.rolsuper or r.rolconnlimit < 0 then null else r.rolconnlimit end as role_places,
               (select count(*) from pg_stat_activity
                where backend_type = 'client backend' and usename = r.rolname) as role_used,
               (select count(*) from pg_stat_activity
                where datname = d.datname and application_name like 'labelloop%') as ours
        from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()
        """
    ).fetchone()
    assert row is not None
    return row


def workers(conn: Conn) -> list[str]:
    """What the connections of workers to this database are called, each name once."""
    rows = conn.execute(
        """
        select distinct application_name as name from pg_stat_activity
        where datname = current_database() and application_name like 'labelloop % worker' order by 1
        """
    )
    return [row["name"] for row in rows]


def heartbeats(conn: Conn) -> list[float]:
    """Seconds since the last sign of life of each worker that has registered, the youngest first."""
    rows = conn.execute(
        "select extract(epoch from now() - last_heartbeat)::float8 as age from procrastinate_workers order by 1"
    )
    return [row["age"] for row in rows]


def jobs(conn: Conn) -> list[dict[str, Any]]:
    """Every job that waits or is being done: name, loop, status, age in seconds, and its worker's silence in seconds.

    `silence` is null of a job that nobody does; `behind` says that one of the same lock is being done.
    """
    return conn.execute(
        """
        select j.task_name as name, j.args ->> 'loop' as loop, j.status::text as status,
               extract(epoch from now() - coalesce(e.at, now()))::float8 as age,
               extract(epoch from now() - w.last_heartbeat)::float8 as silence,
               exists (select from procrastinate_jobs o
                       where o.lock = j.lock and o.status = 'doing' and o.id <> j.id) as behind
        from procrastinate_jobs j left join procrastinate_workers w on w.id = j.worker_id
        left join lateral (
            select max(at) as at from procrastinate_events
            where job_id = j.id and type in ('deferred', 'started', 'deferred_for_retry')
        ) e on true
        where j.status in ('todo', 'doing') and coalesce(j.scheduled_at, now()) <= now()
          and j.task_name <> 'labelloop.happy_new_year'
        order by j.id
        """
    ).fetchall()


def open_tasks(conn: Conn, loop: str) -> list[dict[str, Any]]:
    """Output, Label Studio's id, key, place and shown version of every task that should stand open, best first."""
    return conn.execute(
        """
        select t.output_id, t.label_studio_id, o.key, t.priority, t.shown_version
        from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' order by t.priority desc, o.key
        """,
        {"loop": loop},
    ).fetchall()

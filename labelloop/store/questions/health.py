"""State of Postgres, of the job queue and of the open tasks, for `labelloop doctor`. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelloop.labeling.controls import Kind
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class ServerState:
    """The server's version, clock and connections."""

    version: str
    clock: float
    """Seconds since 1970."""
    places: int
    """Connections that the server allows to ordinary roles."""
    used: int
    database_places: int | None
    """Connections that this database allows; None if it has no limit of its own."""
    database_used: int
    role_places: int | None
    """Connections that this role allows; None if it has no limit of its own."""
    role_used: int
    ours: int
    """Connections of labelloop's processes to this database."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is waiting or in progress."""

    name: str
    loop: str | None
    status: str
    """`todo` or `doing`."""
    age: float
    """Seconds since it was deferred, started or deferred again."""
    silence: float | None
    """Seconds since its worker's last heartbeat; None if no worker has it."""
    behind: bool
    """Whether a job with the same lock is in progress."""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that Postgres expects to be open in Label Studio."""

    output_id: UUID
    label_studio_id: TaskId
    key: str
    priority: float
    shown_version: str
    """Version of its newest prediction."""


def server(conn: Conn) -> ServerState:
    """Return the server's state."""
    cursor = rows_of(conn, ServerState)
    row = cursor.execute(
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
    """Return the application names of the workers' connections to this database, each name once."""
    rows = conn.execute(
        """
        select distinct application_name as name from pg_stat_activity
        where datname = current_database() and application_name like 'labelloop % worker' order by 1
        """
    )
    return [row["name"] for row in rows]


def heartbeats(conn: Conn) -> list[float]:
    """Return the seconds since the last heartbeat of each registered worker, the most recent first."""
    rows = conn.execute(
        "select extract(epoch from now() - last_heartbeat)::float8 as age from procrastinate_workers order by 1"
    )
    return [row["age"] for row in rows]


def jobs(conn: Conn) -> list[OpenJob]:
    """Return every job that is due and waiting, or in progress."""
    cursor = rows_of(conn, OpenJob)
    return cursor.execute(
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


def open_tasks(conn: Conn, loop: str) -> list[OpenTask]:
    """Return the tasks that should be open in Label Studio, highest priority first."""
    cursor = rows_of(conn, OpenTask)
    return cursor.execute(
        """
        select t.output_id, t.label_studio_id, o.key, t.priority, t.shown_version
        from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' order by t.priority desc, o.key
        """,
        {"loop": loop},
    ).fetchall()


def with_labels_gone(conn: Conn, spec: LoopSpec) -> dict[str, int]:
    """Count the outputs by those labels that the form no longer has; {} if the answer is not one of a list of labels.

    The key is the label, ordered by count, the largest first. It reads every output of the loop.
    """
    if spec.config.kind is not Kind.LABEL or not spec.labels:
        return {}
    rows = conn.execute(
        """
        select label, count(*) as n from outputs
        where loop = %(loop)s and label <> all(%(labels)s::text[])
        group by label order by n desc, label
        """,
        {"loop": spec.name, "labels": list(spec.labels)},
    )
    return {row["label"]: row["n"] for row in rows}

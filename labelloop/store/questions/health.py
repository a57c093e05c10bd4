"""State of Postgres, of the job queue and of the open tasks, for `labelloop doctor`. Nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from labelloop.labeling import kinds
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


def unfinished_removals(conn: Conn) -> list[str]:
    """Return the loop of each removal of data that has begun and is not finished, the oldest first.

    Removed loops are left out: nothing is left to remove.
    """
    rows = conn.execute(
        "select f.loop from forgotten f join loops l on l.name = f.loop"
        " where f.counts = '{}' and l.removed_at is null order by f.id"
    )
    return [row["loop"] for row in rows]


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


@dataclass(frozen=True, slots=True)
class LabelsGone:
    """Counts of outputs, answers and open tasks with a label that the form no longer has."""

    labels: Mapping[str, int]
    """In how many outputs, answers and open tasks each of these labels is; the most frequent first."""
    outputs: int
    answers: int
    """Newest answers on which the reviewers agree."""
    open_tasks: int
    """Open tasks whose prelabel has such a label."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Outputs that Label Studio refused for the same reason."""

    key: str
    """The first of them."""
    reason: str
    n: int


_LABELLED = {
    "outputs": "select label, count(*) as n from outputs where loop = %(loop)s and label is not null group by label",
    "answers": """
        select label, count(*) as n from (
            select distinct on (output_id) label from answers where loop = %(loop)s order by output_id, seq desc
        ) newest where label is not null group by label
        """,
    "open_tasks": """
        select t.label, count(*) as n from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' and t.label is not null group by t.label
        """,
}


def with_labels_gone(conn: Conn, spec: LoopSpec) -> LabelsGone:
    """Count what has a label that the form no longer has. It reads the labels of every output of the loop."""
    control = spec.config.answer
    known = spec.labels if control.kind is Kind.LABEL else control.labels
    labels, counts = Counter[str](), dict.fromkeys(_LABELLED, 0)
    for what, statement in _LABELLED.items():
        # A cursor on the server: regions of thousands of outputs need not be in memory together.
        with conn.transaction(), conn.cursor(name="labels") as cursor:
            for row in cursor.execute(statement, {"loop": spec.name}):
                try:
                    gone = kinds.labels_gone(control, row["label"], known)
                except ValueError:  # an answer of another form; the check of the answers tells it
                    continue
                labels.update(dict.fromkeys(gone, row["n"]))
                counts[what] += row["n"] if gone else 0
    ordered = dict(sorted(labels.items(), key=lambda one: (-one[1], one[0])))
    return LabelsGone(ordered, **counts)


def refused(conn: Conn, loop: str) -> list[Refused]:
    """Return the outputs that Label Studio refused, by reason, the most frequent first."""
    cursor = rows_of(conn, Refused)
    return cursor.execute(
        """
        select min(o.key) as key, coalesce(o.state_reason, '') as reason, count(*)::int as n
        from outputs o where o.loop = %(loop)s and o.state = 'quarantined'
        and not exists (select from media_outputs m where m.output_id = o.id and m.held)
        group by 2 order by n desc, 1
        """,
        {"loop": loop},
    ).fetchall()

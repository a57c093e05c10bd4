"""Measures of all loops at once, for Prometheus. Each statement is cheap, however many outputs wait."""

from __future__ import annotations

from dataclasses import dataclass

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class RunCount:
    """Number of runs of a loop that have one status."""

    loop: str
    status: str
    n: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """Number of changes of a loop's champion, and the version that serves predictions."""

    loop: str
    epoch: int
    version_id: str | None
    """None if the pipeline's own outputs are the champion."""


@dataclass(frozen=True, slots=True)
class JobCount:
    """Number of jobs of one name that have one status, `todo` or `doing`."""

    job: str
    status: str
    n: int


@dataclass(frozen=True, slots=True)
class OpenTaskCount:
    """Number of open tasks of a loop."""

    loop: str
    n: int


@dataclass(frozen=True, slots=True)
class AssessmentCount:
    """Numbers of outputs of a loop whose feedback belongs on an MLflow trace."""

    loop: str
    written: int
    """How often feedback was written to a trace."""
    waiting: int
    """Outputs whose feedback is not on the trace yet."""
    given_up: int


def runs(conn: Conn) -> list[RunCount]:
    """Count the runs by loop and status."""
    cursor = rows_of(conn, RunCount)
    return cursor.execute(
        """
        select loop, status::text as status, count(*) as n from retrain_runs group by 1, 2 order by 1, 2
        """
    ).fetchall()


def epochs(conn: Conn) -> list[Epoch]:
    """Return the epoch and the champion of each loop that is not archived."""
    cursor = rows_of(conn, Epoch)
    return cursor.execute(
        """
        select l.name as loop, coalesce(p.epoch, 0) as epoch, p.version_id
        from loops l left join lateral (
            select epoch, version_id from promotions where loop = l.name order by epoch desc limit 1
        ) p on true where l.archived_at is null order by 1
        """
    ).fetchall()


def jobs(conn: Conn) -> list[JobCount]:
    """Count the jobs that are waiting or in progress, by name and status."""
    cursor = rows_of(conn, JobCount)
    return cursor.execute(
        """
        select task_name as job, status::text as status, count(*) as n from procrastinate_jobs
        where status in ('todo', 'doing') group by 1, 2 order by 1, 2
        """
    ).fetchall()


def open_tasks(conn: Conn) -> list[OpenTaskCount]:
    """Count the open tasks of each loop that is not archived."""
    cursor = rows_of(conn, OpenTaskCount)
    return cursor.execute(
        """
        select l.name as loop,
            (select count(*) from outputs o where o.loop = l.name and o.state = 'in_review') as n
        from loops l where l.archived_at is null order by 1
        """
    ).fetchall()


def assessments(conn: Conn) -> list[AssessmentCount]:
    """Count the MLflow traces with and without their feedback, for each loop that is not archived."""
    cursor = rows_of(conn, AssessmentCount)
    return cursor.execute(
        """
        select l.name as loop, l.assessments_written as written, a.waiting, a.given_up
        from loops l cross join lateral (
            select count(*) filter (where given_up_at is null) as waiting, count(given_up_at) as given_up
            from assessments where loop = l.name
        ) a
        where l.archived_at is null order by 1
        """
    ).fetchall()

"""Statements about the table retrain_runs: a run from the request to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, columns, rows_of
from labelloop.versions.runs import STALE_AFTER_S, RetrainRun

RUN = columns(RetrainRun)
"""The columns of a RetrainRun."""


def request(conn: Conn, loop: str, why: str, *, seed: int = 0) -> UUID | None:
    """Queue a run and return its id; None if one is queued already, which covers it, or if the loop is archived.

    A run that is in progress does not cover it, because its cut is fixed.
    """
    row = conn.execute(
        """
        insert into retrain_runs (loop, why, seed) select %(loop)s, %(why)s, %(seed)s
        where not exists (select from loops where name = %(loop)s and archived_at is not null)
        on conflict (loop) where status = 'queued' and judges is null do nothing
        returning id
        """,
        {"loop": loop, "why": why, "seed": seed},
    ).fetchone()
    return None if row is None else row["id"]


def request_again(conn: Conn, loop: str, judges: UUID, why: str, *, seed: int) -> UUID | None:
    """Queue another verdict on the version of the run `judges`, against the champion of that moment; return its id.

    None if such a run is queued or running already, or if the loop is archived. Nothing is trained: the new run has the
    cut and the training items of the run `judges`, so no answer counts as used because of it.
    """
    row = conn.execute(
        """
        insert into retrain_runs (loop, why, seed, judges) select %(loop)s, %(why)s, %(seed)s, %(judges)s
        where not exists (select from loops where name = %(loop)s and archived_at is not null)
        on conflict (judges) where status in ('queued', 'running') do nothing
        returning id
        """,
        {"loop": loop, "why": why, "seed": seed, "judges": judges},
    ).fetchone()
    return None if row is None else row["id"]


def take_back(conn: Conn, run_id: UUID) -> None:
    """Delete a run that the caller's own transaction has requested."""
    conn.execute("delete from retrain_runs where id = %(id)s and status = 'queued'", {"id": run_id})


def get(conn: Conn, run_id: UUID) -> RetrainRun | None:
    """Return the run; None if there is none."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(f"select {RUN} from retrain_runs where id = %(id)s", {"id": run_id}).fetchone()


def beginning_with(conn: Conn, prefix: str, loop: str | None) -> list[RetrainRun]:
    """Return the runs whose id begins with `prefix`, newest first; of all loops if `loop` is None."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs where starts_with(id::text, lower(%(prefix)s)) and %(prefix)s <> ''
        and (%(loop)s::text is null or loop = %(loop)s) order by requested_at desc, id
        """,
        {"prefix": prefix, "loop": loop},
    ).fetchall()


def has_trained(conn: Conn, spec: LoopSpec) -> bool:
    """Whether the loop's learner is trained, and a run was requested before: then changed answers ask for another."""
    return spec.learner.is_trained and bool(latest(conn, spec.name, 1))


def latest(conn: Conn, loop: str, limit: int = 20) -> list[RetrainRun]:
    """Return the newest runs, newest first."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"select {RUN} from retrain_runs where loop = %(loop)s order by requested_at desc, id limit %(limit)s",
        {"loop": loop, "limit": limit},
    ).fetchall()


def ask_to_stop(conn: Conn, run_id: UUID, by: str, why: str = "by hand") -> bool:
    """Stop a queued run at once, or a running run at its worker's next heartbeat.

    False if the run has ended, or if somebody has stopped it already. The answers up to its cut count as used, so that
    the next check does not request the run again.
    """
    row = conn.execute(
        """
        with asked as (
            update retrain_runs r set stop_asked_by = %(by)s,
                status = case r.status when 'queued' then 'stopped'::run_status else r.status end,
                finished_at = case r.status when 'queued' then now() end,
                reasons = case r.status when 'queued' then array[%(reason)s] else r.reasons end,
                feedback_upto = coalesce(r.feedback_upto, case when r.judges is null then
                    (select coalesce(max(seq), 0) from answers where loop = r.loop) end)
            where r.id = %(id)s and r.status in ('queued', 'running') and r.stop_asked_by is null
            returning r.id
        )
        insert into decisions (run_id, decision, by, why) select id, 'stop', %(by)s, %(why)s from asked returning id
        """,
        {"id": run_id, "by": by, "why": why, "reason": f"stopped by {by} before it began: {why}"},
    ).fetchone()
    return row is not None


def stop_if_asked(conn: Conn, run_id: UUID) -> bool:
    """End a running run that somebody wants stopped; False if nobody does, or if it has ended."""
    return (
        conn.execute(
            """
            update retrain_runs r set status = 'stopped', finished_at = now(), reasons = array[(
                select 'stopped by ' || d.by || ': ' || d.why from decisions d
                where d.run_id = r.id and d.decision = 'stop' order by d.id limit 1)]
            where r.id = %(id)s and r.status = 'running' and r.stop_asked_by is not null
            """,
            {"id": run_id},
        ).rowcount
        == 1
    )


def judged(conn: Conn, loop: str, version_id: str | None) -> RetrainRun | None:
    """Return the newest run that judged this version as the challenger; None if there is none.

    For the pipeline's own outputs (`version_id` None), return the newest run that was judged against them.
    """
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs where loop = %(loop)s and scores is not null
        and case when %(version_id)s::text is null then champion_id is null else version_id = %(version_id)s end
        order by finished_at desc limit 1
        """,
        {"loop": loop, "version_id": version_id},
    ).fetchone()


def hold_answers_still(conn: Conn) -> None:
    """Lock the table answers until the transaction ends: wait for its writers and keep others out.

    An answer gets its number before it is committed. Without the lock, a lower number could appear after the cut was
    fixed.
    """
    conn.execute("select hold_answers()")


def claim(conn: Conn, loop: str, champion_id: str | None) -> RetrainRun | None:
    """Start a queued run of the loop and fix its cut; None if none is queued or another is running.

    A run that only judges again comes first, with the cut of the run whose version it judges.
    """
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        update retrain_runs r set status = 'running', started_at = now(), heartbeat_at = now(),
            champion_id = %(champion_id)s,
            feedback_upto = case when r.judges is null
                then (select coalesce(max(seq), 0) from answers where loop = %(loop)s)
                else (select feedback_upto from retrain_runs where id = r.judges) end
        where id = (
            select id from retrain_runs where loop = %(loop)s and status = 'queued'
            order by judges is null, requested_at limit 1 for update skip locked
        ) and not exists (select from retrain_runs where loop = %(loop)s and status = 'running')
        returning {RUN}
        """,
        {"loop": loop, "champion_id": champion_id},
    ).fetchone()


def beat(conn: Conn, run_id: UUID, progress: Mapping[str, Any] | None = None, log: str | None = None) -> bool:
    """Store a heartbeat of the run, its progress and its output; False if its worker must stop."""
    row = conn.execute(
        """
        update retrain_runs set heartbeat_at = now(), progress = coalesce(%(progress)s, progress),
            log = coalesce(%(log)s, log)
        where id = %(id)s and status = 'running' returning stop_asked_by
        """,
        {"id": run_id, "progress": None if progress is None else Jsonb(progress), "log": log},
    ).fetchone()
    return row is not None and row["stop_asked_by"] is None


def release(conn: Conn, run_id: UUID) -> None:
    """Queue a run again that could not be finished, without a cut.

    If another run has been queued meanwhile, it has the same answers too, and this run is stopped instead.
    """
    conn.execute(
        """
        with next as (
            select exists (
                select from retrain_runs q join retrain_runs r on r.loop = q.loop
                where r.id = %(id)s and q.status = 'queued' and r.judges is null and q.judges is null) as waits
        )
        update retrain_runs set started_at = null, heartbeat_at = null, feedback_upto = null, champion_id = null,
            progress = null, log = null,
            status = case when waits then 'stopped'::run_status else 'queued' end,
            finished_at = case when waits then now() end,
            reasons = case when waits then array['its worker ended; the run that was queued next has its answers']
                else reasons end
        from next where id = %(id)s and status = 'running'
        """,
        {"id": run_id},
    )


def finish(
    conn: Conn,
    run_id: UUID,
    status: str,
    *,
    reasons: Sequence[str] = (),
    version_id: str | None = None,
    scores: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """End a running run. False, and nothing is written, if it has ended already or is to be stopped."""
    return (
        conn.execute(
            """
            update retrain_runs set status = %(status)s::run_status, finished_at = now(), reasons = %(reasons)s,
                version_id = %(version_id)s, scores = %(scores)s, error = %(error)s
            where id = %(id)s and status = 'running' and stop_asked_by is null
            """,
            {
                "id": run_id,
                "status": status,
                "reasons": list(reasons),
                "version_id": version_id,
                "scores": None if scores is None else Jsonb(scores),
                "error": error,
            },
        ).rowcount
        == 1
    )


def fail_stale(conn: Conn) -> list[RetrainRun]:
    """Fail the running runs whose worker has sent no heartbeat for STALE_AFTER_S; return them.

    After the clock has gone back, a heartbeat in the future counts as sent now.
    """
    conn.execute("update retrain_runs set heartbeat_at = now() where status = 'running' and heartbeat_at > now()")
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        update retrain_runs set status = 'failed', finished_at = now(),
            error = 'the worker that trained it is gone (no heartbeat for ' || %(after_s)s || ' s)'
        where status = 'running' and heartbeat_at < now() - make_interval(secs => %(after_s)s)
        returning {RUN}
        """,
        {"after_s": STALE_AFTER_S},
    ).fetchall()


def open_runs(conn: Conn, loop: str) -> list[RetrainRun]:
    """Return the running run, if there is one, and the queued ones; at most one of these trains."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs where loop = %(loop)s and status in ('running', 'queued') order by status desc
        """,
        {"loop": loop},
    ).fetchall()


def queued_loops(conn: Conn) -> list[str]:
    """Return the loops with a queued run."""
    rows = conn.execute("select distinct loop from retrain_runs where status = 'queued' order by loop").fetchall()
    return [row["loop"] for row in rows]


def write_tried(conn: Conn, run_id: UUID, tried: Mapping[str, Any] | None) -> None:
    """Store what the search over parameters tried; None if there was no search."""
    conn.execute(
        "update retrain_runs set tried = %(tried)s where id = %(id)s",
        {"id": run_id, "tried": None if tried is None else Jsonb(tried)},
    )

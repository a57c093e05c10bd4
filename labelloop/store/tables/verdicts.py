"""Statements about verdicts: the items that the gate reads, and the decisions after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.reading import paths
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.versions.items import EarlierItem, JudgedItem
from labelloop.versions.runs import RetrainRun, RunStatus

FACTS = """
    o.id as output_id, o.model_version as source, a.label, a.resolved_at, a.agreement, a.reviewers,
    (
        select coalesce(array_agg('user ' || r.label_studio_user_id), '{}')
        from feedback f join reviewers r on r.id = f.reviewer_id where f.model_output_id = o.id
    ) as people,
    (
        select length(text) from coalesce(o.data ->> %(field)s, o.data #>> %(path)s::text[]) as text
        where text !~ '^(data:|[a-z][a-z0-9+.-]*://|/)'
    ) as length,
    (
        select coalesce(jsonb_object_agg(name, value), '{}') from jsonb_each(o.data) as d (name, value)
        where jsonb_typeof(value) in ('string', 'number', 'boolean') and length(value #>> '{}') <= 100
    ) as fields
"""
"""Select list of the facts that slices are cut by, for an output `o` with its answer `a`; see JudgedItem."""


def held_out(conn: Conn, run_id: UUID, field: str | None) -> list[JudgedItem]:
    """Return the items that the run was judged on, in the order of the keys.

    `field`: the field of the data with the text.
    """
    cursor = rows_of(conn, JudgedItem)
    return cursor.execute(
        f"""
        select {FACTS}, i.champion_label, i.challenger_label, i.champion_confidence, i.challenger_confidence
        from run_items i join outputs o on o.id = i.output_id join answers a on a.seq = i.answer_seq
        where i.run_id = %(run_id)s and i.part = 'holdout' order by o.key collate "C"
        """,
        {"run_id": run_id, "field": field, "path": paths.steps(field or "")},
    ).fetchall()


HAD_A_VERDICT = """
    r.loop = %(loop)s and r.id <> %(id)s and r.champion_id is not distinct from %(champion_id)s
    and r.version_id is distinct from r.champion_id and r.status in ('promoted', 'refused', 'asking', 'shadow')
    and (r.scores ->> 'holdout')::integer >= %(min_holdout)s
"""
"""Condition on retrain_runs `r`: an earlier verdict against the champion of the run `id`.

Runs that were judged on too few answers, or made the champion again, had no verdict.
"""


def looks(conn: Conn, run: RetrainRun, min_holdout: int) -> list[float]:
    """Return, for each earlier verdict against the same champion, the share of this run's held-out items in it."""
    rows = conn.execute(
        f"""
        with ours as (select output_id from run_items where run_id = %(id)s and part = 'holdout')
        select count(*) / (select count(*) from ours)::float8 as share
        from retrain_runs r join run_items i on i.run_id = r.id and i.part = 'holdout' join ours using (output_id)
        where {HAD_A_VERDICT} group by r.id order by min(r.finished_at)
        """,
        {"id": run.id, "loop": run.loop, "champion_id": run.champion_id, "min_holdout": min_holdout},
    ).fetchall()
    return [row["share"] for row in rows]


def earlier(conn: Conn, run: RetrainRun, min_holdout: int) -> list[EarlierItem]:
    """Return the held-out items of every earlier verdict against the same champion, the oldest verdict first."""
    cursor = rows_of(conn, EarlierItem)
    return cursor.execute(
        f"""
        select r.id as run_id, i.output_id, i.label, i.champion_label, i.challenger_label
        from retrain_runs r join run_items i on i.run_id = r.id and i.part = 'holdout'
        where {HAD_A_VERDICT} order by r.finished_at, r.id, i.output_id
        """,
        {"id": run.id, "loop": run.loop, "champion_id": run.champion_id, "min_holdout": min_holdout},
    ).fetchall()


MOST_FAILED = 3
"""Number of further verdicts on a version against one champion that may fail; then there is none any more."""


class RefusedVersion(NamedTuple):
    """The newest verdict about a version that was refused although it was ahead."""

    version_id: str
    run_id: UUID
    seed: int
    gain: float
    """Gain over the champion at that verdict, 0 to 1."""
    waiting: float
    """Expected loss of accuracy by not promoting it, 0 to 1, at that verdict."""
    answers: int
    """Held-out answers that it was judged on."""
    upto: int
    """The verdict knew the answers with a seq up to this one, those included that could not judge this version."""
    size_bytes: int


def refused_ahead(conn: Conn, loop: str, champion_id: str | None, epoch: int) -> list[RefusedVersion]:
    """Return the versions that the gate refused against this champion in this epoch although they were ahead of it.

    Left out are versions that served, that wait for a decision, or that a person or their shadow has refused. So are
    versions whose further verdict was stopped, or failed MOST_FAILED times. Nothing is ordered by time, because a clock
    can go back.
    """
    cursor = rows_of(conn, RefusedVersion)
    return cursor.execute(
        """
        select v.version_id, v.id as run_id, v.seed, v.gain, v.waiting, v.answers, v.upto, m.size_bytes
        from (
            select distinct on (version_id) version_id, id, seed, (scores #>> '{gain,value}')::float8 as gain,
                coalesce((scores #>> '{loss,waiting}')::float8, 0) as waiting,
                (scores ->> 'holdout')::integer as answers, (scores ->> 'answers_upto')::bigint as upto
            from retrain_runs
            where loop = %(loop)s and status = 'refused' and (scores ->> 'champion_epoch')::integer = %(epoch)s
            and champion_id is not distinct from %(champion_id)s and version_id is distinct from %(champion_id)s
            order by version_id, upto desc, answers desc, id
        ) v join model_versions m on m.id = v.version_id
        where gain > 0
        and not exists (select from promotions p where p.loop = %(loop)s and p.version_id = v.version_id)
        and not exists (
            select from retrain_runs u
            where u.loop = %(loop)s and u.version_id = v.version_id and u.status in ('asking', 'shadow')
        )
        and not exists (
            select from decisions d join retrain_runs r on r.id = d.run_id
            where r.loop = %(loop)s and r.version_id = v.version_id and d.decision = 'refuse'
        )
        and not exists (
            select from retrain_runs f join retrain_runs r on r.id = f.judges
            where f.loop = %(loop)s and r.version_id = v.version_id
            having bool_or(f.status = 'stopped') or %(most_failed)s <= count(*) filter (
                where f.status = 'failed' and f.champion_id is not distinct from %(champion_id)s)
        )
        """,
        {"loop": loop, "champion_id": champion_id, "epoch": epoch, "most_failed": MOST_FAILED},
    ).fetchall()


def refused_by(conn: Conn, loop: str, version_id: str) -> str | None:
    """Return the person whose last decision about this version was to refuse it; None if there is none."""
    row = conn.execute(
        """
        select d.by, d.decision from decisions d join retrain_runs r on r.id = d.run_id
        where r.loop = %(loop)s and r.version_id = %(version_id)s and d.decision in ('refuse', 'promote')
        and d.by <> 'gate' order by d.id desc limit 1
        """,
        {"loop": loop, "version_id": version_id},
    ).fetchone()
    return row["by"] if row is not None and row["decision"] == "refuse" else None


def hold(conn: Conn, loop: str) -> None:
    """Lock the loop until the transaction ends, so that nobody else decides anything about it."""
    conn.execute("select from loops where name = %(loop)s for no key update", {"loop": loop})


def undecided(conn: Conn, loop: str) -> list[RetrainRun]:
    """Return the runs that passed the gate and wait for a person or are in shadow, newest first."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs where loop = %(loop)s and status in ('asking', 'shadow')
        order by finished_at desc, id
        """,
        {"loop": loop},
    ).fetchall()


def decide(conn: Conn, run_id: UUID, status: RunStatus, *reasons: str, shadow: Mapping[str, Any] | None = None) -> bool:
    """End a run that waits for a decision, or ask a person after the shadow; False if somebody else has decided.

    The reasons are put before those of the verdict. `finished_at` stays: the newest trained version ranks, whenever
    somebody decides. `shadow`: the evaluation on the answers in shadow, stored in the scores.
    """
    return (
        conn.execute(
            """
            update retrain_runs set status = %(status)s::run_status, reasons = %(reasons)s || reasons,
                scores = scores || coalesce(%(shadow)s, '{}'::jsonb)
            where id = %(id)s and status in ('asking', 'shadow')
            """,
            {
                "id": run_id,
                "status": status,
                "reasons": list(reasons),
                "shadow": None if shadow is None else Jsonb({"shadow": shadow}),
            },
        ).rowcount
        == 1
    )


def record(conn: Conn, run_id: UUID, decision: str, by: str, why: str) -> None:
    """Store a person's decision about a run; `decision` is promote or refuse."""
    conn.execute(
        "insert into decisions (run_id, decision, by, why) values (%(run_id)s, %(decision)s, %(by)s, %(why)s)",
        {"run_id": run_id, "decision": decision, "by": by, "why": why},
    )


def newest_run(conn: Conn, version_id: str) -> RetrainRun | None:
    """Return the last run that made the version; None if no such run is on record."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"select {RUN} from retrain_runs where version_id = %(id)s order by finished_at desc nulls last limit 1",
        {"id": version_id},
    ).fetchone()

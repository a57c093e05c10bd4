"""Statements about the tables model_versions and promotions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from labelloop.store.database import Conn, columns, rows_of
from labelloop.versions.version import Champion, JudgedVersion, ModelVersion, Promotion, Stage, VersionId

VERSION = columns(ModelVersion, "v")
PROMOTION = columns(Promotion)


def insert(
    conn: Conn,
    loop: str,
    version_id: str,
    *,
    learner: str,
    classes: Sequence[str],
    size_bytes: int,
    trained_on: int,
    accepted: int = 0,
) -> None:
    """Store a new challenger. A version that is stored already keeps its stage."""
    conn.execute(
        """
        insert into model_versions (id, loop, learner, classes, size_bytes, trained_on, accepted)
        values (%(id)s, %(loop)s, %(learner)s, %(classes)s, %(size)s, %(trained_on)s, %(accepted)s)
        on conflict (id) do nothing
        """,
        {
            "id": version_id,
            "loop": loop,
            "learner": learner,
            "classes": list(classes),
            "size": size_bytes,
            "trained_on": trained_on,
            "accepted": accepted,
        },
    )


def champion(conn: Conn, loop: str) -> Champion | None:
    """Return the version that serves predictions; None while the pipeline's own outputs do."""
    cursor = rows_of(conn, Champion)
    return cursor.execute(
        f"""
        select {VERSION}, p.epoch, p.by, p.why, p.at as promoted_at
        from model_versions v join promotions p on p.loop = v.loop and p.version_id = v.id
        where v.loop = %(loop)s and v.stage = 'champion'
        order by p.epoch desc limit 1
        """,
        {"loop": loop},
    ).fetchone()


def ranker(conn: Conn, loop: str) -> VersionId | None:
    """Return the newest trained version, promoted or not; None if there is none. It ranks the queue.

    The next answers train its successor. Ranking by an older champion, or by the pipeline's model, asks what that model
    does not know (on digits, 8 orders: accuracy 0.83 after 180 answers, against 0.97).
    """
    found = ranker_and_run(conn, loop)
    return None if found is None else found[0]


def ranker_and_run(conn: Conn, loop: str) -> tuple[VersionId, UUID] | None:
    """Return the ranker and the run that trained it; None if there is none."""
    row = conn.execute(
        f"select version_id, id {_TRAINED} order by feedback_upto desc, finished_at desc limit 1", {"loop": loop}
    ).fetchone()
    return None if row is None else (row["version_id"], row["id"])


_TRAINED = """
    from retrain_runs where loop = %(loop)s and version_id is not null and judges is null
    and status in ('promoted', 'refused', 'asking', 'shadow')
"""
"""The runs whose version may be the ranker."""


def scores_outputs(conn: Conn, loop: str) -> bool:
    """Return whether a version of the loop ranks or serves, so that it scores outputs that wait."""
    row = conn.execute(
        f"""
        select exists (select {_TRAINED})
            or exists (select from model_versions where loop = %(loop)s and stage = 'champion') as scores
        """,
        {"loop": loop},
    ).fetchone()
    return row is not None and bool(row["scores"])


def in_force_since(conn: Conn, loop: str) -> datetime | None:
    """Return when the champion or the ranker last changed; None if neither ever did."""
    row = conn.execute(
        """
        select greatest(
            (select max(at) from promotions where loop = %(loop)s),
            (select max(finished_at) from retrain_runs
             where loop = %(loop)s and version_id is not null and judges is null
             and status in ('promoted', 'refused', 'asking', 'shadow'))) as since
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    since: datetime | None = row["since"]
    return since


def epoch(conn: Conn, loop: str) -> int:
    """Return the number of changes of champion."""
    row = conn.execute(
        "select coalesce(max(epoch), 0) as epoch from promotions where loop = %(loop)s", {"loop": loop}
    ).fetchone()
    assert row is not None
    return int(row["epoch"])


def list_(conn: Conn, loop: str) -> list[JudgedVersion]:
    """Return all versions of the loop, newest first."""
    cursor = rows_of(conn, JudgedVersion)
    return cursor.execute(
        f"{_JUDGED} where v.loop = %(loop)s order by v.created_at desc, v.id", {"loop": loop}
    ).fetchall()


def get(conn: Conn, version_id: str) -> JudgedVersion | None:
    """Return the version with the run that judged it last and the last decision about it.

    A run that made the champion again judges nothing new, so a run against another model comes first.
    """
    return rows_of(conn, JudgedVersion).execute(f"{_JUDGED} where v.id = %(id)s", {"id": version_id}).fetchone()


_JUDGED = f"""
    select {VERSION}, r.id as run_id, r.scores, r.reasons, r.champion_id as judged_against, d.by, d.why,
        d.at as decided_at
    from model_versions v left join lateral (
        select id, scores, reasons, champion_id from retrain_runs where version_id = v.id
        order by scores is null, champion_id is not distinct from v.id, finished_at desc nulls last limit 1
    ) r on true left join lateral (
        select by, why, at from promotions where loop = v.loop and version_id = v.id
        union all
        select d.by, d.why, d.at from decisions d join retrain_runs x on x.id = d.run_id where x.version_id = v.id
        order by at desc limit 1
    ) d on true"""


def promotions(conn: Conn, loop: str) -> list[Promotion]:
    """Return every change of champion, newest first."""
    cursor = rows_of(conn, Promotion)
    return cursor.execute(
        f"select {PROMOTION} from promotions where loop = %(loop)s order by epoch desc", {"loop": loop}
    ).fetchall()


def record_promotion(
    conn: Conn, loop: str, *, epoch: int, version_id: str | None, previous_id: str | None, by: str, why: str
) -> None:
    """Store a change of champion. A second one with the same epoch breaks `one_promotion_an_epoch`."""
    conn.execute(
        """
        insert into promotions (loop, epoch, version_id, previous_id, by, why)
        values (%(loop)s, %(epoch)s, %(version_id)s, %(previous_id)s, %(by)s, %(why)s)
        """,
        {"loop": loop, "epoch": epoch, "version_id": version_id, "previous_id": previous_id, "by": by, "why": why},
    )


def set_stage(conn: Conn, version_id: str, stage: Stage) -> None:
    """Store the version's stage."""
    conn.execute("update model_versions set stage = %(stage)s where id = %(id)s", {"id": version_id, "stage": stage})


def refuse(conn: Conn, version_id: str) -> None:
    """Set a challenger that the gate or a person refused to `refused`.

    A version that serves or has served, or that another run still asks about, keeps its stage.
    """
    conn.execute(
        """
        update model_versions v set stage = 'refused' where id = %(id)s and stage = 'challenger' and not exists (
            select from retrain_runs where version_id = v.id and status in ('asking', 'shadow'))
        """,
        {"id": version_id},
    )


def reconsider(conn: Conn, version_id: str) -> None:
    """Make a refused version a challenger again, because it has passed with newer answers."""
    conn.execute(
        "update model_versions set stage = 'challenger' where id = %(id)s and stage = 'refused'", {"id": version_id}
    )


def all_ids(conn: Conn) -> list[VersionId]:
    """Return the ids of all loops' versions, newest first."""
    rows = conn.execute("select id from model_versions order by created_at desc, id").fetchall()
    return [row["id"] for row in rows]

"""Removal of the data of outputs. Their rows stay, without data, so that counts and the hold-out split hold.

The caller owns the transaction and holds the locks of the loop's answers and pushes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, rows_of
from labelloop.store.privacy import on_record

_IDS = "any(%(ids)s)"
_TEXTS = "any(%(texts)s)"
COUNTED = {
    "outputs": f"id = {_IDS}",
    "exclusions": f"annotation_version in (select seq from annotation_versions where output_id = {_IDS})"
    f" or alert_id in (select id from alerts where output_id = {_IDS})",
    "alerts": f"output_id = {_IDS}",
    "pool": f"output_id = {_IDS}",
    "batch_items": f"output_id = {_IDS}",
    "assignments": f"output_id = {_IDS}",
    "tasks": f"output_id = {_IDS}",
    "adopted_tasks": f"output_id = {_IDS}",
    "annotation_versions": f"output_id = {_IDS}",
    "unreadable": f"output_id = {_IDS}",
    "feedback": f"model_output_id = {_IDS}",
    "answers": f"output_id = {_IDS}",
    "told_answers": f"output_id = {_IDS}",
    "outcomes": f"output_id = {_IDS}",
    "doubts": f"output_id = {_IDS}",
    "run_items": f"output_id = {_IDS}",
    "shadow_items": f"output_id = {_IDS}",
    "accepted": f"output_id = {_IDS}",
    "accepted_items": f"output_id = {_IDS}",
    "assessments": f"output_id = {_IDS}",
    "contents": f"original_id = {_IDS}",
    "repeats": f"output_id = {_IDS}",
    "media_outputs": f"output_id = {_IDS}",
    "sentence_outputs": f"output_id = {_IDS}",
    "deliveries": f"loop = %(loop)s and (fact ->> 'output' = {_TEXTS} or fact ->> 'id' = {_TEXTS}"
    f" or fact ->> 'original_id' = {_TEXTS}"
    f" or fact ->> 'alert' in (select id::text from alerts where output_id = {_IDS}))",
}
"""Every table with rows of an output, and the condition that finds those of the outputs `ids` (`texts`: as texts)."""
_DELETED = (
    "deliveries", "exclusions", "alerts", "batch_items", "pool", "doubts", "assessments", "repeats", "media_outputs",
    "sentence_outputs", "assignments",
)  # fmt: skip
_CLEARED = {
    "annotation_versions": "result = '[]', sha256 = ''",
    "unreadable": "reason = 'forgotten', comment = null",
    "answers": "label = null",
    "outcomes": "value = case when value is not null then 'null'::jsonb end",
    "run_items": "label = '', out_of_fold_other = null, champion_label = null, challenger_label = null",
    "shadow_items": "champion_label = null, challenger_label = null",
    "accepted_items": "label = ''",
    "accepted": "label = ''",
    "adopted_tasks": "data_sha256 = ''",
}
NAME = "forgotten-"
"""Beginning of the key of a forgotten output; its id follows."""
REASON = "its data was forgotten on request"


@dataclass(frozen=True, slots=True)
class Named:
    """An output whose data is to be removed."""

    id: UUID
    key: str
    group_key: str
    state: str
    data: Any
    meta: Any
    sent: bool
    """Whether Label Studio may have a task of it."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A version that was trained on some of the outputs."""

    version: str
    stage: str
    learned: int
    """Number of these outputs in its training set."""


def named(conn: Conn, loop: str, keys: Sequence[str], group: str | None) -> list[Named]:
    """Return the outputs of these keys, and those of the group, locked until the transaction ends."""
    return (
        rows_of(conn, Named)
        .execute(
            """
            select id, key, group_key, state::text, data, meta, batch_id is not null or exists (
                select from output_events e where e.output_id = outputs.id and e.became in ('pushing', 'in_review')
            ) as sent
            from outputs
            where loop = %(loop)s and (key = any(%(keys)s) or group_key = %(group)s)
            and not exists (select from forgotten_outputs f where f.output_id = outputs.id) order by id for update
            """,
            {"loop": loop, "keys": list(keys), "group": group},
        )
        .fetchall()
    )


def counts(conn: Conn, loop: str, ids: Sequence[UUID]) -> dict[str, int]:
    """Count the rows of these outputs in each table; tables without any are left out."""
    values = _values(loop, ids)
    found = {}
    for table, where in COUNTED.items():
        row = conn.execute(f"select count(*) as n from {table} where {where}", values).fetchone()
        if row and row["n"]:
            found[table] = int(row["n"])
    return found


def learned_from(conn: Conn, ids: Sequence[UUID]) -> list[Learned]:
    """Return the versions that were trained on these outputs, newest first."""
    return (
        rows_of(conn, Learned)
        .execute(
            """
            select v.id as version, v.stage::text, count(distinct i.output_id) as learned
            from (
                select run_id, output_id from run_items where output_id = any(%(ids)s) and part = 'train'
                union select run_id, output_id from accepted_items where output_id = any(%(ids)s)
            ) i join retrain_runs r on r.id = i.run_id join model_versions v on v.id = r.version_id
            group by v.id order by v.created_at desc, v.id
            """,
            {"ids": list(ids)},
        )
        .fetchall()
    )


def is_training(conn: Conn, loop: str) -> bool:
    """Return whether a run of the loop is training: it has read the data and would write what it found."""
    running = conn.execute("select from retrain_runs where loop = %s and status = 'running'", [loop])
    return running.fetchone() is not None


def tasks_of(conn: Conn, instance: UUID, ids: Sequence[UUID]) -> list[TaskId]:
    """Return the tasks of these outputs that this project had, as far as they are stored."""
    rows = conn.execute(
        """
        select label_studio_id as id from tasks where instance = %(instance)s and output_id = any(%(ids)s)
        union select label_studio_id from adopted_tasks where instance = %(instance)s and output_id = any(%(ids)s)
        union select task_id from annotation_versions where instance = %(instance)s and output_id = any(%(ids)s)
        """,
        {"instance": instance, "ids": list(ids)},
    )
    return [row["id"] for row in rows if row["id"]]


def instances_of(conn: Conn, ids: Sequence[UUID]) -> list[UUID]:
    """Return the projects, lost ones and the one for answers over HTTP too, with annotations of these outputs."""
    rows = conn.execute("select distinct instance from annotation_versions where output_id = any(%s)", [list(ids)])
    return [row["instance"] for row in rows]


def clear(conn: Conn, loop: str, ids: Sequence[UUID]) -> None:
    """Remove what the outputs are and every text about them, except what a withdrawal removes.

    Outputs that pass or are held wait for a moment, because only an output that is asked about can be withdrawn.
    """
    values = _values(loop, ids)
    for table, where in COUNTED.items():
        on_record.forget_rows(conn, table, where, values)
    for table in _DELETED:
        conn.execute(f"delete from {table} where {COUNTED[table]}", values)
    conn.execute("delete from run_items where output_id = any(%(ids)s) and part = 'holdout'", values)
    # A receiver that was told an answer is told of its withdrawal: the empty label differs from none.
    conn.execute("update told_answers set label = '' where output_id = any(%(ids)s)", values)
    conn.execute(
        """
        update outputs set key = %(name)s || id, group_key = %(name)s || id, body_sha256 = '', data = '{}',
            probabilities = null, result = null, label = null, confidence = null, evidence = null, embedding = null,
            gold = null, as_given = null, trace = null, meta = null, state_reason = null
        where id = any(%(ids)s)
        """,
        values,
    )
    conn.execute(
        """
        update outputs set state = 'waiting', state_reason = %(reason)s
        where id = any(%(ids)s) and state in ('passed', 'accepted', 'quarantined')
        """,
        values,
    )
    conn.execute(
        """
        update outputs set state = 'withdrawn', state_reason = %(reason)s
        where id = any(%(ids)s) and state <> 'withdrawn'
        """,
        values,
    )


def clear_answers(conn: Conn, loop: str, ids: Sequence[UUID]) -> None:
    """Remove the texts of the answers, after they were withdrawn."""
    values = _values(loop, ids)
    conn.execute("set constraints all immediate")  # repeats get another original, and receivers are told
    for table, change in _CLEARED.items():
        conn.execute(f"update {table} set {change} where {COUNTED[table]}", values)
    conn.execute("delete from contents where original_id = any(%(ids)s)", values)


def clear_kept(conn: Conn, loop: str, text_hashes: Sequence[bytes], picture_names: Sequence[bytes]) -> dict[str, int]:
    """Delete what was computed of these texts and addresses; return the number of rows by table.

    Where another output has the same text or address, it is made again. A look at media is named by more than the
    address, so all looks of the loop are deleted; each costs a new look.
    """
    done = {
        "sentence_vectors": conn.execute(
            "delete from sentence_vectors where loop = %s and text_hash = any(%s)", [loop, list(text_hashes)]
        ),
        "pictures": conn.execute("delete from pictures where address_sha256 = any(%s)", [list(picture_names)]),
    }
    if picture_names:
        done["media_looks"] = conn.execute("delete from media_looks where loop = %s", [loop])
    return {table: cursor.rowcount for table, cursor in done.items() if cursor.rowcount}


def record(conn: Conn, ids: Sequence[UUID], proof: int) -> None:
    """Store that the data of these outputs was removed."""
    conn.execute(
        "insert into forgotten_outputs (output_id, forgotten_id) select id, %s from unnest(%s::uuid[]) as o (id)",
        [proof, list(ids)],
    )


def among(conn: Conn, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these outputs whose data was removed."""
    rows = conn.execute("select output_id from forgotten_outputs where output_id = any(%s)", [list(ids)])
    return {row["output_id"] for row in rows}


def in_training(conn: Conn, run_id: UUID) -> int:
    """Count the outputs in the training set of a run whose data was removed."""
    row = conn.execute(
        """
        select count(*) as n from forgotten_outputs where output_id in (
            select output_id from run_items where run_id = %(run)s and part = 'train'
            union select output_id from accepted_items where run_id = %(run)s)
        """,
        {"run": run_id},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def _values(loop: str, ids: Sequence[UUID]) -> dict[str, object]:
    return {"loop": loop, "ids": list(ids), "texts": [str(id_) for id_ in ids], "name": NAME, "reason": REASON}

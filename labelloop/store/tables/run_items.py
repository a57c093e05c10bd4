"""Statements about the table run_items: the answers that a run trains on and is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.versions.items import AnsweredItem, TrainingItem

Verdicts = Sequence[tuple[str | None, float | None]]
"""A label and its confidence, item by item; None if a model predicted nothing."""


class OutOfFold(NamedTuple):
    """An answer of the training set, as seen by a model that was not trained on it."""

    output_id: UUID
    given: float
    """Probability of the answer, 0 to 1."""
    other: str | None
    """The most probable other answer; None if there is none."""
    of_other: float
    """Probability of the other answer, 0 to 1; 0 if there is none."""


def answered(conn: Conn, loop: str, upto: int) -> list[AnsweredItem]:
    """Return the newest clear answer of each output up to the cut, in the order of the keys; without gold items."""
    cursor = rows_of(conn, AnsweredItem)
    return cursor.execute(
        """
        select o.id as output_id, o.key, o.group_key, o.data, o.lane::text, o.holdout, o.label as pipeline_label,
            o.confidence as pipeline_confidence, a.seq as answer_seq, a.label, a.agreement, a.reviewers, a.certainty,
            1.0::float8 as weight
        from outputs o join (
            select distinct on (output_id) output_id, seq, label, agreement, reviewers, certainty from answers
            where loop = %(loop)s and seq <= %(upto)s order by output_id, seq desc
        ) a on a.output_id = o.id
        where a.label is not null and o.lane <> 'gold' order by o.key collate "C"
        """,
        {"loop": loop, "upto": upto},
    ).fetchall()


def clear(conn: Conn, run_id: UUID) -> None:
    """Delete the items of the run, accepted outputs among them."""
    conn.execute("delete from accepted_items where run_id = %(run_id)s", {"run_id": run_id})
    conn.execute("delete from run_items where run_id = %(run_id)s", {"run_id": run_id})


def write(conn: Conn, run_id: UUID, rows: Iterable[AnsweredItem]) -> None:
    """Store what the run is trained and judged on. The part follows from the output; constraints check it."""
    names = "run_id, output_id, part, holdout, answer_seq, label, weight"
    with conn.cursor().copy(f"copy run_items ({names}) from stdin") as copy:
        for row in rows:
            part, weight = ("holdout", None) if row.holdout else ("train", row.weight)
            copy.write_row((run_id, row.output_id, part, row.holdout, row.answer_seq, row.label, weight))


def write_verdicts(
    conn: Conn,
    run_id: UUID,
    output_ids: Sequence[UUID],
    champion: Verdicts,
    challenger: Verdicts,
) -> None:
    """Store both models' labels and confidences of the held-out items."""
    conn.execute(
        """
        update run_items i set champion_label = v.champion, challenger_label = v.challenger,
            champion_confidence = v.champion_confidence, challenger_confidence = v.challenger_confidence
        from unnest(%(ids)s::uuid[], %(champion)s::text[], %(champion_confidence)s::float8[], %(challenger)s::text[],
                    %(challenger_confidence)s::float8[])
            as v (id, champion, champion_confidence, challenger, challenger_confidence)
        where i.run_id = %(run_id)s and i.output_id = v.id
        """,
        {
            "run_id": run_id,
            "ids": list(output_ids),
            "champion": [label for label, _ in champion],
            "champion_confidence": [confidence for _, confidence in champion],
            "challenger": [label for label, _ in challenger],
            "challenger_confidence": [confidence for _, confidence in challenger],
        },
    )


def write_out_of_fold(conn: Conn, run_id: UUID, rows: Sequence[OutOfFold]) -> None:
    """Store how models that were not trained on these answers of the training set see them."""
    conn.execute(
        """
        update run_items i set out_of_fold_probability = v.given, out_of_fold_other = v.other,
            out_of_fold_other_probability = v.of_other
        from unnest(%(ids)s::uuid[], %(given)s::float8[], %(other)s::text[], %(of_other)s::float8[])
            as v (id, given, other, of_other)
        where i.run_id = %(run_id)s and i.output_id = v.id and i.part = 'train'
        """,
        {
            "run_id": run_id,
            "ids": [row.output_id for row in rows],
            "given": [row.given for row in rows],
            "other": [row.other for row in rows],
            "of_other": [row.of_other for row in rows],
        },
    )


def copy_training_set(conn: Conn, run_id: UUID, of: UUID) -> None:
    """Copy what the run `of` was trained on into the run."""
    conn.execute(
        """
        insert into run_items (run_id, output_id, part, holdout, answer_seq, label, weight)
        select %(run_id)s, output_id, part, holdout, answer_seq, label, weight
        from run_items where run_id = %(of)s and part = 'train'
        """,
        {"run_id": run_id, "of": of},
    )
    conn.execute(
        """
        insert into accepted_items (run_id, output_id, label, weight)
        select %(run_id)s, output_id, label, weight from accepted_items where run_id = %(of)s
        """,
        {"run_id": run_id, "of": of},
    )


def held_out_answers(conn: Conn, loop: str) -> int:
    """Count the held-out outputs with a clear answer by now."""
    row = conn.execute(
        """
        select count(*) as n from outputs o cross join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a where o.loop = %(loop)s and o.holdout and o.lane <> 'gold' and a.label is not null
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def held_out_since(conn: Conn, loop: str, seq: int) -> list[int]:
    """Return the seq of each held-out output's clear answer that is newer than `seq`."""
    rows = conn.execute(
        """
        select a.seq from answers a join outputs o on o.id = a.output_id
        where a.loop = %(loop)s and a.seq > %(seq)s and a.label is not null and o.holdout and o.lane <> 'gold'
        and not exists (select from answers n where n.output_id = a.output_id and n.seq > a.seq)
        """,
        {"loop": loop, "seq": seq},
    ).fetchall()
    return [row["seq"] for row in rows]


def newest_answer(conn: Conn, loop: str) -> int:
    """Return the seq of the loop's newest answer; 0 if there is none."""
    row = conn.execute(
        "select coalesce(max(seq), 0) as seq from answers where loop = %(loop)s", {"loop": loop}
    ).fetchone()
    assert row is not None
    return int(row["seq"])


def trained_on(conn: Conn, run_id: UUID) -> list[TrainingItem]:
    """Return what the run was trained on, accepted outputs too, in the order of the keys; without forgotten outputs."""
    cursor = rows_of(conn, TrainingItem)
    return cursor.execute(
        """
        select key, group_key, data, answer_seq, label, weight from (
            select o.id, o.key, o.group_key, o.data, i.answer_seq, i.label, coalesce(i.weight, 1) as weight
            from run_items i join outputs o on o.id = i.output_id
            where i.run_id = %(run_id)s and i.part = 'train'
            union all
            select o.id, o.key, o.group_key, o.data, null, i.label, i.weight
            from accepted_items i join outputs o on o.id = i.output_id where i.run_id = %(run_id)s
        ) taught where not exists (select from forgotten_outputs f where f.output_id = taught.id)
        order by key collate "C"
        """,
        {"run_id": run_id},
    ).fetchall()

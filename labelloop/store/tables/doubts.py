"""Statements about the table doubts: the doubt about an answer of one person, by a model not trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.opinions.adjudicated import ADJUDICATED
from labelloop.store.tables.prelabels import MAX_BYTES
from labelloop.versions.version import VersionPair

DOUBTFUL = 0.5
"""Smallest doubt that is asked about: another answer is at least as probable as the given one.

Below it, few answers are incorrect: `python -m benchmarks.promises.second`.
"""


class Doubtful(NamedTuple):
    """An answered task to ask once more."""

    output_id: UUID
    key: str
    doubt: float
    """Probability that another answer is correct, if that or the given one is."""


class Undoubted(NamedTuple):
    """The answer of one person, about which the versions in force have given no doubt yet."""

    output_id: UUID
    data: Mapping[str, Any]
    """The item; empty if the run was trained on it."""
    seq: int
    """The answer's seq."""
    label: str
    trained_label: str | None
    """The answer that the ranker's run was trained on; None if it was not trained on this item."""
    given: float | None
    """Out-of-fold probability of `trained_label`; None if there is none."""
    other: str | None
    """The most probable other answer, out of fold."""
    of_other: float | None
    """Out-of-fold probability of `other`."""


def most(conn: Conn, loop: str, limit: int) -> list[Doubtful]:
    """Return the answered tasks to ask once more, the most doubtful first.

    It leaves out tasks that were asked twice already, adjudicated answers, gold items, and hold-out items, because
    these judge the version that has the doubt.
    """
    cursor = rows_of(conn, Doubtful)
    return cursor.execute(
        f"""
        select d.output_id, o.key, d.doubt
        from doubts d join outputs o on o.id = d.output_id join tasks t on t.output_id = d.output_id
        where d.loop = %(loop)s and d.doubt >= %(least)s and o.state = 'answered' and t.overlap = 1
        and o.lane not in ('holdout', 'gold') and not {ADJUDICATED}
        order by d.doubt desc, o.key limit %(limit)s
        """,
        {"loop": loop, "least": DOUBTFUL, "limit": limit},
    ).fetchall()


def unseen(
    conn: Conn, loop: str, pair: VersionPair, limit: int, after: UUID | None = None, run_id: UUID | None = None
) -> list[Undoubted]:
    """Return answers of one person about which these versions have not given a doubt yet, in the order of the ids.

    `run_id`: the run that made the ranker, whose out-of-fold predictions are read. None if the ranker was trained on no
    answer. Leaves out answers that the run was trained on without such a prediction, unless there is an older doubt.
    Starts behind the id `after`. Returns at most `limit` rows, and fewer if the data is large; only outputs of the
    lanes that `most` may ask again.
    """
    cursor = rows_of(conn, Undoubted)
    return cursor.execute(
        f"""
        select output_id, data, seq, label, trained_label, given, other, of_other from (
            select w.*, case when w.trained_label is null then o.data else '{{}}' end as data,
                sum(w.bytes) over (order by o.id) - w.bytes as bytes_before
            from (
                select o.id as output_id, a.seq, a.label, i.label as trained_label,
                    i.out_of_fold_probability as given, i.out_of_fold_other as other,
                    i.out_of_fold_other_probability as of_other,
                    case when i.output_id is null then pg_column_size(o.data) else 0 end as bytes
                from outputs o cross join lateral (
                    select seq, label, reviewers from answers where output_id = o.id order by seq desc limit 1
                ) a left join doubts d on d.output_id = o.id
                left join run_items i on i.run_id = %(run_id)s::uuid and i.output_id = o.id and i.part = 'train'
                where o.loop = %(loop)s and o.state = 'answered' and o.lane not in ('holdout', 'gold')
                and a.reviewers = 1 and a.label is not null
                and (d.champion, d.ranker) is distinct from (%(champion)s, %(ranker)s)
                and (i.output_id is null or i.out_of_fold_probability is not null or d.output_id is not null)
                and (%(after)s::uuid is null or o.id > %(after)s)
                order by o.id limit %(limit)s
            ) w join outputs o on o.id = w.output_id
        ) w
        where bytes_before < {MAX_BYTES} order by output_id
        """,
        {
            "loop": loop,
            "champion": pair.champion,
            "ranker": pair.ranker,
            "limit": limit,
            "after": after,
            "run_id": run_id,
        },
    ).fetchall()


def keep(conn: Conn, pair: VersionPair, output_ids: Sequence[UUID]) -> None:
    """Let the doubts about these outputs stand under these versions, which have no better ones."""
    conn.execute(
        "update doubts set champion = %(champion)s, ranker = %(ranker)s where output_id = any(%(ids)s)",
        {"champion": pair.champion, "ranker": pair.ranker, "ids": sorted(output_ids)},
    )


def write(
    conn: Conn, loop: str, pair: VersionPair, doubts: Mapping[UUID, float | None], of: Mapping[UUID, int]
) -> None:
    """Store the doubts that these versions give, of answers that are still the newest; `of`: seq of each answer.

    A doubt of None removes what other versions gave. The caller holds the lock on the loop's answers.
    """
    said = {output_id: doubt for output_id, doubt in sorted(doubts.items()) if doubt is not None}
    conn.execute(
        """
        insert into doubts (output_id, loop, doubt, champion, ranker)
        select output_id, %(loop)s, doubt, %(champion)s, %(ranker)s
        from unnest(%(ids)s::uuid[], %(doubts)s::float8[], %(of)s::bigint[]) as d (output_id, doubt, seq)
        where seq = (select max(a.seq) from answers a where a.output_id = d.output_id)
        on conflict (output_id) do update set doubt = excluded.doubt, champion = excluded.champion,
            ranker = excluded.ranker
        """,
        {
            "loop": loop,
            "champion": pair.champion,
            "ranker": pair.ranker,
            "ids": list(said),
            "doubts": list(said.values()),
            "of": [of[output_id] for output_id in said],
        },
    )
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": [i for i in doubts if i not in said]})


def forget(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Delete the doubts about these outputs, because their answers have changed."""
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": list(output_ids)})

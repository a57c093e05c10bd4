"""Statements about a model's labels and confidences: those with an answer that chance chose, and those without.

Only outputs that the trigger does not send can pass unseen. Chance alone takes some of them into the lanes holdout and
audit, each with the same probability. So the answers in these lanes together are a fair sample. The lane
control has outputs that the trigger sends, and tells nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.promises.trials import Labeller, asks_the_same
from labelloop.store.questions.error_rate import OPINIONS
from labelloop.store.tables import versions
from labelloop.versions.version import short

MOST_SCORES = 5000
"""Largest number of confidences that are read, those of the newest outputs."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An answered output with the model's label and confidence."""

    output_id: UUID
    group_key: str
    label: str
    confidence: float
    answer: str | None
    """None if the reviewers agree on no label."""
    opinions: Sequence[str | None] | None
    """The reviewers' labels if they agree on none; None in it rejects the model's label and names no other."""
    received_at: datetime


_FAIR = f"""
    o.loop = %(loop)s and o.lane in ('holdout', 'audit') and o.triggered is false and {NO_REPEAT}
    and o.spec_version = any(%(specs)s) and (%(since)s::timestamptz is null or o.received_at > %(since)s)
"""
# Lateral, so that the plan is the same while the tables have no statistics: an index scan for each output.
_ANSWERED = f"""
    select o.id as output_id, o.group_key, o.label, o.confidence, a.label as answer, {OPINIONS}, o.received_at
    from outputs o cross join lateral (
        select label, reviewers from answers where output_id = o.id order by seq desc limit 1
    ) a cross join lateral (
        select seq from answers where output_id = o.id order by seq limit 1
    ) first
    where {_FAIR} and a.reviewers > 0 and {{whose}}
    order by first.seq
"""
_PIPELINE = "o.model_version = %(version)s and o.label is not null and o.confidence is not null"
_CHAMPION = "o.id = any(%(ids)s)"
# What people were shown; before that, what the gate saw of held-out answers, as incumbent and first as challenger.
_SAID = (
    """
    select output_id, label, confidence from tasks
    where loop = %(loop)s and champion = %(short)s and label is not null and confidence is not null
    """,
    """
    select i.output_id, i.champion_label as label, i.champion_confidence as confidence
    from retrain_runs r join run_items i on i.run_id = r.id
    where r.loop = %(loop)s and r.champion_id = %(version)s and i.part = 'holdout'
    and i.champion_label is not null and i.champion_confidence is not null
    """,
    """
    select i.output_id, i.challenger_label as label, i.challenger_confidence as confidence
    from retrain_runs r join run_items i on i.run_id = r.id
    where r.loop = %(loop)s and r.version_id = %(version)s and i.part = 'holdout'
    and i.challenger_label is not null and i.challenger_confidence is not null
    """,
)


def labeller(conn: Conn, loop: str) -> Labeller | None:
    """Return the model whose labels are shown: the champion, or else the pipeline's of the newest output.

    None if nothing has come in yet. Its version is "" if the pipeline names none.
    """
    champion = versions.champion(conn, loop)
    if champion is not None:
        return Labeller("champion", champion.id)
    row = conn.execute(
        """
        select model_version from outputs where loop = %(loop)s and lane <> 'gold'
        order by received_at desc, key desc limit 1
        """,
        {"loop": loop},
    ).fetchone()
    return None if row is None else Labeller("pipeline", row["model_version"])


def answered(conn: Conn, spec: LoopSpec, of: Labeller, since: datetime | None) -> list[Scored]:
    """Return the answers that chance chose among outputs that the trigger does not send, by their first answer.

    With the model's label and confidence. Answers that it was trained on are left out. So are outputs without a label
    or a confidence, outputs that another trigger or form routed, and those that came before `since`.
    """
    values = _values(conn, spec, of, since)
    if of.kind == "pipeline":
        return rows_of(conn, Scored).execute(_ANSWERED.format(whose=_PIPELINE), values).fetchall()
    said = _said(conn, values)
    found = rows_of(conn, Scored).execute(_ANSWERED.format(whose=_CHAMPION), {**values, "ids": list(said)})
    return [replace(row, label=said[row.output_id][0], confidence=said[row.output_id][1]) for row in found]


def _said(conn: Conn, values: Mapping[str, object]) -> dict[UUID, tuple[str, float]]:
    """Return the champion's label and confidence by output, without the outputs that it was trained on."""
    said: dict[UUID, tuple[str, float]] = {}
    for statement in _SAID:
        said |= {row["output_id"]: (row["label"], row["confidence"]) for row in conn.execute(statement, values)}
    trained = conn.execute(
        """
        select i.output_id from retrain_runs r join run_items i on i.run_id = r.id
        where r.loop = %(loop)s and r.version_id = %(version)s and i.part = 'train'
        """,
        values,
    )
    for row in trained:
        said.pop(row["output_id"], None)
    return said


def scores(conn: Conn, spec: LoopSpec, of: Labeller, since: datetime | None) -> list[tuple[str, float]]:
    """Return the model's labels and confidences in outputs that the trigger does not send, answered or not."""
    values = {**_values(conn, spec, of, since), "most": MOST_SCORES}
    if of.kind == "pipeline":
        found = conn.execute(
            """
            select label, confidence from outputs o
            where loop = %(loop)s and model_version = %(version)s and lane <> 'gold' and triggered is false
            and label is not null and confidence is not null
            and spec_version = any(%(specs)s) and (%(since)s::timestamptz is null or received_at > %(since)s)
            order by received_at desc limit %(most)s
            """,
            values,
        )
        return [(row["label"], row["confidence"]) for row in found]
    # In the rule lane only those wait that no certificate covered: the others are a fair sample.
    said = _said(conn, values)
    waiting = conn.execute(
        """
        select output_id, label, confidence from pool
        where loop = %(loop)s and champion = %(short)s and lane in ('holdout', 'audit')
        and label is not null and confidence is not null
        """,
        values,
    )
    said |= {row["output_id"]: (row["label"], row["confidence"]) for row in waiting}
    fair = conn.execute(
        f"select o.id from outputs o where {_FAIR} and {_CHAMPION} order by o.received_at desc limit %(most)s",
        {**values, "ids": list(said)},
    )
    return [said[row["id"]] for row in fair]


def _values(conn: Conn, spec: LoopSpec, of: Labeller, since: datetime | None) -> dict[str, object]:
    specs = same_specs(conn, spec)
    return {"loop": spec.name, "version": of.version, "short": short(of.version), "since": since, "specs": specs}


def without_confidence(conn: Conn, loop: str, version: str) -> tuple[int, int]:
    """Return how many of the newest 1,000 outputs of this version have no confidence or no label, and of how many."""
    row = conn.execute(
        """
        select count(*) filter (where confidence is null or label is null) as bare, count(*) as n from (
            select label, confidence from outputs
            where loop = %(loop)s and model_version = %(version)s and lane <> 'gold'
            order by received_at desc limit 1000
        ) newest
        """,
        {"loop": loop, "version": version},
    ).fetchone()
    assert row is not None
    return int(row["bare"]), int(row["n"])


def same_specs(conn: Conn, spec: LoopSpec) -> list[int]:
    """Return the numbers of the loop's specs, this one too, that have its trigger and its form.

    Outputs that another spec routed are no sample of what could pass unseen now.
    """
    rows = conn.execute("select number, spec from spec_versions where loop = %(loop)s", {"loop": spec.name})
    return [row["number"] for row in rows if asks_the_same(LoopSpec.from_json(row["spec"]), spec)]

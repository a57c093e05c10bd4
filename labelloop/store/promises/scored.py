"""Statements about a model's labels and confidences: those with an answer that chance chose, and those without.

Only outputs that the trigger does not send can pass unseen. Chance alone takes some of them into the lanes holdout and
audit, each with the same probability. So the answers in these lanes together are a fair sample. The lane
control has outputs that the trigger sends, and tells nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.promises.trials import Labeller, asks_the_same
from labelloop.store.questions.error_rate import NEWEST, OPINIONS
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
_ANSWERED = f"""
    select o.id as output_id, o.group_key, m.label, m.confidence, a.label as answer, {OPINIONS}, o.received_at
    from ({{model}}) m join outputs o on o.id = m.output_id join ({NEWEST}) a on a.output_id = o.id
    where {_FAIR} and m.label is not null and m.confidence is not null and a.reviewers > 0
    order by (select min(seq) from answers f where f.output_id = o.id)
"""
_PIPELINE = """
    select id as output_id, label, confidence from outputs
    where loop = %(loop)s and model_version = %(version)s and lane in ('holdout', 'audit') and triggered is false
"""
# What the gate saw of held-out answers, as challenger and later as incumbent; then what people were shown.
_CHAMPION = """
    select distinct on (output_id) output_id, label, confidence from (
        select i.output_id, i.challenger_label as label, i.challenger_confidence as confidence, 1 as place
        from run_items i join retrain_runs r on r.id = i.run_id
        where r.loop = %(loop)s and r.version_id = %(version)s and i.part = 'holdout'
        and i.challenger_label is not null
        union all
        select i.output_id, i.champion_label, i.champion_confidence, 2
        from run_items i join retrain_runs r on r.id = i.run_id
        where r.loop = %(loop)s and r.champion_id = %(version)s and i.part = 'holdout' and i.champion_label is not null
        union all
        select t.output_id, t.label, t.confidence, 3 from tasks t
        where t.loop = %(loop)s and t.champion = %(short)s and t.label is not null
    ) said
    where not exists (
        select from run_items i join retrain_runs r on r.id = i.run_id
        where r.loop = %(loop)s and r.version_id = %(version)s and i.output_id = said.output_id and i.part = 'train')
    order by output_id, place
"""


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
    model = _PIPELINE if of.kind == "pipeline" else _CHAMPION
    values = _values(conn, spec, of, since)
    return rows_of(conn, Scored).execute(_ANSWERED.format(model=model), values).fetchall()


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
    else:  # in the rule lane only those wait that no certificate covered
        found = conn.execute(
            f"""
            select m.label, m.confidence from (
                {_CHAMPION.replace("order by output_id, place", "")}
                union all select output_id, label, confidence from pool
                where loop = %(loop)s and champion = %(short)s and lane in ('holdout', 'audit')
            ) m join outputs o on o.id = m.output_id
            where {_FAIR} and m.label is not null and m.confidence is not null
            order by o.received_at desc limit %(most)s
            """,
            values,
        )
    return [(row["label"], row["confidence"]) for row in found]


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

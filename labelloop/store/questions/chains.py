"""Questions about chains: the outputs of one trace, in the order of their times, in a loop and the loops it names.

An earlier output is corrected if its reviewers agree that the pipeline's label is incorrect, as its status says. The
marks of later outputs are computed from today's answers and never stored, so a correction that is edited back leaves
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.queue.steps import MOST_LETTERS, MOST_STEPS, Step
from labelloop.reading import paths
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import loops

MOST_CORRECTED = 100
"""Corrected steps that are named for one output: the first ones of its trace."""
ORDER = "coalesce({0}.produced_at, {0}.received_at), {0}.received_at, coalesce({0}.line, 0), {0}.key, {0}.id"
"""Order of the outputs of a trace: two of them never have the same place."""
NEWEST = """
    lateral (
        select label, reviewers, output_id as of from answers
        where output_id = coalesce((select original_id from repeats r where r.output_id = o.id), o.id)
        order by seq desc limit 1
    ) a on o.state = 'answered' and a.reviewers > 0
"""
"""The reviewers' answer, if the status of the output `o` shows one. They gave it about the output `a.of`: `o`, or the
original of a repeat.
"""
CORRECTED = """(
    o.label is not null and case when a.label is null
        then (select bool_and(f.approval is false) from feedback f where f.model_output_id = a.of)
        else a.label <> o.label and not exists (
            select from feedback f join outputs about on about.id = f.model_output_id
            where f.model_output_id = a.of and f.label = a.label and f.approval and about.label = o.label
        ) end
)"""
"""Whether `a`, the newest answer of the output `o`, says that the pipeline's label is incorrect.

A form may express a label only in part, such as a number on a scale. Its reviewers then approve another text.
"""
PLACES = f"""
    places as materialized (
        select o.id, o.trace, row_number() over (partition by o.trace order by {ORDER.format("o")}) as n
        from outputs o
        where o.loop = any(%(loops)s) and o.trace in (select trace from outputs where id = any(%(ids)s))
    )
"""
"""Every output of the traces of these outputs, with its place, from 1."""


@dataclass(frozen=True, slots=True)
class CorrectedStep:
    """An earlier output of the same trace whose label people corrected."""

    loop: str
    key: str
    step: str | None
    label: str
    """The pipeline's label."""
    correction: str | None
    """The reviewers' label; None if they only rejected it."""


def steps_before(conn: Conn, spec: LoopSpec, ids: Sequence[UUID]) -> dict[UUID, list[Step]]:
    """Return the last MOST_STEPS steps before each of these outputs of the loop, in the order of the trace.

    An output without a trace or without an earlier step has an empty list.
    """
    found: dict[UUID, list[Step]] = {id_: [] for id_ in ids}
    rows = conn.execute(
        f"""
        with {PLACES}
        select me.id as of, o.loop, o.key, o.step, p.n::int as place, o.label,
            coalesce(left(shown.text, %(letters)s), '') as text, coalesce(length(shown.text), 0) as length,
            a.label is not null or coalesce({CORRECTED}, false) as answered,
            coalesce({CORRECTED}, false) as corrected, a.label as correction
        from places me
        cross join generate_series(1, %(most)s) as before
        join places p on p.trace = me.trace and p.n = me.n - before
        join outputs o on o.id = p.id
        left join {NEWEST}
        left join lateral (
            select string_agg(case when value like 'data:%%' then '(a file)' else value end, E'\\n' order by n) as text
            from (
                select field.n, coalesce(
                    o.data ->> (field.path ->> 0), o.data #>> array(select jsonb_array_elements_text(field.path -> 1))
                ) as value
                from jsonb_array_elements(%(fields)s::jsonb -> o.loop) with ordinality as field (path, n)
            ) as fields
        ) shown on true
        where me.id = any(%(ids)s) order by me.id, p.n
        """,
        {
            "loops": list(spec.chain),
            "ids": list(ids),
            "most": MOST_STEPS,
            "letters": MOST_LETTERS,
            "fields": Jsonb(_fields(conn, spec)),
        },
    )
    for row in rows:
        step = {name: value for name, value in row.items() if name != "of"}
        found[row["of"]].append(Step(**step | {"correction": row["correction"] if row["corrected"] else None}))
    return found


def rests_on(
    conn: Conn, spec: LoopSpec, ids: Sequence[UUID], *, source: str | None = None, only: str | None = None
) -> dict[UUID, list[CorrectedStep]]:
    """Return the corrected steps that each of these outputs of the loop rests on, in the order of the trace.

    Outputs that rest on none are left out. `source` and `only`: the only source and the only loop whose outputs the
    caller may read; None for all.
    """
    found: dict[UUID, list[CorrectedStep]] = {}
    rows = conn.execute(
        f"""
        with me as materialized (
            select o.id, o.trace, row({ORDER.format("o")}) as place from outputs o where o.id = any(%(ids)s)
        ), wrong as materialized (
            select o.trace, row({ORDER.format("o")}) as place, o.loop, o.key, o.step, o.label, a.label as correction,
                row_number() over (partition by o.trace order by {ORDER.format("o")}) as number
            from outputs o join {NEWEST}
            where o.loop = any(%(loops)s) and o.trace in (select trace from me)
            and {CORRECTED} and (%(source)s::text is null or o.source = %(source)s)
            and (%(only)s::text is null or o.loop = %(only)s)
        )
        select me.id as of, wrong.loop, wrong.key, wrong.step, wrong.label, wrong.correction
        from me join wrong on wrong.trace = me.trace and wrong.place < me.place and wrong.number <= %(most)s
        order by me.id, wrong.number
        """,
        {"loops": list(spec.chain), "ids": list(ids), "source": source, "only": only, "most": MOST_CORRECTED},
    )
    for row in rows:
        step = {name: value for name, value in row.items() if name != "of"}
        found.setdefault(row["of"], []).append(CorrectedStep(**step))
    return found


def resting(conn: Conn, spec: LoopSpec) -> dict[str | None, int]:
    """Count the outputs of the loop that rest on a corrected step, by their own step; a step without any is missing."""
    rows = conn.execute(
        f"""
        with wrong as (
            select distinct on (o.trace) o.trace, row({ORDER.format("o")}) as place
            from outputs o join {NEWEST}
            where o.loop = any(%(loops)s) and o.trace is not null and {CORRECTED}
            order by o.trace, {ORDER.format("o")}
        )
        select o.step, count(*) as n from outputs o join wrong using (trace)
        where o.loop = %(loop)s and o.trace is not null and row({ORDER.format("o")}) > wrong.place group by o.step
        """,
        {"loops": list(spec.chain), "loop": spec.name},
    )
    return {row["step"]: row["n"] for row in rows}


def corrections(conn: Conn, spec: LoopSpec) -> dict[str | None, tuple[int, int]]:
    """Count, by step, the answered outputs of the loop that have a label of the pipeline, and the corrected ones.

    Repeats are left out.
    """
    rows = conn.execute(
        f"""
        select o.step, count(*) as answered, count(*) filter (where {CORRECTED}) as corrected
        from outputs o join {NEWEST} where o.loop = %(loop)s and o.label is not null and a.of = o.id group by o.step
        """,
        {"loop": spec.name},
    )
    return {row["step"]: (row["answered"], row["corrected"]) for row in rows}


def _fields(conn: Conn, spec: LoopSpec) -> Mapping[str, Any]:
    """Return, for each loop of the chain, the fields that its form shows: [name, steps of the path]."""
    known = {spec.name: spec, **{name: found for name in spec.steps.loops if (found := loops.get(conn, name))}}
    return {name: [[field, paths.steps(field)] for field in one.config.data_fields] for name, one in known.items()}

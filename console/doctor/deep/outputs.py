"""Outputs: their states (I1), work that is stuck (I8), reasons (I18)."""

from __future__ import annotations

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, stream
from console.doctor.deep.seen import Seen

SLACK_S = 120.0
"""Seconds after the grace of an import in which the next push must have ended it."""
SILENT_S = 300.0
"""Seconds without a heartbeat after which a run has no worker."""
FIRST_STATES = ["waiting", "passed"]
"""States in which an output can be stored."""


def states(seen: Seen, conn: Conn, loop: Loop) -> None:
    rows = stream(
        conn,
        """
        select o.id, o.key, o.state::text, l.became::text,
            o.state = 'waiting' and not exists (select from pool p where p.output_id = o.id)
            and not exists (select from repeats r where r.output_id = o.id) as lost
        from outputs o left join (
            select distinct on (e.output_id) e.output_id, e.became from output_events e
            join outputs p on p.id = e.output_id where p.loop = %(loop)s order by e.output_id, e.seq desc
        ) l on l.output_id = o.id
        where o.loop = %(loop)s and (
            l.became is distinct from o.state and (l.became is not null or o.state <> all(%(first)s::output_state[]))
            or o.state = 'waiting' and not exists (select from pool p where p.output_id = o.id)
            and not exists (select from repeats r where r.output_id = o.id))
        """,
        {"loop": loop.name, "first": FIRST_STATES},
    )
    for row in rows:
        if row["lost"]:
            says = "it waits without a place in the pool"
        else:
            says = f"it is {row['state']}, and its last recorded change led to {row['became'] or 'none'}"
        seen.wrong("I1", row["key"], says, output=row["id"])


def stuck(seen: Seen, conn: Conn, loop: Loop, grace_s: float) -> None:
    values = {"loop": loop.name, "late": grace_s + SLACK_S, "silent": SILENT_S}
    for row in conn.execute(
        """
        select id, state::text, coalesce(sent_at, created_at) as since from batches
        where loop = %(loop)s and state in ('intent', 'sending')
        and coalesce(sent_at, created_at) < now() - make_interval(secs => %(late)s)
        """,
        values,
    ):
        seen.wrong("I8", f"import {row['id']}", f"it is {row['state']} since {row['since']:%Y-%m-%d %H:%M:%S%z}")
    for row in conn.execute(
        """
        select o.id, o.key from outputs o left join batches b on b.id = o.batch_id
        where o.loop = %(loop)s and o.state = 'pushing' and (b.id is null or b.state not in ('intent', 'sending'))
        """,
        values,
    ):
        if not seen.told(row["id"]):
            seen.wrong("I8", row["key"], "it is on its way to Label Studio, but no import carries it", output=row["id"])
    for row in conn.execute(
        """
        select id from retrain_runs where loop = %(loop)s and status = 'running'
        and (heartbeat_at is null or heartbeat_at < now() - make_interval(secs => %(silent)s))
        """,
        values,
    ):
        row_ = f"retrain_runs/{row['id']}"
        seen.wrong("I8", f"run {row['id']}", "it runs without a heartbeat of its worker", row=row_)


def reasons(seen: Seen, conn: Conn, loop: Loop) -> None:
    for row in conn.execute(
        """
        select 'output ' || key as key, 'it is quarantined without a reason' as says from outputs
        where loop = %(loop)s and state = 'quarantined' and coalesce(state_reason, '') = ''
        union all
        select 'import ' || id, 'it was refused without a reason' from batches
        where loop = %(loop)s and state = 'refused' and coalesce(reason, '') = ''
        union all
        select 'run ' || id, 'it failed without an error' from retrain_runs
        where loop = %(loop)s and status = 'failed' and coalesce(error, '') = ''
        union all
        select 'delivery ' || id, 'it was given up without an error' from deliveries
        where loop = %(loop)s and state = 'dead' and last_error is null and last_status is null
        limit 10000
        """,
        {"loop": loop.name},
    ):
        seen.wrong("I18", row["key"], row["says"])

"""The table outbox, into which a program with no more than a connection to Postgres writes its outputs.

The body is text, not jsonb: jsonb keeps the last of two equal keys and takes numbers that Python cannot read back, and
the intake would no longer see what was sent.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
SQL = """
    create table outbox (
        id bigint generated always as identity primary key,
        loop text not null,
        body text not null constraint body_has_at_most_1_mib check (octet_length(body) <= 1048576),
        written_at timestamptz not null default now(),
        refused_at timestamptz,
        field text,
        problem text,
        constraint a_refusal_has_a_reason check (
            (refused_at is null) = (problem is null) and (refused_at is null) = (field is null)
        )
    );
    create index outbox_waiting on outbox (id) where refused_at is null;
    create index outbox_by_loop on outbox (loop);

    comment on table outbox is
        'Outputs that were written with SQL and are not stored yet. The sync worker deletes a row in the transaction '
        'that stores its output. A row that cannot be stored stays, with the reason.';
    comment on column outbox.id is 'Order in which rows are taken.';
    comment on column outbox.loop is 'Name of the loop; checked when the row is taken.';
    comment on column outbox.body is 'One output as a JSON object, as the intake takes it over HTTP.';
    comment on column outbox.written_at is 'When the row was written: the start of the transaction.';
    comment on column outbox.refused_at is 'When the row was found to be impossible to store; null while it waits.';
    comment on column outbox.field is 'Path of the faulty field; empty for the whole output. Null while the row waits.';
    comment on column outbox.problem is 'Why the row cannot be stored. Null while it waits.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

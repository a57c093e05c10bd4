"""The record: every change of state, with actor, time, before, after and reason, in a chain of hashes.

A later migration puts a table on record with one call of `record_begins`, for example

    select record_begins('alerts', array['id'], 'r.loop', 'jsonb_build_object(''open'', r.closed_at is null)',
        array['output_id', 'found', 'closed_at'], reason => 'r.why');

Expressions name the row `r`. The facts are chained for ever: put states, flags and our own ids there, and no texts,
names, addresses or data. What the content columns say goes into the record as a salted digest only. To record more
columns of a table later, call it again with the new arguments. docs/house/on-record.md says more.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name in ("v0032_the_record.sql", "v0032_on_record.sql"):
        connection.execute(Path(__file__).with_name(name).read_text())

"""The outputs of one trace have an order, also those that came in one request without times of their own.

All outputs of a request have the same time of arrival, so an output with a trace stores its position in the request.
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
SQL = """
    alter table outputs add column line integer;
    comment on column outputs.line is
        'Position in the request that it came with, from 0; null if it has no trace. Orders equal times of one trace.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

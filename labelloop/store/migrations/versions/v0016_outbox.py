"""To be written."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
SQL = """
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    if SQL.strip():
        connection.execute(SQL)

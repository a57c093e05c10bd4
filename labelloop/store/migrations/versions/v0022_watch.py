"""What Prometheus is told: how many outputs had their feedback written to their MLflow trace."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0020"
SQL = """
    alter table loops add column assessments_written bigint not null default 0;
    comment on column loops.assessments_written is
        'How often the feedback on an output of the loop was written to its MLflow trace.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

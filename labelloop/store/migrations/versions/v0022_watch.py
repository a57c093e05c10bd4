"""A count of the feedback written to MLflow traces; and answers that came over HTTP can be taken back.

An output without a task then returns to the state that it had before it was answered.
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
SQL = """
    alter table loops add column assessments_written bigint not null default 0;
    comment on column loops.assessments_written is
        'How often the feedback on an output of the loop was written to its MLflow trace.';

    do $$
    declare
        -- The newest definition, whichever migration made it, with three more edges.
        known text := pg_get_functiondef('outputs_keep_to_the_edges()'::regprocedure);
        more text := replace(known, '(''answered'', ''in_review''),', '(''answered'', ''in_review''), '
            '(''answered'', ''waiting''), (''answered'', ''passed''), (''answered'', ''quarantined''),');
    begin
        assert more <> known, 'outputs_keep_to_the_edges has no edge from answered to in_review';
        execute more;
    end $$;
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

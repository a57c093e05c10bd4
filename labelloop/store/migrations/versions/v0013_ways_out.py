"""Pipelines hold outputs until people decide or a deadline passes; each hold ends once.

The table `outcomes` keeps what each of them went on with. The primary key makes it final: a second request
to close a hold gets the first outcome.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
SQL = """
    create table outcomes (
        output_id    uuid primary key references outputs,
        outcome      text not null
            constraint outcome_is_known check (outcome in ('answer', 'passed', 'fallback', 'undecided')),
        value        jsonb,
        decided_at   timestamptz not null default now(),
        deadline_at  timestamptz,
        constraint undecided_has_no_value check ((outcome = 'undecided') = (value is null))
    );

    comment on table outcomes is
        'How the hold of a pipeline on an output ended: one row for each output that was held. It never changes.';
    comment on column outcomes.output_id is 'The output.';
    comment on column outcomes.outcome is
        'answer: people agreed on a label. passed: no person is asked, so that the output of the pipeline holds. '
        'fallback: the value that the pipeline declared. undecided: it declared none.';
    comment on column outcomes.value is
        'The value with which the pipeline continues: a label as text, or the fallback. Null only if undecided.';
    comment on column outcomes.decided_at is 'Time at which the hold ended.';
    comment on column outcomes.deadline_at is 'Deadline of the hold, as the pipeline named it; null if it named none.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

"""Answers on MLflow traces: which outputs have feedback that MLflow lacks."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
SQL = """
    alter table loops add column assessed_upto bigint not null default 0;
    comment on column loops.assessed_upto is
        'Number of the newest row of feedback_changes that was looked through for the table assessments; 0 for none.';

    create table assessments (
        output_id   uuid primary key references outputs,
        loop        text not null references loops,
        seq         bigint not null,
        tries       integer not null default 0,
        next_try_at timestamptz not null default clock_timestamp(),
        error       text,
        given_up_at timestamptz
    );
    create index assessments_due on assessments (loop, next_try_at, seq) where given_up_at is null;
    comment on table assessments is
        'Outputs that came from an MLflow trace, and whose feedback is not on the trace yet. Written rows are deleted.';
    comment on column assessments.output_id is 'The output.';
    comment on column assessments.loop is 'The loop of the output.';
    comment on column assessments.seq is 'Number of the newest change of its feedback, see feedback_changes.';
    comment on column assessments.tries is 'Number of tries that were begun, without those while MLflow was down.';
    comment on column assessments.next_try_at is 'Earliest time of the next try.';
    comment on column assessments.error is 'Why the last try failed; null if none failed since the change.';
    comment on column assessments.given_up_at is
        'Time after which nothing is tried until the feedback changes again; null while it is tried.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

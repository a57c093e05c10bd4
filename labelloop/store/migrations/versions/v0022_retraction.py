"""A count of the feedback written to MLflow traces; and answers that came over HTTP can be taken back.

An output without a task and without any feedback then returns to the state that it had before it was answered.
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
SQL = """
    alter table loops add column assessments_written bigint not null default 0;
    comment on column loops.assessments_written is
        'How often the feedback on an output of the loop was written to its MLflow trace.';

    create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
    begin
        if (old.state, new.state) not in (
            ('waiting', 'pushing'), ('waiting', 'withdrawn'), ('waiting', 'answered'), ('waiting', 'passed'),
            ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
            ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
            ('answered', 'in_review'), ('answered', 'withdrawn'),
            ('quarantined', 'waiting'), ('quarantined', 'answered'),
            ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
            ('passed', 'waiting'), ('passed', 'in_review'), ('passed', 'answered')
        ) and not (
            (old.state, new.state) in (('answered', 'waiting'), ('answered', 'passed'), ('answered', 'quarantined'))
            and not exists (select from feedback where model_output_id = new.id)
            or (old.state, new.state) = ('waiting', 'quarantined')
            and exists (select from repeats where output_id = new.id)
        ) or new.state in ('pushing', 'in_review') and exists (select from repeats where output_id = new.id) then
            raise exception 'output % cannot go from % to %', new.id, old.state, new.state
                using errcode = 'check_violation', constraint = 'output_edges';
        end if;
        insert into output_events (output_id, was, became, reason)
            values (new.id, old.state, new.state, new.state_reason);
        return new;
    end $$;
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

"""The budget: an output that waits may pass, and each loop knows the day up to which that was done."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
SQL = """
    alter table loops add column budget_day date;
    comment on column loops.budget_day is
        'The day (UTC) on which the outputs that the budget of earlier days kept out were last let pass; null before '
        'the first time.';

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
        ) then
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

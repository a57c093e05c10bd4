"""Repeats follow their original also if one of several people answered the repeat itself.

Since 0022 an output with feedback could not go back from answered to waiting. A repeat may have feedback of its own
while too few people have answered it, and still has the answer of its original.
"""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
SQL = """
    create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
    declare
        repeats_another boolean := exists (select from repeats where output_id = new.id);
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
            and (repeats_another or not exists (select from feedback where model_output_id = new.id))
            or (old.state, new.state) = ('waiting', 'quarantined') and repeats_another
        ) or new.state in ('pushing', 'in_review') and repeats_another then
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

"""Blind tasks: outputs that people answer without any prelabel."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
SQL = """
    create table blind_tasks (
        output_id uuid primary key references outputs,
        loop text not null references loops,
        share double precision not null constraint blind_share check (share > 0 and share <= 1),
        form_sha256 bytea not null constraint blind_form check (octet_length(form_sha256) = 32),
        shown_before boolean not null,
        drawn_at timestamptz not null default now()
    );
    create index blind_tasks_by_loop on blind_tasks (loop);

    comment on table blind_tasks is
        'The outputs that people answer without any prelabel (queue.blind in loop.yaml). A row is written before the '
        'task is sent to Label Studio, and holds: no later prelabel is shown.';
    comment on column blind_tasks.output_id is 'The output.';
    comment on column blind_tasks.loop is 'The loop.';
    comment on column blind_tasks.share is 'The share of such outputs that was in force, above 0 and at most 1.';
    comment on column blind_tasks.form_sha256 is
        'SHA-256 of what people read when they answer: form, controls of the answer, definitions, instruction.';
    comment on column blind_tasks.shown_before is
        'Whether people may have seen the output with a prelabel before: it had a task. Its answer does not count as '
        'blind.';
    comment on column blind_tasks.drawn_at is 'Time of the draw. Only later answers are blind.';

    comment on column outputs.inclusion_probability is
        'Probability with which chance alone chooses an output of this stratum for people. '
        'Null in the lanes rule (rank chooses) and gold, and for outputs that came before this was recorded. '
        'Not a weight while outputs wait: labelloop report accuracy estimates.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

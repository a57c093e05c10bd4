"""Tasks at which Label Studio fails, and the places that the head of the record does not reach.

The chain keeps its speed with a long backlog, and the entries of a row are found without reading all. Tests of promises
come on record.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0039"
down_revision = "0038"
# Not on record: what Label Studio answers is no decision of ours, and changes nothing.
SQL = """
    set local statement_timeout = 0;
    create table faulty_tasks (
        loop            text not null references loops,
        instance        uuid not null,
        label_studio_id bigint not null,
        reason          text not null,
        since           timestamptz not null default now(),
        primary key (instance, label_studio_id)
    );
    create index faulty_tasks_by_loop on faulty_tasks (loop);
    comment on table faulty_tasks is
        'Tasks of which Label Studio cannot show the annotations, or nothing at all. The other tasks are read; these '
        'are tried again each minute, and their rows are deleted once they can be read or are gone.';
    comment on column faulty_tasks.loop is 'The loop.';
    comment on column faulty_tasks.instance is 'The project in Label Studio, see projects.';
    comment on column faulty_tasks.label_studio_id is 'Id of the task there.';
    comment on column faulty_tasks.reason is 'What Label Studio answered.';
    comment on column faulty_tasks.since is 'Time of the first failure.';

    create table unpublished_heads (
        place text primary key constraint place_is_known check (place in ('file', 'webhook')),
        since timestamptz not null default now(),
        error text not null
    );
    comment on table unpublished_heads is
        'Places to which the head of the record cannot be published now. A row is deleted when the next one arrives.';
    comment on column unpublished_heads.place is 'file or webhook.';
    comment on column unpublished_heads.since is 'Time of the first of these failures.';
    comment on column unpublished_heads.error is 'What failed last.';

    create index record_entries_by_key on record_entries using hash (key);
    -- A certificate is honest only if the thresholds of its test were fixed before the answers came.
    select record_begins('promise_tests', array['id'], 'r.loop',
        $$ jsonb_build_object('labeller', r.labeller, 'number', r.number, 'open', r.closed_at is null) $$,
        array['version', 'basis', 'thresholds', 'since', 'begun_at'], 'r.closed_because');
"""


def upgrade() -> None:
    op.execute(SQL)
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_name("v0039_record_seal.sql").read_text())

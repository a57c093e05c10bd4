"""Tasks at which Label Studio fails, so that a restart of the worker does not forget them."""

from __future__ import annotations

from alembic import op

revision = "0039"
down_revision = "0035"
# Not on record: what Label Studio answers is no decision of ours, and changes nothing.
SQL = """
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
        'are tried again at each pull, and their rows are deleted once they can be read or are gone.';
    comment on column faulty_tasks.loop is 'The loop.';
    comment on column faulty_tasks.instance is 'The project in Label Studio, see projects.';
    comment on column faulty_tasks.label_studio_id is 'Id of the task there.';
    comment on column faulty_tasks.reason is 'What Label Studio answered.';
    comment on column faulty_tasks.since is 'Time of the first failure.';
"""


def upgrade() -> None:
    op.execute(SQL)

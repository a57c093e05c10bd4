"""Assignments: which people are to answer which open tasks."""

from __future__ import annotations

from alembic import op

revision = "0038"
down_revision = "0037"
SQL = """
    create table assignees (
        loop        text not null references loops,
        reviewer_id uuid not null references reviewers,
        tab_id      bigint,
        primary key (loop, reviewer_id)
    );
    create index assignees_by_reviewer on assignees (reviewer_id);
    create table assignments (
        output_id    uuid not null references outputs,
        reviewer_id  uuid not null references reviewers,
        loop         text not null references loops,
        at           timestamptz not null default clock_timestamp(),
        handed_on_at timestamptz,
        primary key (output_id, reviewer_id)
    );
    create index assignments_by_loop on assignments (loop);
    create index assignments_by_reviewer on assignments (reviewer_id);
    create index feedback_by_reviewer on feedback (reviewer_id, updated_at);

    comment on table assignees is 'The people whom loop.yaml names and whom Label Studio knows.';
    comment on column assignees.loop is 'The loop.';
    comment on column assignees.reviewer_id is 'The person.';
    comment on column assignees.tab_id is 'The tab in Label Studio with the person''s tasks; null before it is made.';
    comment on table assignments is 'The open tasks that people are to answer, and those that they let go. A task that \
is answered or moved to another person has no row any more; one that was let go, for 30 days.';
    comment on column assignments.output_id is 'The output of the task.';
    comment on column assignments.reviewer_id is 'The person.';
    comment on column assignments.loop is 'The loop.';
    comment on column assignments.at is 'Time of the assignment.';
    comment on column assignments.handed_on_at is 'Time at which the task went on to another person, because this one \
had not answered; null while the person is to answer it.';

    select record_begins('assignments', array['output_id', 'reviewer_id'], 'r.loop',
        $$ jsonb_build_object('handed_on', r.handed_on_at is not null) $$);
"""


def upgrade() -> None:
    op.execute(SQL)

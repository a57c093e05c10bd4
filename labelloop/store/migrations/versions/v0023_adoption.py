"""Projects that were in Label Studio before their loop: their settings as they were, and the outputs of their tasks."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
SQL = """
    create table adoptions (
        loop              text primary key references loops,
        label_studio_url  text not null,
        project_id        bigint not null,
        settings          jsonb not null,
        tabs              bigint[] not null,
        batch_id          uuid not null references batches,
        since             timestamptz,
        begun_at          timestamptz not null default now(),
        adopted_at        timestamptz,
        released_at       timestamptz
    );
    create unique index one_adoption_a_project on adoptions (label_studio_url, project_id) where released_at is null;
    comment on table adoptions is 'Loops whose project was in Label Studio before them.';
    comment on column adoptions.loop is 'The loop.';
    comment on column adoptions.label_studio_url is 'The address of Label Studio.';
    comment on column adoptions.project_id is 'The number of the project.';
    comment on column adoptions.begun_at is 'When the adoption began.';
    comment on column adoptions.settings is
        'The settings of the project as they were before labelloop changed any; a release restores them.';
    comment on column adoptions.tabs is 'The tabs that the project had; a release keeps them.';
    comment on column adoptions.batch_id is 'The batch in whose name the tasks of the project are stored.';
    comment on column adoptions.since is
        'The newest change of a task when the adoption began. The first pull reads all later changes.';
    comment on column adoptions.adopted_at is 'When all tasks were stored; null if the adoption was not completed yet.';
    comment on column adoptions.released_at is 'When the project was given back; null while it is the loop''s.';

    create table adopted_tasks (
        output_id        uuid primary key references outputs,
        loop             text not null references loops,
        instance         uuid not null,
        label_studio_id  bigint not null,
        data_sha256      bytea not null,
        chosen_by_people boolean not null default false,
        constraint one_adopted_task_an_output unique (instance, label_studio_id)
    );
    create index adopted_tasks_by_loop on adopted_tasks (loop);
    comment on table adopted_tasks is
        'Tasks that people made in Label Studio. Their data has no signature, so they are known by id and data.';
    comment on column adopted_tasks.output_id is 'The output that the task became.';
    comment on column adopted_tasks.loop is 'The loop.';
    comment on column adopted_tasks.instance is 'As in projects.';
    comment on column adopted_tasks.label_studio_id is 'The id of the task in Label Studio.';
    comment on column adopted_tasks.data_sha256 is
        'SHA-256 of the data of the task. If the fields that the form shows have changed, an answer does not count.';
    comment on column adopted_tasks.chosen_by_people is
        'Whether people answered it before labelloop chose it. Neither rank nor chance chose such an output, so no '
        'estimate that rests on chance includes it.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

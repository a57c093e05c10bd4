"""Accepted outputs in training sets, apart from people's answers, and certificates that only gave way to another model.

A separate table, so that no statement about answers of a run can count an accepted output as one.
"""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
SQL = """
    alter table certificates
        add column succeeded boolean not null default false,
        add constraint succeeded_certificate_has_ended check (not succeeded or ended_at is not null);
    comment on column certificates.succeeded is
        'Whether it ended only because labels are from another model now. What it let pass keeps its promise.';

    create or replace function promotions_end_certificates() returns trigger language plpgsql as $$
    begin
        update certificates set ended_at = now(), succeeded = true, ended_because = case when new.version_id is null
            then 'the loop went back to the labels of the pipeline'
            else 'version ' || left(new.version_id, 8) || ' became champion' end
        where "loop" = new."loop" and ended_at is null;
        return null;
    end $$;

    create table accepted_items (
        run_id    uuid not null references retrain_runs,
        output_id uuid not null references accepted,
        holdout   boolean not null default false constraint accepted_is_never_held_out check (not holdout),
        label     text not null,
        weight    double precision not null constraint accepted_weight check (weight > 0 and weight <= 1),
        primary key (run_id, output_id),
        constraint holdout_is_the_outputs foreign key (output_id, holdout) references outputs (id, holdout)
    );
    create index accepted_items_by_output on accepted_items (output_id);
    comment on table accepted_items is
        'Accepted outputs that a run was trained on beside the answers in run_items, with accept.teach.';
    comment on column accepted_items.run_id is 'The run.';
    comment on column accepted_items.output_id is 'The output. Nobody had answered it when the run began.';
    comment on column accepted_items.holdout is 'As in outputs: false, which a foreign key keeps so.';
    comment on column accepted_items.label is 'The label that was accepted.';
    comment on column accepted_items.weight is 'Weight in training: less than that of one person''s answer.';

    alter table model_versions add column accepted integer not null default 0
        constraint accepted_is_a_number check (accepted >= 0);
    comment on column model_versions.accepted is
        'Number of accepted outputs that it was trained on beside the answers in trained_on.';

    comment on table accepted is
        'Outputs that passed unseen by a certificate. No person saw them: they are no answers. With accept.teach, '
        'some of them train versions (accepted_items).';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

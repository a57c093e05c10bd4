"""An output knows its source, its trace and step, and the version of the spec that chose its lane.

The rule of a loop may name more than the model's own figures, and it changes over time. So a loop's spec has versions,
numbered from 1, each content once. Outputs that came before have no number: what their rule was is not stored.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
# No foreign key from outputs to spec_versions: it would be checked for every line that comes in. The intake looks the
# number up in the same transaction, and removal deletes both.
SQL = """
    create table spec_versions (
        loop text not null references loops (name),
        number integer not null constraint spec_versions_count_from_1 check (number > 0),
        sha256 bytea not null constraint spec_sha256_is_32_bytes check (length(sha256) = 32),
        spec jsonb not null,
        labels_xml text not null,
        created_at timestamptz not null default now(),
        primary key (loop, number),
        constraint spec_versions_are_distinct unique (loop, sha256)
    );
    comment on table spec_versions is
        'Every content that the spec of a loop has had since versions are recorded, once each.';
    comment on column spec_versions.loop is 'The loop.';
    comment on column spec_versions.number is
        'Counts from 1 for each loop. A spec that returns to an earlier content gets the earlier number.';
    comment on column spec_versions.sha256 is 'SHA-256 of the canonical JSON of spec.';
    comment on column spec_versions.spec is 'Content of loop.yaml, with defaults filled in.';
    comment on column spec_versions.labels_xml is 'The labeling config; generated if the folder has none.';
    comment on column spec_versions.created_at is 'Time at which this content was first registered or used.';

    alter table outputs
        add column source text,
        add column trace text,
        add column step text,
        add column meta jsonb,
        add column spec_version integer;
    create index outputs_by_trace on outputs (loop, trace) where trace is not null;
    comment on column outputs.source is 'Name of the pipeline, service or team that sent it; null if it does not say.';
    comment on column outputs.trace is
        'Any text that the outputs of one run of the pipeline share; null if it belongs to none.';
    comment on column outputs.step is 'Name of the pipeline''s step that made it; null if it does not say.';
    comment on column outputs.meta is
        'What the pipeline says about the item for the trigger and for reports; people never see it.';
    comment on column outputs.spec_version is
        'Number of the spec (spec_versions) that chose its lane; null for outputs that came before this was recorded.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

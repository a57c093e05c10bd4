"""Forgotten outputs and people: the proof that data was removed, without the data. And projects know of a restore."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
# No foreign key from forgotten to loops: the proof outlives the removal of its loop.
SQL = """
    create table forgotten (
        id          bigint generated always as identity primary key,
        kind        text not null constraint forgotten_kind check (kind in ('key', 'group', 'person')),
        loop        text,
        salt        bytea not null constraint forgotten_salt check (octet_length(salt) = 16),
        name_sha256 bytea not null constraint forgotten_name check (octet_length(name_sha256) = 32),
        by          text not null,
        why         text,
        counts      jsonb not null,
        versions    text[] not null,
        at          timestamptz not null default now(),
        constraint only_a_person_has_no_loop check ((loop is null) = (kind = 'person'))
    );
    create table forgotten_outputs (
        output_id    uuid primary key references outputs,
        forgotten_id bigint not null references forgotten
    );
    create index forgotten_outputs_by_request on forgotten_outputs (forgotten_id);
    alter table reviewers add column forgotten_at timestamptz;
    alter table projects add column restored_at timestamptz;

    comment on table forgotten is
        'The proof that labelloop forget removed data: when, for whom and how much. It holds none of the data.';
    comment on column forgotten.id is 'Number of the proof.';
    comment on column forgotten.kind is 'Kind of the name: the key of an output, a group of outputs, or a person.';
    comment on column forgotten.loop is 'The loop; null for a person, who is forgotten in all loops.';
    comment on column forgotten.salt is 'Random bytes before the name, so that no table of hashes finds it.';
    comment on column forgotten.name_sha256 is
        'SHA-256 of the salt and the name. A person who knows the name can check that it was forgotten.';
    comment on column forgotten.by is 'The person who carried it out.';
    comment on column forgotten.why is 'The reason that was given; null if none was.';
    comment on column forgotten.counts is 'Number of rows that were changed or deleted, by table.';
    comment on column forgotten.versions is
        'The versions that were trained on the data. Their files still hold what they learned.';
    comment on column forgotten.at is 'Time of the removal.';
    comment on table forgotten_outputs is
        'Outputs whose data was removed. Their rows stay without data, so that counts by lane and state stay.';
    comment on column forgotten_outputs.output_id is 'The output.';
    comment on column forgotten_outputs.forgotten_id is 'The proof, see forgotten.';
    comment on column projects.restored_at is
        'Time at which this database was restored from a backup; null once all tasks were compared with it. Until then '
        'nothing is pushed: Label Studio may have the task already.';
    comment on column reviewers.forgotten_at is
        'Time at which the name was replaced by a pseudonym; no pull writes it again. Null for all others.';

    select record_begins('forgotten', array['id'], 'r.loop',
        $$ jsonb_build_object('kind', r.kind, 'versions', r.versions) $$,
        array['salt', 'name_sha256', 'by', 'why', 'counts', 'at'], 'r.why');
    select record_begins('forgotten_outputs', array['output_id'],
        '(select o.loop from outputs o where o.id = r.output_id)',
        $$ jsonb_build_object('proof', r.forgotten_id) $$);
"""


def upgrade() -> None:
    op.execute(SQL)

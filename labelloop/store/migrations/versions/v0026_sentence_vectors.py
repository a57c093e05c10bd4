"""Sentence vectors: of each text that an encoder of a loop has read, and which outputs were looked through for it."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
SQL = """
    create table sentence_encoders (
        loop text primary key references loops (name),
        name text not null,
        encoder text not null,
        width int not null check (width between 1 and 8192),
        used_at timestamptz not null default now()
    );
    comment on table sentence_encoders is 'The encoder that gave each loop''s sentence vectors last.';
    comment on column sentence_encoders.loop is 'The loop.';
    comment on column sentence_encoders.name is 'Its name or path in loop.yaml; "" for the default.';
    comment on column sentence_encoders.encoder is 'Its name and the first digits of the SHA-256 of its files.';
    comment on column sentence_encoders.width is 'How many numbers each vector has.';
    comment on column sentence_encoders.used_at is 'When it was used first, since the encoder before it.';

    create table sentence_vectors (
        loop text not null references loops (name),
        encoder text not null,
        text_hash bytea not null check (octet_length(text_hash) = 16),
        vector bytea not null check (octet_length(vector) between 2 and 16384),
        primary key (loop, encoder, text_hash)
    );
    alter table sentence_vectors alter column vector set storage external;
    comment on table sentence_vectors is \
'Vectors of texts in half precision. A deleted row only costs computing it again.';
    comment on column sentence_vectors.loop is 'Loop whose outputs have the text.';
    comment on column sentence_vectors.encoder is 'Encoder that made it, as in sentence_encoders.';
    comment on column sentence_vectors.text_hash is 'BLAKE2b of the part of the text that an encoder reads.';
    comment on column sentence_vectors.vector is 'Numbers of 16 bits each, the low byte first; unit length or zeros.';

    create table sentence_outputs (
        output_id uuid primary key references outputs (id),
        loop text not null references loops (name),
        encoder text not null
    );
    comment on table sentence_outputs is \
'Outputs whose text has its vector. A deleted row only costs looking for the vector again.';
    comment on column sentence_outputs.output_id is 'The output.';
    comment on column sentence_outputs.loop is 'Its loop.';
    comment on column sentence_outputs.encoder is 'Encoder and field of the last vector, as `use:1a2b text`.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

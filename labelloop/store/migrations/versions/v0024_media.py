"""What the look at media found: of each address, and of each waiting output; and outputs that are held back for it."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
SQL = """
    create table media_looks (
        loop text not null references loops (name),
        name bytea not null check (octet_length(name) = 32),
        host text not null,
        level text not null check (level in ('readable', 'warning', 'unreadable', 'unknown')),
        code text not null,
        says text not null,
        expires_at timestamptz,
        tries int not null default 1,
        looked_at timestamptz not null default now(),
        again_at timestamptz not null,
        primary key (loop, name)
    );
    comment on table media_looks is 'What the last look at an address found. A deleted row only costs a new look.';
    comment on column media_looks.loop is 'Loop whose form shows the address.';
    comment on column media_looks.name is 'SHA-256 of the page that shows it, the tag and the address.';
    comment on column media_looks.host is 'Host or bucket of the address, or "" for files of Label Studio.';
    comment on column media_looks.level is 'readable, warning, unreadable (by browsers) or unknown (to this machine).';
    comment on column media_looks.code is 'The finding in one word; docs/operators/media.md lists them.';
    comment on column media_looks.says is 'The finding, as the rest of a sentence that the address begins.';
    comment on column media_looks.expires_at is 'When the signature of the address expires.';
    comment on column media_looks.tries is 'Looks in a row that did not find it readable, at least 1.';
    comment on column media_looks.looked_at is 'Time of the last look.';
    comment on column media_looks.again_at is 'Time of the next look, if an output still needs it.';
    create index media_looks_by_age on media_looks (looked_at);

    create table media_outputs (
        output_id uuid primary key references outputs (id),
        loop text not null references loops (name),
        held boolean not null,
        host text,
        code text,
        utility float8 not null,
        looked_at timestamptz not null default now(),
        again_at timestamptz not null,
        check (held = (code is not null))
    );
    comment on table media_outputs is 'Outputs whose media were looked at before they could become tasks.';
    comment on column media_outputs.output_id is 'The output.';
    comment on column media_outputs.loop is 'Its loop.';
    comment on column media_outputs.held is 'Whether it is quarantined, because no browser can read one of its media.';
    comment on column media_outputs.host is 'Host or bucket of the address for which it is held.';
    comment on column media_outputs.code is 'The finding at that address in one word; null if it is not held.';
    comment on column media_outputs.utility is 'Utility with which it waited, 0 to 1; it waits with it again.';
    comment on column media_outputs.looked_at is 'Time of the last look at its media.';
    comment on column media_outputs.again_at is 'Time of the next look, if it still waits or is held.';
    create index media_outputs_held on media_outputs (loop, again_at) where held;

    comment on column outputs.label is 'The model''s answer as the canonical text of its kind \
(labelloop/labeling/kinds). Null if the model gave none.';
    comment on column answers.agreement is 'How far the reviewers agree on the label, 0 to 1. For one label it is the \
share of reviewers who gave it; for other kinds see labelloop/labeling/kinds.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

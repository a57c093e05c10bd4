"""A pipeline has a token of its own: for one loop and one source, with limits, an expiry date and an overlap."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
SQL = """
    alter table access_tokens
        drop constraint scopes_are_known,
        add constraint scopes_are_known
            check (scopes <@ array['submit', 'read', 'feedback', 'review', 'promote', 'admin']),
        add column loop text references loops (name),
        add column source text constraint token_source check (octet_length(source) between 1 and 800),
        add column expires_at timestamptz,
        add column previous_sha256 bytea,
        add column previous_until timestamptz,
        add column requests_per_minute integer constraint token_requests check (requests_per_minute > 0),
        add column max_bytes integer constraint token_bytes check (max_bytes > 0),
        add column allowance double precision,
        add column allowance_at timestamptz,
        add constraint previous_token_is_whole check ((previous_sha256 is null) = (previous_until is null));
    create unique index access_tokens_by_hash on access_tokens (sha256);
    create index access_tokens_by_previous_hash on access_tokens (previous_sha256) where previous_sha256 is not null;

    comment on table access_tokens is 'Tokens of pipelines, people and programs. Only their hashes are stored.';
    comment on column access_tokens.name is 'Its owner. Decisions are recorded under this name.';
    comment on column access_tokens.scopes is
        'submit: outputs. read: states, answers, exports. feedback: answers of reviewers. review: the review pages. '
        'promote: decisions about versions. admin: everything.';
    comment on column access_tokens.loop is 'The only loop that it opens; null for every loop.';
    comment on column access_tokens.source is
        'The source of all outputs that it submits, and of all that it may read; null for any.';
    comment on column access_tokens.expires_at is 'End of its validity; null if it never expires.';
    comment on column access_tokens.previous_sha256 is
        'SHA-256 of the token before the last rotation, which stays valid until previous_until.';
    comment on column access_tokens.previous_until is 'End of the overlap of the last rotation; null if there is none.';
    comment on column access_tokens.requests_per_minute is
        'Requests that it may make in a minute, and as many at once; null for no limit.';
    comment on column access_tokens.max_bytes is 'Largest request in bytes; null for the limit of the service.';
    comment on column access_tokens.allowance is
        'Requests that it could make at once at allowance_at. Null before its first request with a limit.';
    comment on column access_tokens.allowance_at is 'Time of the last request that was counted.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)

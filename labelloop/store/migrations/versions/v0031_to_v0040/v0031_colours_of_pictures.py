"""Fetched pictures may be kept in colour, beside the grey of before: new words in the schema."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
SQL = """
    comment on column pictures.address_sha256 is
        'SHA-256 of the address in UTF-8, as it is in the data. If kept in colour, the line "colour" comes before it.';
    comment on column pictures.png is '128 x 128 pixels, PNG, grey or in colour.';
"""


def upgrade() -> None:
    op.execute(SQL)

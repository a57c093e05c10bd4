"""Run our migrations for alembic: one transaction behind an advisory lock, so that two starts do not race."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="labelloop_migrations", transaction_per_migration=False)
with context.begin_transaction():
    connection.execute(text("select pg_advisory_xact_lock(hashtext('labelloop.migrate'))"))
    context.run_migrations()

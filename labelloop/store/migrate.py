"""Migration to the newest schema: our tables by alembic, those of the job queue by procrastinate."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from labelloop.errors import SettingsError
from labelloop.store.database import Conn, Database
from labelloop.store.record import rights
from labelloop.store.tables.jobs import open_app

TRIES = 5
"""Attempts of a migration. It can deadlock with a running process, and Postgres then cancels one of the two."""


def sqlalchemy_url(url: str) -> str:
    """Return the URL of the same database for SQLAlchemy with psycopg 3."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]


def migrate(url: str, application: str = "") -> list[str]:
    """Apply the missing revisions, and return them, oldest first; none if the schema is the newest.

    `application` is the URL of the application, if it has a role of its own: that role gets its rights.
    """
    settings = config()
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    for tries_left in reversed(range(TRIES)):
        try:
            before, queue_is_there = _upgrade(engine, settings)
            break
        except DeadlockDetected:
            if not tries_left:
                raise
    if not queue_is_there:
        with open_app(url) as app:
            app.schema_manager.apply_schema()
    _give_rights(url, application)
    script = ScriptDirectory.from_config(settings)
    return [r.revision for r in script.iterate_revisions("head", before or "base")][::-1]


def _give_rights(url: str, application: str) -> None:
    role = conninfo_to_dict(application).get("user") if application else None
    if role is None or role == conninfo_to_dict(url).get("user"):
        return
    with Database(url, size=1) as database, database.transaction() as conn:
        rights.give(conn, str(role))


def config() -> Config:
    """Return the settings of alembic, without a connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("recursive_version_locations", "true")  # the first ten have a folder of their own
    return settings


def _upgrade(engine: Engine, settings: Config) -> tuple[str | None, bool]:
    """Apply our revisions in one transaction.

    Returns the revision before, and whether the job queue's tables exist.
    """
    with engine.connect() as connection:
        before = _revision(connection)
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        connection.commit()
        return before, connection.execute(text("select to_regclass('procrastinate_jobs')")).scalar() is not None


def behind(conn: Conn) -> list[str]:
    """Return the revisions that the database lacks, oldest first; `the queue` stands for the job queue's tables.

    Raises SettingsError if the database is at a revision that this labelloop does not know.
    """
    script = ScriptDirectory.from_config(config())
    there = conn.execute(
        "select to_regclass('labelloop_migrations') is not null as ours, to_regclass('procrastinate_jobs') as queue"
    ).fetchone()
    assert there is not None
    row = conn.execute("select version_num from labelloop_migrations").fetchone() if there["ours"] else None
    at = None if row is None else row["version_num"]
    known = [r.revision for r in script.walk_revisions()][::-1]
    if at is not None and at not in known:
        raise SettingsError(f"the database is at revision {at}, which this labelloop does not know: it is too old")
    lacking = known if at is None else known[known.index(at) + 1 :]
    return lacking if there["queue"] else [*lacking, "the queue"]


def known_revisions() -> list[str]:
    """Return every revision that this labelloop knows, the newest first."""
    return [r.revision for r in ScriptDirectory.from_config(config()).walk_revisions()]


def _revision(connection: object) -> str | None:
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"version_table": "labelloop_migrations"})  # type: ignore[arg-type]
    return context.get_current_revision()

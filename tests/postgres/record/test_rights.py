"""The application's role has all rights that it needs, and cannot change or delete what is only ever added."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from labelloop.errors import SettingsError
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.record.rights import APPEND_ONLY, READ_ONLY, are_two_roles
from labelloop.store.tables import loops
from tests.support.recorded import Recorded, make_history


@pytest.fixture
def application(postgres_url: str, database_url: str) -> Iterator[Database]:
    """The database for a role of its own, which a migration has given its rights."""
    role, password = f"labelloop_test_{secrets.token_hex(6)}", secrets.token_hex(6)
    at = urlsplit(database_url)
    url = at._replace(netloc=f"{role}:{password}@{at.netloc.rpartition('@')[2]}").geturl()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(password)))
        migrate(database_url, url)
        try:
            with Database(url) as database:
                yield database
        finally:
            with psycopg.connect(database_url, autocommit=True) as owner:
                owner.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_the_rights_suffice_for_hops_and_for_sealing(application: Database, tmp_path: Path) -> None:
    recorded = Recorded(application, tmp_path / "heads.jsonl")
    make_history(application)
    assert recorded.seal() > 20
    assert recorded.findings() == []
    with application.transaction() as conn:
        assert are_two_roles(conn)


def test_the_application_cannot_change_or_delete_what_it_adds(application: Database) -> None:
    make_history(application)
    refused = set()
    with psycopg.connect(application.url, autocommit=True) as conn:
        for table in (*APPEND_ONLY, *READ_ONLY):
            column = conn.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attidentity = ''",
                [table],
            ).fetchone()
            assert column is not None
            for statement in (
                f'update {table} set "{column[0]}" = "{column[0]}"',
                f"delete from {table}",
                f"truncate {table}",
            ):
                with pytest.raises(InsufficientPrivilege):
                    conn.execute(statement)
                refused.add(table)
        views = [
            name
            for (name,) in conn.execute("select table_name from information_schema.views where is_updatable = 'YES'")
        ]
        assert "output_events" in views
        for view in views:
            with pytest.raises(InsufficientPrivilege):
                conn.execute(f"delete from {view}")
        for table in READ_ONLY:
            with pytest.raises(InsufficientPrivilege):
                conn.execute(f"insert into {table} default values")
        for call in ("record_forget('outputs', '{}')", "record_begins('jobs', '{id}', 'null', '{}')"):
            with pytest.raises(psycopg.Error):
                conn.execute(f"select {call}")
        conn.execute("create temporary table mine (id integer)")
        with pytest.raises(InsufficientPrivilege):
            conn.execute(
                "create trigger t after insert on mine referencing new table as fresh for each statement"
                " execute function record_answers_inserted()"
            )
    assert refused == {*APPEND_ONLY, *READ_ONLY}


@pytest.mark.owner
def test_only_the_owner_removes_a_loop_and_its_record_stays(
    application: Database, database: Database, tmp_path: Path
) -> None:
    make_history(application)
    with application.transaction() as conn:
        loops.archive(conn, "pets", "ann")
    with pytest.raises(SettingsError, match="LABELLOOP_OWNER_URL"), application.transaction() as conn:
        removal.remove(conn, "pets")
    with Database(database.url, actor="ann") as owner, owner.transaction() as conn:
        assert removal.remove(conn, "pets")
    with application.transaction() as conn:
        rows = conn.execute(
            "select e.after, a.name from record_entries e join record_actors a on a.id = actor where loop = 'pets'"
            " order by e.id desc limit 1"
        ).fetchone()
        outputs = conn.execute(
            "select count(*) as n from record_entries where loop = 'pets' and what = 'outputs'"
        ).fetchone()
    recorded = Recorded(application, tmp_path / "heads.jsonl")
    recorded.seal()
    assert recorded.findings() == []
    with Database(database.url, actor="ann") as owner, owner.transaction() as conn:
        loops.restore(conn, "pets")
    make_history(application)
    recorded.seal()
    assert recorded.findings() == []
    assert rows == {"after": {"archived": True, "removed": True}, "name": "ann"}
    assert outputs is not None
    assert outputs["n"] > 4

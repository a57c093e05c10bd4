"""A database that was in use before the record began: its history becomes entries, and nothing is wrong with them."""

from __future__ import annotations

import uuid
from pathlib import Path

import psycopg
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from labelloop.store import migrate as migrations
from labelloop.store.database import Database
from labelloop.store.migrate import migrate, sqlalchemy_url
from tests.support.recorded import Recorded
from tests.support.servers import a_database

FILL = """
    insert into loops (name, spec, labels_xml) values ('pets', '{}', '');
    insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability, holdout,
                         state, received_at)
    select 'pets', 'k' || i, '', 'g', '{}', 'm', 'audit', 1, false, 'waiting', now() - interval '1 day'
    from generate_series(1, 5) i;
    update outputs set state = 'pushing' where key in ('k1', 'k2');
    update outputs set state = 'in_review', state_reason = 'to see' where key = 'k1';
    insert into answers (output_id, loop, label, agreement, reviewers)
    select id, loop, 'cat', 1, 1 from outputs where key = 'k1';
"""
EVENTS = "select output_id, was::text, became::text, reason, at from output_events order by seq"


def test_the_history_before_the_record_becomes_entries(postgres_url: str, tmp_path: Path) -> None:
    with a_database(postgres_url, f"labelloop_test_{uuid.uuid4().hex[:12]}") as url:
        settings = migrations.config()
        with create_engine(sqlalchemy_url(url), poolclass=NullPool).connect() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, "0031")
            connection.commit()
        with psycopg.connect(url) as conn:
            conn.execute(FILL)
            before = conn.execute(EVENTS).fetchall()
        migrate(url)
        with psycopg.connect(url) as conn:
            assert conn.execute(EVENTS).fetchall() == before
        with Database(url) as database:
            recorded = Recorded(database, tmp_path / "heads.jsonl")
            recorded.seal()
            assert recorded.findings() == []
            recorded.tamper("update answers set label = 'dog'")
            assert recorded.kinds() == {"row"}

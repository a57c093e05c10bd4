"""The statements of pull on twenty thousand tasks: how many rows they read, whatever else the machine does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from labelloop.errors import Retriable, Unreachable
from labelloop.reading.ids import AnnotationId, TaskId
from labelloop.spec.folder import parse
from labelloop.store.database import Conn, Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import loops
from labelloop.store.tables import tasks as task_store
from labelloop.versions.version import VersionPair
from tests.support.sync_loop import XML, YAML

MANY = 20_000
FILL = f"""
    insert into projects (loop, label_studio_url, project_id, signing_key) values ('pets', 'x', 7, 'k');
    insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability, holdout,
                         state)
    select 'pets', 'k' || i, '', 'g', '{{}}', 'm', 'rule', 1, false, 'in_review' from generate_series(1, {MANY}) i;
    insert into batches (loop, version, size) values ('pets', 'm', {MANY});
    insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label, confidence,
                       champion, ranker, shown_version)
    select o.id, 'pets', b.id, p.instance, row_number() over (), lane, .5, .5, 'cat', .5, 'pipeline', 'pipeline', 'x'
    from outputs o, batches b, projects p;
    insert into annotation_versions
        (instance, annotation_id, task_id, output_id, sha256, result, was_cancelled, created_at, updated_at)
    select instance, label_studio_id, label_studio_id, output_id, '', '[]', false, now(), now() from tasks;
    analyze
"""


@pytest.fixture
def many(database: Database) -> dict[str, Any]:
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML))
        conn.execute(FILL)
        row = conn.execute("select * from tasks where label_studio_id = 5").fetchone()
    assert row is not None
    return row


def test_no_statement_of_a_pull_reads_more_than_it_must(database: Database, many: dict[str, Any]) -> None:
    instance, output_id = many["instance"], many["output_id"]
    with database.transaction() as conn:
        before = rows_read(conn)
        rows = task_store.ids(conn, "pets")
        open_ = task_store.in_review(conn, "pets", VersionPair.of(None, None))
        assert rows_read(conn) - before < 10 * MANY, "a few of each table for each task"
    assert [row.annotated for row in rows] == [row.annotated for row in open_] == [1] * MANY
    with database.transaction() as conn:
        before = rows_read(conn)
        assert [row.id for row in annotation_store.of_outputs(conn, instance, [output_id])] == [5]
        now = datetime.now(UTC)
        assert annotation_store.write_tombstones(conn, instance, {TaskId(5): now}, [AnnotationId(5)]) == set()
        assert annotation_store.write_tombstones(conn, instance, {TaskId(5): now}, []) == {output_id}
        assert annotation_store.of_outputs(conn, instance, [output_id]) == []
        annotation_store.write_tombstones_of_outputs(conn, instance, [output_id])
        assert rows_read(conn) - before < 100, "those of one task"


def rows_read(conn: Conn) -> int:
    """Return how many rows of our tables this transaction, and others just before it, have read."""
    row = conn.execute(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint as n from pg_stat_xact_user_tables"
    ).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_statement_that_takes_too_long_is_not_reported_as_an_absence(database: Database) -> None:
    with pytest.raises(Retriable, match="took too long") as caught, database.transaction() as conn:
        conn.execute("set local statement_timeout = '50ms'; select pg_sleep(5)")
    assert not isinstance(caught.value, Unreachable)

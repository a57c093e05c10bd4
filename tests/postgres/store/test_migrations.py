"""A database of an older labelloop, with everything in it, comes to the newest schema; nothing in it is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from psycopg.rows import dict_row
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from labelloop.store import migrate as migrations
from labelloop.store.migrate import migrate, sqlalchemy_url
from labelloop.versions.version import VersionPair
from tests.support.servers import a_database
from tests.support.sync_loop import wait_until

CHAMPION, RANKER = "c" * 64, "d" * 64
# One row for each pair that can stand in a database: who gave the label, who gave the utility, and the name of both.
PAIRS = {
    "new": ("m", "m", "pipeline"),
    "ranked": ("m", RANKER, f"pipeline+{RANKER[:8]}"),
    "both": (CHAMPION, CHAMPION, CHAMPION[:12]),
    "two": (CHAMPION, RANKER, f"{CHAMPION[:12]}+{RANKER[:8]}"),
    "half": (CHAMPION, "m", ""),
    "lost": ("gone", "gone", ""),
}
FILL = """
    insert into loops (name, spec, labels_xml) values ('pets', '{}', '');
    insert into projects (loop, label_studio_url, project_id, signing_key) values ('pets', 'x', 7, 'k');
    insert into model_versions (id, loop, learner, classes, size_bytes, trained_on)
    select v, 'pets', 'text', '{cat,dog}', 1, 1 from unnest(array[repeat('c', 64), repeat('d', 64)]) v;
    insert into batches (loop, version, size) values ('pets', 'm', 1);
    insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability, holdout,
                         state)
    select 'pets', 'k' || i, '', 'g', '{}', 'm', (array['rule', 'audit', 'holdout'])[1 + i % 3]::lane, 1, false,
        'waiting'
    from generate_series(1, 18) i
"""


def at(url: str, revision: str) -> None:
    """Bring the database to this revision."""
    settings = migrations.config()
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
        connection.commit()


@pytest.fixture
def old(postgres_url: str) -> Iterator[str]:
    """A database as the first release left it."""
    with a_database(postgres_url, f"labelloop_test_{uuid.uuid4().hex[:12]}") as url:
        at(url, "0001")
        yield url


def test_waiting_and_open_outputs_keep_their_values_and_the_version_pair_that_scored_them(old: str) -> None:
    with psycopg.connect(old) as conn:
        conn.execute(FILL)
        ids = [row[0] for row in conn.execute("select id from outputs order by key")]
        places = dict(zip(PAIRS, (ids[i : i + 3] for i in range(0, 18, 3)), strict=True))
        for said, (a, b, c) in places.items():
            scored, ranked, _ = PAIRS[said]
            values = "lane, .25, 'cat', .5, %(scored)s, %(ranked)s"
            conn.execute(f"insert into pool select id, loop, {values} from outputs where id = %(id)s",
                         {"id": a, "scored": scored, "ranked": ranked})  # fmt: skip
            conn.execute(
                "insert into batch_items select b.id, o.id, lane, .25, .75, 'cat', .5, %(scored)s, %(ranked)s"
                " from outputs o, batches b where o.id = %(id)s",
                {"id": b, "scored": scored, "ranked": ranked},
            )
            conn.execute(
                "insert into tasks select o.id, o.loop, b.id, p.instance, row_number() over () + %(n)s, lane, .25,"
                " .75, 'cat', .5, %(scored)s, %(ranked)s, 'x', now()"
                " from outputs o, batches b, projects p where o.id = %(id)s",
                {"id": c, "scored": scored, "ranked": ranked, "n": list(PAIRS).index(said)},
            )

    assert "0002" in migrate(old)
    assert migrate(old) == []

    with psycopg.connect(old, row_factory=dict_row) as conn:
        for i, table in enumerate(("pool", "batch_items", "tasks")):
            rows = conn.execute(f"select t.*, o.lane as of_output, o.key as of_key from {table} t"
                                " join outputs o on o.id = output_id").fetchall()  # fmt: skip
            versions = {row["output_id"]: VersionPair(row["champion"], row["ranker"]).name for row in rows}
            assert versions == {places[said][i]: version for said, (_, _, version) in PAIRS.items()}
            for row in rows:
                assert (row["utility"], row["label"], row["confidence"], row["why"]) == (0.25, "cat", 0.5, None)
                assert row["lane"] == row["of_output"]
                assert row.get("key", row["of_key"]) == row["of_key"]
                assert row.get("priority", 0.75) == 0.75
                assert row.get("overlap", 1) == 1
        lanes = conn.execute("select enum_range(null::lane)::text as lanes").fetchone()
        assert lanes == {"lanes": "{rule,control,audit,holdout,gold,pass}"}


@pytest.mark.parametrize(
    ("version", "champion", "ranker"),
    [
        ("pipeline", "pipeline", "pipeline"),
        (CHAMPION[:12], CHAMPION[:12], CHAMPION[:12]),
        (f"{CHAMPION[:12]}+{RANKER[:8]}", CHAMPION[:12], RANKER[:12]),
        (f"pipeline+{RANKER[:8]}", "pipeline", RANKER[:12]),
        ("pipeline+eeeeeeee", "pipeline", "eeeeeeee"),
        ("", "", ""),
    ],
)
def test_an_open_task_keeps_the_name_of_its_versions_in_label_studio(
    old: str, version: str, champion: str, ranker: str
) -> None:
    """Each table names the two versions in two columns; the name that its prediction has there comes of them."""
    at(old, "0008")
    with psycopg.connect(old) as conn:
        conn.execute(FILL)
        values = {"version": version}
        conn.execute("insert into pool (output_id, loop, lane, utility, key, version)"
                     " select id, loop, lane, .25, key, %(version)s from outputs where key = 'k1'", values)  # fmt: skip
        conn.execute("insert into batch_items (batch_id, output_id, lane, utility, priority, version)"
                     " select b.id, o.id, lane, .25, .75, %(version)s from outputs o, batches b where o.key = 'k2'",
                     values)  # fmt: skip
        conn.execute("insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority,"
                     " version, shown_version) select o.id, o.loop, b.id, p.instance, 7, lane, .25, .75, %(version)s,"
                     " %(version)s from outputs o, batches b, projects p where o.key = 'k3'", values)  # fmt: skip
        conn.execute("insert into doubts (output_id, loop, doubt, version)"
                     " select id, loop, .5, %(version)s from outputs where key = 'k4'", values)  # fmt: skip
    at(old, "0010")  # a later migration deletes the doubts
    with psycopg.connect(old) as conn:
        for table in ("pool", "batch_items", "tasks", "doubts"):
            rows = conn.execute(f"select champion, ranker from {table}").fetchall()
            assert rows == [(champion, ranker)], table
        shown = conn.execute("select shown_version from tasks").fetchall()
    assert shown == [(VersionPair(champion, ranker).name,)] or "eeeeeeee" in version
    assert VersionPair(champion, ranker).name == version
    migrate(old)
    with psycopg.connect(old) as conn:
        assert not conn.execute("select from doubts").fetchall(), "versions had them about their own training answers"


def test_a_process_that_is_at_work_meanwhile_does_not_break_it_off(old: str) -> None:
    """It has a row of the pool and goes on to the outputs, which the migration holds while it waits for the pool."""
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(old) as at_work,
        psycopg.connect(old, autocommit=True) as look,
    ):
        at_work.execute(FILL)
        at_work.execute("insert into pool select id, loop, lane, .5, null, null, 'm', 'm' from outputs")
        at_work.commit()
        at_work.execute("select from pool for update")
        migrated = thread.submit(migrate, old)
        wait_until(
            lambda: look.execute("select from pg_locks where not granted and relation = 'pool'::regclass").rowcount
        )
        at_work.execute("update outputs set state = 'pushing'")
        at_work.commit()
        assert "0002" in migrated.result(60)
        row = look.execute("select count(*) filter (where state = 'pushing'), count(*) from outputs").fetchone()
        assert row == (18, 18)
        assert look.execute("select distinct champion, ranker from pool").fetchall() == [("pipeline", "pipeline")]


def test_an_answer_without_a_label_is_noted_to_be_read_again(old: str) -> None:
    with psycopg.connect(old) as conn:
        conn.execute(FILL)
        conn.execute(
            """
            insert into reviewers (instance, label_studio_user_id) select instance, 9 from projects;
            insert into annotation_versions (instance, annotation_id, task_id, output_id, sha256, result, updated_by,
                                             was_cancelled, created_at, updated_at)
            select p.instance, n.id, 1, o.id, '', '[]', 9, false, now(), now() + n.later * interval '1 s'
            from projects p, outputs o, (values (1, 'k1', 0), (1, 'k1', 1), (2, 'k2', 0)) n (id, key, later)
            where o.key = n.key order by n.id, n.later;
            insert into feedback (model_output_id, reviewer_id, label, annotation_id, created_at, updated_at)
            select o.id, r.id, n.label, n.id, now(), now()
            from reviewers r, outputs o, (values (1, 'k1', null), (2, 'k2', 'cat')) n (id, key, label)
            where o.key = n.key
            """
        )
    migrate(old)
    with psycopg.connect(old) as conn:
        rows = conn.execute(
            "select o.key, v.annotation_id, v.seq, u.form, u.until from unreadable u join outputs o on o.id = output_id"
            " join annotation_versions v on v.seq = annotation_version"
        ).fetchall()
    assert rows == [("k1", 1, 2, b"", None)], "with its newest version, and none that has a label"


def test_old_outputs_keep_the_stratum_that_their_lane_tells_and_no_probability_that_rank_had_a_part_in(
    old: str,
) -> None:
    at(old, "0010")
    with psycopg.connect(old) as conn:
        conn.execute("insert into loops (name, spec, labels_xml) values ('pets', '{}', '')")
        conn.execute(
            "insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability,"
            " holdout, state) select 'pets', l, '', 'g', '{}', 'm', l::lane, case when l = 'audit' then .1 else 1 end,"
            " l = 'holdout', 'waiting' from unnest(enum_range(null::lane)::text[]) l"
        )
    assert migrate(old)[0] == "0011"
    with psycopg.connect(old) as conn:
        rows = conn.execute("select lane::text, triggered, inclusion_probability from outputs").fetchall()
    assert {lane: triggered for lane, triggered, _ in rows} == {
        "rule": True,
        "control": True,
        "audit": False,
        "pass": False,
        "holdout": None,
        "gold": None,
    }
    assert {chance for _, _, chance in rows} == {None}, "the shares of that time are not stored"

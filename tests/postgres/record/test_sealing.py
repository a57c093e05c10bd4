"""Sealing loses nothing: late commits, many writers, a sealer that is killed, and a database in another cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from labelloop.process import heads
from labelloop.store.database import Database
from labelloop.store.record import sealing
from labelloop.store.tables import access
from tests.support.recorded import Recorded

WRITE = "insert into access_tokens (name, sha256, scopes) values (%s, sha256(%s::bytea), '{submit}')"
MANY = """
    insert into record_entries (actor, what, key, operation) select 1, 'tasks', n::text, 'insert'
    from generate_series(1, 9000) n
"""


@pytest.fixture
def empty(database: Database, tmp_path: Path) -> Recorded:
    return Recorded(database, tmp_path / "heads.jsonl")


def places(recorded: Recorded) -> tuple[int, int, int]:
    """Return the numbers of entries, of seals, and the last place."""
    with recorded.database.transaction() as conn:
        row = conn.execute(
            "select (select count(*) from record_entries) as entries, count(*) as seals, coalesce(max(seq), 0) as last"
            " from record_seals"
        ).fetchone()
    assert row is not None
    return row["entries"], row["seals"], row["last"]


def test_a_late_commit_gets_a_later_place_and_is_not_lost(empty: Recorded) -> None:
    with psycopg.connect(empty.database.url) as late:
        late.execute(WRITE, ["late", b"late"])
        for name in ("one", "two", "three"):
            empty.make_token(name)
            empty.seal()
        assert places(empty) == (3, 3, 3)
        assert empty.findings() == []
        late.commit()
    assert empty.seal() == 1
    assert places(empty) == (4, 4, 4)
    first = empty.one("select record_id from record_seals where seq = 4")
    assert first == empty.one("select min(id) from record_entries")
    assert empty.findings() == []


def test_writers_and_two_sealers_at_once_make_one_chain(empty: Recorded) -> None:
    other = Recorded(empty.database, empty.path.with_name("other.jsonl"))

    def write(place: int) -> None:
        for i in range(15):
            with psycopg.connect(empty.database.url) as conn:
                conn.execute(WRITE, [f"{place}/{i}", f"{place}/{i}".encode()])
                conn.execute("update access_tokens set scopes = '{read}' where name = %s", [f"{place}/{i}"])
                if i % 5 == 4:
                    conn.rollback()

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, place) for place in range(3)]
        while not all(writer.done() for writer in writers):
            for sealer in (pool.submit(empty.seal), pool.submit(other.seal)):
                sealer.result()
        for writer in writers:
            writer.result()
    empty.seal()
    assert places(empty) == (72, 72, 72)
    assert empty.findings() == []
    empty.make_token("last")
    empty.seal(), empty.seal()
    assert empty.one("select horizon from record_sealing") == empty.one("select max(id) from record_entries")


@pytest.mark.owner
def test_a_long_backlog_is_sealed_in_steps_that_read_no_entry_again_and_lose_none(empty: Recorded) -> None:
    with psycopg.connect(empty.database.url) as late:
        late.execute(WRITE, ["late", b"late"])
        empty.tamper(MANY)
        horizons = []
        for _ in range(4):
            with empty.database.transaction() as conn:
                sealing.seal(conn, 1_000)
            horizons.append(empty.one("select horizon from record_sealing"))
        assert horizons == [0, 0, 0, 0], "the entry of a transaction that goes on may come yet"
        late.commit()
    for step in range(4):
        with empty.database.transaction() as conn:
            sealing.seal(conn, 1_000)
        horizon = empty.one("select horizon from record_sealing")
        sealed = empty.one("select max(record_id) from record_seals")
        assert horizon in (0, sealed) if step == 0 else horizon == sealed
    empty.seal(), empty.seal()
    assert places(empty) == (9_001, 9_001, 9_001)
    assert empty.one("select horizon from record_sealing") == empty.one("select max(id) from record_entries")


@pytest.mark.owner
def test_the_entries_of_a_row_are_forgotten_without_reading_all(empty: Recorded) -> None:
    empty.tamper(MANY)
    empty.tamper("analyze record_entries")
    with empty.database.transaction() as conn:
        plan = conn.execute("explain update record_entries set salt = null where key = any(array['1', '2'])").fetchall()
    assert "record_entries_by_key" in str(plan)


def test_a_sealer_that_was_killed_before_it_published_does_so_at_its_next_turn(empty: Recorded) -> None:
    empty.make_token("one")
    with empty.database.transaction() as conn:
        head = sealing.seal(conn)
    assert head is not None
    empty.path.write_bytes(b'{"chain": "' + str(head.chain).encode()[:7])  # killed in the middle of a line
    assert empty.seal() == 0
    last = heads.last(empty.path, head.chain)
    assert last is not None
    assert (last.seq, last.hash) == (1, head.hash)
    assert empty.findings() == []


@pytest.mark.owner
def test_sealing_goes_on_in_another_cluster_whose_transactions_have_lower_numbers(empty: Recorded) -> None:
    empty.make_token("one")
    empty.seal()
    empty.tamper("update record_sealing set mark = 0, mark_xid = '99999999999'")
    for name in ("two", "three"):
        empty.make_token(name)
        assert empty.seal() == 1
    empty.seal()
    assert places(empty) == (3, 3, 3)
    assert empty.one("select horizon from record_sealing") > 0
    assert empty.findings() == []


@pytest.mark.owner
def test_an_entry_that_waits_for_a_minute_is_named(empty: Recorded) -> None:
    empty.make_token("one")
    empty.tamper("update record_entries set at = at - interval '2 minutes'")
    assert [finding.kind for finding in empty.findings()] == ["unsealed"]


@pytest.mark.owner
def test_forgetting_a_row_keeps_the_chain_whole_and_is_on_record(empty: Recorded) -> None:
    empty.make_token("anna@example.org")
    empty.seal()
    with empty.database.transaction() as conn:
        key = conn.execute("select id::text from access_tokens").fetchone()
        assert key is not None
        conn.execute("select record_forget('access_tokens', array[%s])", [key["id"]])
        access.revoke(conn, "anna@example.org")
    empty.seal()
    assert empty.findings() == []
    assert empty.one("select count(*) from record_entries where salt is null") == 2
    assert empty.one("select count(*) from record_entries where operation = 'forget'") == 1

"""`audit verify` finds and names each kind of tampering. In an untouched record it finds nothing."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from console.cli import main
from tests.support.recorded import Recorded

MIDDLE = "(select record_id from record_seals where seq = (select max(seq) / 2 from record_seals))"
NEXT = "(select record_id from record_seals where seq = (select max(seq) / 2 + 3 from record_seals))"
LAST = "(select max(record_id) from record_seals)"
START_AGAIN = "update record_sealing set horizon = 0, mark = null, mark_xid = null"
FIELDS = "at, actor, loop, what, key, operation, before, after, reason, salt, said, content"

CHAIN = {
    "actor": (f"update record_entries set actor = actor + 1 where id = {MIDDLE}", "changed"),
    "time": (f"update record_entries set at = at - interval '1 s' where id = {MIDDLE}", "changed"),
    "facts": (f"""update record_entries set after = '{{"state": "passed"}}' where id = {MIDDLE}""", "changed"),
    "digest": (f"update record_entries set content = sha256('x') where id = {MIDDLE}", "changed"),
    "reason": (
        "update record_entries set reason = 'because' where id = (select max(id) from record_entries where said <> '')",
        "changed",
    ),
    "salt": (
        "update record_entries set salt = null where id = (select max(id) from record_entries where content <> '')",
        "changed",
    ),
    "hash of a seal": (f"update record_seals set hash = sha256('x') where record_id = {MIDDLE}", "changed"),
    "entry that is gone": (f"delete from record_entries where id = {MIDDLE}", "removed"),
    "seal that is gone": (f"delete from record_seals where record_id = {MIDDLE}", "removed"),
    "seal of no entry": (f"update record_seals set record_id = -1 where record_id = {MIDDLE}", "removed"),
    "contents that change places": (
        f"""
        with old as (select * from record_entries where id in ({MIDDLE}, {NEXT}))
        update record_entries e set ({FIELDS}) = (select {FIELDS} from old o where o.id <> e.id)
        where id in ({MIDDLE}, {NEXT})
        """,
        "swapped",
    ),
    "seals that change places": (
        f"""
        with old as (select * from record_seals where record_id in ({MIDDLE}, {NEXT}))
        update record_seals s set hash = o.hash from old o where o.seq <> s.seq and s.record_id in ({MIDDLE}, {NEXT})
        """,
        "changed",
    ),
}
"""A statement that falsifies the record, and how it is called."""


def test_nothing_is_wrong_after_a_whole_loop_of_hops(recorded: Recorded) -> None:
    assert recorded.findings() == []
    assert recorded.one("select count(distinct what) from record_entries") >= 12
    assert recorded.seal() == 0


@pytest.mark.parametrize("name", CHAIN)
def test_a_falsified_entry_or_seal_is_named(recorded: Recorded, name: str) -> None:
    statement, kind = CHAIN[name]
    entry = recorded.one(f"select {MIDDLE}")
    recorded.tamper(statement)
    found = [finding for finding in recorded.findings() if finding.kind == kind]
    assert found, recorded.findings()
    if MIDDLE in statement and "seal" not in name:
        assert entry in [finding.entry for finding in found]


def test_entries_that_exchange_their_ids_are_swapped(recorded: Recorded) -> None:
    first, second = recorded.one(f"select {MIDDLE}"), recorded.one(f"select {NEXT}")
    recorded.tamper(
        "alter table record_entries alter id drop identity",
        f"update record_entries set id = -1 where id = {first}",
        f"update record_entries set id = {first} where id = {second}",
        f"update record_entries set id = {second} where id = -1",
    )
    assert any(f.kind == "swapped" and str(first) in f.text and str(second) in f.text for f in recorded.findings())


def test_only_the_published_head_tells_that_the_end_was_cut_off(recorded: Recorded) -> None:
    recorded.tamper(
        f"delete from record_entries where id > {NEXT}",
        "delete from record_seals where record_id not in (select id from record_entries)",
        START_AGAIN,
    )
    kinds = recorded.kinds()
    assert "cut" in kinds
    assert not kinds & {"changed", "removed"}
    recorded.path.unlink()
    assert "cut" not in recorded.kinds()


def test_only_the_published_head_tells_that_the_chain_was_written_anew(recorded: Recorded) -> None:
    recorded.tamper(
        f"update record_entries set actor = actor + 1 where id = {MIDDLE}", "delete from record_seals", START_AGAIN
    )
    published = recorded.path.read_bytes()
    recorded.seal()
    assert recorded.path.read_bytes().startswith(published)
    assert recorded.kinds() == {"cut"}
    recorded.path.unlink()
    assert recorded.kinds() == set()


def test_an_entry_that_is_put_among_sealed_ones_is_named(recorded: Recorded) -> None:
    gap = recorded.one("select nextval('record_entries_id_seq')")
    for name in ("first", "second"):
        recorded.make_token(name)
        recorded.seal()
    recorded.tamper(
        f"""
        insert into record_entries (id, actor, what, key, operation, before, after) overriding system value
        select {gap}, actor, what, key, 'update', after, after from record_entries where what = 'access_tokens' limit 1
        """
    )
    assert recorded.seal() == 0
    assert gap in [finding.entry for finding in recorded.findings() if finding.kind == "inserted"]


def test_an_entry_with_an_old_time_is_back_dated(recorded: Recorded) -> None:
    recorded.tamper(
        """
        insert into record_entries (at, actor, loop, what, key, operation, before, after)
        select now() - interval '3 days', actor, loop, what, key, 'update', after, after from record_entries
        where what = 'outputs' order by id desc limit 1
        """
    )
    recorded.seal()
    assert recorded.kinds() == {"back-dated"}


def test_an_entry_without_its_change_does_not_fit_the_one_before(recorded: Recorded) -> None:
    recorded.tamper(
        """
        insert into record_entries (actor, loop, what, key, operation, before, after)
        select actor, loop, what, key, 'update', '{"state": "passed"}', after from record_entries
        where what = 'outputs' order by id desc limit 1
        """
    )
    recorded.seal()
    assert recorded.kinds() == {"inserted"}


ROWS = {
    "loops": "spec = spec || '{\"trigger\": \"model_confidence < 0.1\"}' where name = 'pets'",
    "spec_versions": "labels_xml = '<View/>' where loop = 'pets'",
    "projects": "label_studio_url = 'http://other' where loop = 'pets'",
    "outputs": "label = 'eel' where key = 'one' and loop = 'pets'",
    "tasks": "label_studio_id = 9032 where label_studio_id = 9031",
    "annotation_versions": "result = '[]' where seq = (select max(seq) from annotation_versions)",
    "feedback": "label = 'eel' where id = (select id from feedback limit 1)",
    "answers": "label = 'eel' where seq = (select max(seq) from answers)",
    "model_versions": "stage = 'refused' where stage = 'champion'",
    "promotions": "why = 'better' where epoch = 1",
    "retrain_runs": "scores = '{}' where id = (select id from retrain_runs where scores is not null limit 1)",
    "access_tokens": "scopes = array['admin'] where name = 'a pipeline'",
    "promise_tests": "thresholds = '{\"*\": [0.5]}'",
}
"""A change of one row of each table, that its triggers do not see."""


def test_every_changed_row_is_named_and_no_other(recorded: Recorded) -> None:
    recorded.tamper(*(f"update {table} set {change}" for table, change in ROWS.items()))
    found = recorded.findings()
    assert {finding.kind for finding in found} == {"row"}
    assert sorted(finding.table or "" for finding in found) == sorted(ROWS)
    assert [finding.table for finding in recorded.findings("digits")] != [finding.table for finding in found]


def test_rows_that_come_and_go_without_an_entry_are_named(recorded: Recorded) -> None:
    recorded.tamper(
        "delete from answers where seq = (select max(seq) from answers)",
        "insert into version_descriptions (version_id, note, by) select id, 'good', 'me' from model_versions limit 1",
    )
    assert {(f.kind, f.table) for f in recorded.findings()} == {("row", "answers"), ("row", "version_descriptions")}


def test_a_trigger_that_is_off_is_named_and_so_is_what_it_missed(recorded: Recorded) -> None:
    recorded.tamper("alter table outputs disable trigger record_updated")
    with recorded.database.transaction() as conn:
        conn.execute("update outputs set state = 'pushing' where key = 'four'")
    assert {(f.kind, f.table) for f in recorded.findings()} == {("unguarded", "outputs"), ("row", "outputs")}


def test_the_command_names_what_is_wrong_and_says_so_by_its_status(recorded: Recorded) -> None:
    env = {"LABELLOOP_DATABASE_URL": recorded.database.url, "LABELLOOP_RECORD_HEADS": str(recorded.path)}
    good = CliRunner().invoke(main, ["audit", "verify"], env=env)
    assert (good.exit_code, "nothing is wrong" in good.output) == (0, True), good.output
    recorded.tamper("update answers set label = 'eel' where seq = (select max(seq) from answers)")
    wrong = CliRunner().invoke(main, ["audit", "verify"], env=env)
    assert (wrong.exit_code, "of answers has another content" in wrong.output) == (1, True), wrong.output
    away = CliRunner().invoke(
        main, ["audit", "verify"], env={**env, "LABELLOOP_DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    )
    assert (away.exit_code, "could not be checked" in away.output) == (2, True), away.output


def test_an_older_backup_is_a_cut_end_until_a_person_says_so(recorded: Recorded) -> None:
    env = {"LABELLOOP_DATABASE_URL": recorded.database.url, "LABELLOOP_RECORD_HEADS": str(recorded.path)}
    words = ["audit", "restored", "--by", "ann", "--why", "the disk failed"]
    assert CliRunner().invoke(main, words, env=env).exit_code == 2, "nothing was restored"
    recorded.tamper(f"delete from record_seals where record_id > {LAST} - 1", START_AGAIN)
    recorded.tamper("delete from record_entries where id not in (select record_id from record_seals)")
    assert "cut" in recorded.kinds()
    assert CliRunner().invoke(main, words, env=env).exit_code == 0
    assert "cut" not in recorded.kinds()
    said = CliRunner().invoke(main, ["audit", "verify"], env=env).output
    assert "an older backup was restored" in said
    assert "the disk failed" in said


def test_a_restored_backup_that_was_worked_with_meanwhile_is_one_too(recorded: Recorded) -> None:
    for name in ("one", "two"):
        recorded.make_token(name)
        recorded.seal()
    recorded.tamper(f"delete from record_seals where record_id > {LAST} - 2", START_AGAIN)
    recorded.tamper("delete from record_entries where id not in (select record_id from record_seals)")
    recorded.tamper("delete from access_tokens where name in ('one', 'two')")
    for name in ("three", "four", "five"):  # the worker seals these before anybody looks at the record
        recorded.make_token(name)
        recorded.seal()
    assert "cut" in recorded.kinds()
    env = {"LABELLOOP_DATABASE_URL": recorded.database.url, "LABELLOOP_RECORD_HEADS": str(recorded.path)}
    words = ["audit", "restored", "--by", "ann", "--why", "the disk failed"]
    done = CliRunner().invoke(main, words, env=env)
    assert done.exit_code == 0, done.output
    assert recorded.findings() == []
    recorded.make_token("six")
    recorded.seal()
    assert recorded.findings() == []
    recorded.tamper(f"delete from record_seals where record_id > {LAST} - 1", START_AGAIN)
    assert "cut" in recorded.kinds(), "later heads count as before"

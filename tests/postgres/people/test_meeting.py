"""Alerts, distrust, lost projects and forgetting at one output: its answer and state follow, and doctor is green."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from console.doctor.deep import Status
from console.doctor.deepest import places
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import SIGNATURE
from labelloop.store.alerts import rows
from labelloop.store.database import Database
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.forget import Wish, forget
from sync.pull.take_in import Pull
from tests.support.backend_factory import settings_for, submit, texts_spec
from tests.support.hops.answering_desk import Desk
from tests.support.hops.deep_loop import looked
from tests.support.hops.lineage import cli
from tests.support.hops.people import Said, put_to_people, say
from tests.support.recorded import Recorded
from tests.support.rows import rows_with
from tests.support.workers.board import ANNE, BEN, PEOPLE, SPEC, Board

NOWHERE = "http://127.0.0.1:9"
STATE = """
    select o.state::text, exists (select from pool p where p.output_id = o.id) as waits,
        (select label from answers a where a.output_id = o.id order by seq desc limit 1) as label
    from outputs o where o.id = %(id)s
"""


def broken(database: Database, loop: str = "pets") -> dict[str, Sequence[object]]:
    """Return what the deep look finds by invariant; Label Studio is left out."""
    where = replace(places(Settings(database_url=database.url)), label_studio_url=NOWHERE, heads=None)
    return {
        id_: found.problems
        for id_, found in looked(where, 0.0, loop).items()
        if found.status is not Status.UNKNOWN
    }  # fmt: skip


def state(database: Database, output_id: UUID) -> tuple[Any, ...]:
    with database.transaction() as conn:
        row = conn.execute(STATE, {"id": output_id}).fetchone()
    assert row is not None
    return tuple(row.values())


def people(database: Database, *words: str) -> None:
    done = cli(Settings(database_url=database.url), "people", *words, "--by", "olga")
    assert done.exit_code == 0, done.output


@pytest.fixture
def board(database: Database) -> Board:
    return Board(database)


def project_of(board: Board) -> LoopProject:
    with board.database.transaction() as conn:
        row = projects.get(conn, "pets")
    assert row is not None
    return row


def delete_task(board: Board, task: int) -> UUID:
    """Let somebody delete a task in Label Studio, and the pull find it; return its output."""
    [row] = board.sql(f"select output_id from tasks where label_studio_id = {task}")
    output_id: UUID = row["output_id"]
    pull = Pull(board.database, Gateway(NOWHERE, "a token"), SPEC, project_of(board), dict(PEOPLE))
    with board.database.transaction() as conn:
        projects.lock_hop(conn, "pets", "answers")
        pull.withdraw(conn, [output_id])
    del board.tasks[task]  # type: ignore[arg-type]
    return output_id


def test_after_a_lost_project_answers_of_a_distrusted_person_are_asked_again(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings, spec = settings_for(database_url, tmp_path), texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"text {i}"} for i in range(2)], ["ham"] * 2)
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(0, 3, "ham"), Said(1, 1, "ham")])
    with database.transaction() as conn:
        task_store.wait_again(conn, spec.name, "its project was lost")
    assert cli(settings, "people", "distrust", "Rob", "--since", "2026-05-04", "--yes", "--by", "o").exit_code == 0
    assert [state(database, id_) for id_ in ids] == [("waiting", True, None), ("answered", False, "ham")]
    assert broken(database, spec.name) == {}
    assert cli(settings, "people", "trust", "Rob", "--by", "o").exit_code == 0
    assert state(database, ids[0]) == ("answered", False, "ham")
    assert broken(database, spec.name) == {}


def test_a_decided_edit_is_followed_after_its_project_was_lost(board: Board) -> None:
    """Ben answered in Anne's name: the answer counts or not as the alert is decided, and else somebody is asked."""
    [task] = board.open(1)
    [row] = board.sql("select output_id from tasks")
    board.write([task], "cat", ANNE)
    board.tasks[task].annotations[0] = replace(board.tasks[task].annotations[0], updated_by=BEN)
    board.pull()
    assert state(board.database, row["output_id"]) == ("in_review", False, None)
    with board.database.transaction() as conn:
        task_store.wait_again(conn, "pets", "its project was lost")
    for words, expected in (
        (("accept", "1", "--why", "fine"), ("answered", False, "cat")),
        (("reopen", "1"), ("waiting", True, None)),
        (("accept", "1", "--why", "fine"), ("answered", False, "cat")),
    ):
        assert board.run(*words).exit_code == 0
        assert state(board.database, row["output_id"]) == expected
        assert broken(board.database) == {}


def test_a_restored_answer_of_a_distrusted_person_is_asked_again_and_goes_with_its_alert(board: Board) -> None:
    task, _ = board.open(2)
    board.write([task], "cat", ANNE)
    board.pull()
    output_id = delete_task(board, task)
    assert state(board.database, output_id) == ("withdrawn", False, None)
    answered, asked = ("answered", False, "cat"), ("waiting", True, None)
    for words, expected in (
        (("reject", "1", "--why", "no"), answered),
        (("reopen", "1"), ("withdrawn", False, None)),
        (("reject", "1", "--why", "no"), answered),
        (("distrust", "anne@example.org", "--since", "2025-01-01", "--yes"), asked),
        (("trust", "anne@example.org"), answered),
        (("distrust", "anne@example.org", "--since", "2025-01-01", "--yes"), asked),
        (("trust", "anne@example.org"), answered),
        (("reopen", "1"), ("withdrawn", False, None)),
    ):
        if words[0] in ("distrust", "trust"):
            people(board.database, *words)
        else:
            assert board.run(*words).exit_code == 0
        assert state(board.database, output_id) == expected, words
        assert broken(board.database) == {}


def test_an_answer_to_a_task_whose_key_was_edited_counts_once_it_is_restored_and_a_lost_task_is_not_restored(
    board: Board,
) -> None:
    kept, lost = board.open(2)
    data = {task: board.tasks[task].data for task in (kept, lost)}
    board.tasks |= {t: replace(board.tasks[t], data={**data[t], SIGNATURE: "0" * 64}) for t in data}
    board.write([kept, lost], "cat", ANNE)
    board.pull()
    assert board.said() == {}
    assert board.run("reject", "1", "2", "--why", "no").exit_code == 0
    with board.database.transaction() as conn:
        assert set(rows.to_restore(conn, project_of(board).instance, "pets")) == {kept, lost}
    delete_task(board, lost)
    with board.database.transaction() as conn:
        assert set(rows.to_restore(conn, project_of(board).instance, "pets")) == {kept}
    board.tasks[kept] = replace(board.tasks[kept], data=data[kept])
    board.pull()
    assert board.said() == {("cat", "anne@example.org"): 1}
    assert broken(board.database) == {}


def test_an_output_is_forgotten_with_its_alerts_also_if_its_deletion_was_rejected(board: Board, tmp_path: Path) -> None:
    edited, deleted = board.open(2)
    recorded = Recorded(board.database, tmp_path / "heads.jsonl")
    board.write([edited, deleted], "cat", ANNE)
    board.pull()
    board.write([edited], "dog", BEN)
    board.pull()
    delete_task(board, deleted)
    assert board.run("reject", "2", "--why", "k0 and k1 are wanted").exit_code == 0
    assert board.run("reject", "1", "--why", "k0 and k1 were fine").exit_code == 0
    recorded.seal()
    board.sql("update projects set project_id = null returning 1")  # there is no Label Studio here
    done = forget(board.database, lambda: Gateway(NOWHERE, "t"), SPEC, Wish(("k0", "k1")), "clerk", None)
    assert done.counts["alerts"] == 2
    assert board.said() == {}, "a rejected deletion brings no answer back"
    assert board.sql("select label from answers where label is not null") == []
    for word in ("k0", "k1", '"cat"', '"dog"'):
        assert set(rows_with(board.database, word)) <= {"loops", "spec_versions"}, word
    assert broken(board.database) == {}
    recorded.seal()
    assert recorded.findings() == []


def test_a_person_of_alerts_and_decisions_is_forgotten_too_and_named_by_no_later_alert(
    board: Board, tmp_path: Path
) -> None:
    """Ben has never given an answer that counts, Ada and Olga have only decided."""
    tasks = board.open(2)
    recorded = Recorded(board.database, tmp_path / "heads.jsonl")
    board.write(tasks[:1], "cat", ANNE)
    board.pull()
    board.write(tasks[:1], "dog", BEN)
    board.pull()
    assert board.run("reject", "1", "--why", "Ben@example.org it was, anne@example.org says").exit_code == 0
    people(board.database, "distrust", "anne@example.org", "--since", "2025-01-01", "--yes", "--why", "Olga knows Ben")
    people(board.database, "trust", "anne@example.org")
    recorded.seal()
    for name in ("anne@example.org", "ben@example.org", "ada", "olga"):
        done = cli(Settings(database_url=board.database.url), "forget", "--person", name, "--by", "clerk", "--yes")
        assert done.exit_code == 0, done.output
    for name in ("anne@", "ben@", "olga"):
        assert rows_with(board.database, name) == [], name
    assert board.sql("select count(*) as n from alerts where decided_by = 'ada'") == [{"n": 0}]
    assert broken(board.database) == {}
    recorded.seal()
    assert recorded.findings() == []
    for who in (BEN, ANNE):
        board.write(tasks[1:], "dog", who)
        board.pull()
    assert board.sql("select person like 'person-%' as hidden from alerts where state = 'open'") == [{"hidden": True}]
    assert rows_with(board.database, "anne@") == []


def test_a_forgotten_reviewer_over_http_leaves_versions_that_are_as_they_were_written(database: Database) -> None:
    desk = Desk(database)
    desk.submit("a", "b")
    desk.give("a", "anna", False, correction="dog")
    desk.give("a", "anna", False, correction="eel")
    done = cli(Settings(database_url=database.url), "forget", "--person", "anna", "--by", "clerk", "--yes")
    assert done.exit_code == 0, done.output
    assert broken(database) == {}

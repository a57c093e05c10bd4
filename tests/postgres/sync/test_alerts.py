"""Alerts in Postgres: bursts, decisions by command and page while the worker pulls, callbacks, and bad input."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg import sql

from console.cli import main
from labelloop.answers.alerts import AlertState
from labelloop.errors import Conflict
from labelloop.spec.folder import parse
from labelloop.store.alerts import deciding, rows
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.people import decisions
from labelloop.store.tables import loops
from sync.pull.settle import settle_alerts
from tests.support.recorded import Recorded
from tests.support.sync_loop import XML, YAML
from tests.support.workers.board import ANNE, AT, BEN, SPEC, Board


@pytest.fixture
def board(database: Database) -> Board:
    return Board(database)


def test_a_burst_of_200_edits_by_one_person_changes_no_answer_until_it_is_decided_at_once(board: Board) -> None:
    tasks = board.open(201)
    with board.database.transaction() as conn:
        registered.add(conn, None, "http://127.0.0.1:1", ["alert.opened"], "ada")
    board.write(tasks, "cat", ANNE)
    board.pull()
    board.write(tasks[1:], "dog", BEN)
    for _ in range(2):
        board.pull()
    assert board.said() == {("cat", "anne@example.org"): 201}
    assert board.sql("select state, person, count(*) as n from alerts group by 1, 2") == [
        {"state": "open", "person": "ben@example.org", "n": 200}
    ]
    assert board.sql("select event, fact ->> 'after' as after, count(*) as n from deliveries group by 1, 2") == [
        {"event": "alert.opened", "after": "dog", "n": 200}
    ]
    listed = json.loads(board.run("--json").stdout)
    assert (len(listed), listed[0]["before"], listed[0]["after"]) == (200, "cat", "dog")

    done = board.run("reject", "--person", "Ben@example.org", "--why", "a burst")
    assert done.exit_code == 0, done.output
    board.pull()
    assert board.said() == {("cat", "anne@example.org"): 201}
    first = str(listed[-1]["id"])
    assert board.run("reopen", first).exit_code == 0
    assert board.run("accept", first, "--why", "this one is right").exit_code == 0
    assert board.said() == {("cat", "anne@example.org"): 200, ("dog", "ben@example.org"): 1}
    assert board.run().stdout.strip() == "none"
    sources = board.sql("select reviewer from answer_sources order by answer_seq desc")
    assert sources[0]["reviewer"] == "ben@example.org", "the version that counted is the source of the answer"


def test_what_cannot_be_decided_is_told(board: Board) -> None:
    [task] = board.open(1)
    board.write([task], "cat", ANNE)
    board.pull()
    board.write([task], "dog", BEN)
    board.pull()
    with board.database.transaction() as conn:
        loops.register(conn, parse("cats", YAML, XML))
    why = ("--why", "it is so")
    for words, status, says in [
        (("accept", "99", *why), 2, "there is no alert 99; `labelloop alerts --all` lists all of them"),
        (("accept", "1", "--loop", "cats", *why), 2, "alert 1 is of the loop 'pets', not of 'cats'"),
        (("accept", "1"), 2, "Missing option '--why'"),
        (("accept", "1", "--why", " "), 2, "a decision needs a reason of 1 to 1000 characters; it has 0"),
        (("accept", *why), 2, "name alerts by their numbers, or choose them by kind or person"),
        (("accept", "one", *why), 2, "'one' is not a valid integer range"),
        (("accept", "--person", "eve@example.org", *why), 2, "no open alert fits"),
        (("reopen", "1"), 1, "alert 1 is open already: nothing was done"),
        (("reject", "1", *why), 0, ""),
        (("accept", "1", *why), 1, "alert 1 is rejected already by ada: nothing was done; `labelloop alerts reopen 1`"),
    ]:
        done = board.run(*words)
        assert done.exit_code == status, done.output
        assert says in done.output


def test_decisions_and_pulls_at_the_same_time_leave_the_answers_that_the_decisions_say(board: Board) -> None:
    tasks = board.open(12)
    board.write(tasks, "cat", ANNE)
    board.pull()
    board.write(tasks, "dog", BEN)
    over, failures = threading.Event(), list[BaseException]()

    def decide() -> None:
        states = [AlertState.ACCEPTED, AlertState.OPEN, AlertState.REJECTED, AlertState.OPEN]
        for turn in range(200):
            if over.is_set():
                return
            try:
                with board.database.transaction() as conn:
                    ids = [alert.id for alert in rows.list_(conn, ["pets"], only_open=False)]
                    state = states[turn % 4]
                    if state == AlertState.OPEN:
                        newest = {alert.fact: alert.id for alert in reversed(rows.list_(conn, only_open=False))}
                        deciding.reopen(conn, list(newest.values()))
                    else:
                        deciding.decide(conn, ids[turn % 3 :: 3], state, "ada", "why")
                settle_alerts(board.database, SPEC)
            except Conflict:
                continue  # the pull has found another edit of the same answer just now
            except BaseException as exc:
                failures.append(exc)
                return

    thread = threading.Thread(target=decide)
    thread.start()
    for _ in range(10):
        board.write(tasks, "eel", BEN)
        board.pull()
    over.set()
    thread.join()
    assert failures == []
    board.pull()
    assert (
        board.sql(
            """
        select a.id from alerts a join exclusions x on x.alert_id = a.id and x.until is null where a.state = 'accepted'
        """
        )
        == []
    )
    counted = board.sql(
        """
        select c.annotation_id, c.updated_by, f.label, c.result -> 0 -> 'value' -> 'choices' ->> 0 as said
        from counting_annotations c join feedback f on f.annotation_id = c.annotation_id order by 1
        """
    )
    assert len(counted) == 12
    assert all(row["label"] == row["said"] for row in counted), "answers are as the versions that count"


@pytest.mark.owner
def test_forgetting_leaves_no_word_of_the_output_or_of_a_person_in_alerts(board: Board, tmp_path: Path) -> None:
    recorded = Recorded(board.database, tmp_path / "heads.jsonl")
    first, second, third = board.open(3)
    with board.database.transaction() as conn:
        registered.add(conn, None, "http://127.0.0.1:1", ["alert.opened"], "ada")
    board.write([third], "eel", BEN)
    board.write([first, second], "cat", ANNE)
    board.pull()
    board.write([first, second], "dog", BEN)
    board.pull()
    assert board.run("reject", "--kind", "edited by another", "--why", "anne@example.org was correct").exit_code == 0
    board.pull()
    with board.database.transaction() as conn:
        [ben] = [row["id"] for row in conn.execute("select id from reviewers where email like 'ben%'")]
        decisions.distrust(conn, "pets", ben, AT, None, "ada", "anne@example.org told")
        conn.execute("update projects set project_id = null")  # there is no Label Studio in this test
    recorded.seal()

    def forget(*words: str) -> None:
        env = {"LABELLOOP_DATABASE_URL": board.database.url, "USER": "clerk"}
        done = CliRunner().invoke(main, ["forget", *words, "--yes"], env=env)
        assert done.exit_code == 0, done.output

    keys = "select o.key from tasks t join outputs o on o.id = t.output_id where label_studio_id = {}"
    [gone], [kept] = (board.sql(keys.format(task)) for task in (first, second))
    forget("--key", gone["key"])
    left = "select o.key from {} x join outputs o on o.id = x.output_id"
    assert board.sql(left.format("alerts")) == [kept]
    assert board.sql("select fact ->> 'key' as key from deliveries where event = 'alert.opened'") == [kept]
    assert board.said() == {("cat", "anne@example.org"): 1, ("eel", "ben@example.org"): 1}, "a rejected edit stays out"
    for person in ("anne@example.org", "ben@example.org", "ada"):
        forget("--person", person)
    with board.database.transaction() as conn:
        conn.execute("update projects set project_id = 1")
    del board.tasks[first]
    board.write([second], "eel", BEN)
    board.pull()
    [ben_now] = board.sql("select email from reviewers where label_studio_user_id = 2")
    [new] = board.sql("select person from alerts where state = 'open'")
    assert new["person"] == ben_now["email"], "Label Studio still tells the address, and the pull does not write it"
    for table in (
        "alerts",
        "exclusions",
        "person_decisions",
        "record_actors",
        "record_entries",
        "deliveries",
        "reviewers",
    ):
        for name in ("anne@", "ben@", "ada"):
            assert board.sql(f"select t::text from {table} t where t::text ~* '\\y{name}'") == []
    recorded.seal()
    with board.database.transaction() as conn:
        conn.execute(sql.SQL("alter database {} set timezone = 'Asia/Tokyo'").format(sql.Identifier(conn.info.dbname)))
    with Database(board.database.url) as elsewhere:
        assert Recorded(elsewhere, recorded.path).findings() == []

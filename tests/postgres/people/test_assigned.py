"""Reports on tasks that are shared out, the people who let tasks go, and the rows that say so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from backend.report.estimates.assigned import without_people
from backend.report.estimates.working import working_report
from backend.service import create_app
from labelloop.answers.people import Person
from labelloop.outputs.output import Output
from labelloop.queue.assigning import share_out
from labelloop.queue.lanes import place
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.people import assignments
from labelloop.store.people.sharing import Sharing, sharing
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.record.rows import check_rows
from labelloop.store.tables import feedback, loops, outputs, projects
from tests.support.backend_factory import settings_for
from tests.support.hops.lineage import cli
from tests.support.hops.people import BEGIN, NAMES, Said, put_to_people, say
from tests.support.review.opinions import spec_of

PEOPLE = """  people:
    hand_on_after: 1d
    who: {anna@x.example: [de], ben@x.example: [DE], rob@x.example: , new@x.example: [fr]}
    needs: language
    pause_after: 60
"""
LANGUAGES = ["de", None, "", "de", None, "it", ["de", "fr"], None, None, None, None]
AT = BEGIN + timedelta(minutes=100)


@pytest.fixture
def ids(database: Database) -> list[UUID]:
    """Eleven open tasks; Anna has answered two of them in 70 minutes, and Rob one."""
    spec = spec_of(PEOPLE)
    with database.transaction() as conn:
        loops.register(conn, spec)
        made = [
            Output(f"item-{i}", {"text": f"text {i}", "language": language}, label="eel", confidence=0.5)
            for i, language in enumerate(LANGUAGES)
        ]
        outputs.insert(conn, spec.name, [outputs.Row.of(one, place(one, spec)) for one in made])
    ids = put_to_people(database, spec.name)
    minutes = [(7, 20), (8, 55), (9, 90)]
    say(database, spec, ids, [*(Said(i, 1, "cat", minute) for i, minute in minutes), Said(10, 3, "cat", 80)])
    return ids


def spec_in(conn: Conn) -> LoopSpec:
    spec = loops.get(conn, "pets")
    assert spec is not None
    return spec


def share(conn: Conn, now: datetime = AT) -> Sharing:
    """As a push does it, without Label Studio."""
    project = projects.get(conn, "pets")
    assert project is not None
    users = {UserId(i): Person(f"{name.lower()}@x.example", name) for i, name in NAMES.items() if i < 4}
    feedback.upsert_reviewers(conn, project.instance, users)
    rows = feedback.reviewers(conn, project.instance)
    assignments.keep_assignees(conn, "pets", [rows[id_].id for id_ in users])
    found = sharing(conn, spec_in(conn), now)
    assert found is not None
    shares = share_out(found.items, found.workers)
    assignments.store(conn, "pets", shares.given, shares.handed_on)
    after = sharing(conn, spec_in(conn), now)
    assert after is not None
    return after


def test_reports_show_shares_pauses_and_tasks_that_nobody_can_answer(
    database: Database, database_url: str, ids: list[UUID], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as conn:
        found = share(conn)
        anna = found.people[0]
        assert [len(found.open_tasks(one.id)) + one.answers for one in found.people] == [3, 3, 3]
        assert [one.answers for one in found.people] == [3, 0, 1]
        assignments.set_tab(conn, "pets", anna.id, 12)
        report = working_report(conn, "pets", AT)
        people = {one["name"]: one for one in report["people"]}
        assert people["Ben"]["assigned"] == {
            "open": 3, "answers": 0, "load": 3, "period": "day", "standing": "gets new tasks", "tab": None}  # fmt: skip
        assert people["Anna"]["assigned"]["tab"] == "http://nowhere/projects/7/data?tab=12"
        assert people["Anna"]["pause"] is None, "a pause of 35 minutes is one"
        [unknown, left] = without_people(conn, spec_in(conn))
        assert "has the address new@x.example yet: `labelloop invite`" in unknown
        assert "2 open tasks have too few people" in left
        assert "item-5: nobody has the tag it" in left
        assert "item-6: nobody has all of the tags de, fr" in left or "item-6: nobody has the tag fr" in left

    settings = replace(settings_for(database_url, tmp_path), secret_key="a long random text")
    monkeypatch.setenv("COLUMNS", "250")
    said = cli(settings, "people")
    assert re.search(r"Ben +too few answers +0 +3 ", said.output), said.output
    rows = {row["reviewer"]: row for row in json.loads(cli(settings, "people", "--json").stdout)}
    assert rows["Ben"]["working"]["assigned"]["open"] == 3
    client = create_app(settings, database).test_client()
    link = cli(settings, "people", "link", "anna").stdout.strip().partition("8602")[2]
    assert 'href="http://nowhere/projects/7/data?tab=12"' in client.get(link).text


def test_a_pause_is_suggested_to_a_person_who_is_at_work_for_too_long(database: Database, ids: list[UUID]) -> None:
    with database.transaction() as conn:
        spec = spec_in(conn)
    say(database, spec, ids, [Said(i, 3, "cat", 20 * i + 85) for i in range(5)])
    words = "has worked 85 minutes without a pause of 30 minutes: time for one"
    with database.transaction() as conn:
        share(conn)
        for minute, pause in ((170, words), (200, None)):
            report = working_report(conn, "pets", BEGIN + timedelta(minutes=minute))
            assert {one["name"]: one["pause"] for one in report["people"]}["Rob"] == pause
            assert (f"Rob {words}." in report["sentences"]) == (pause is not None)


def test_an_idle_person_lets_tasks_go_and_an_answer_brings_new_ones(database: Database, ids: list[UUID]) -> None:
    with database.transaction() as conn:
        share(conn)
        conn.execute("update assignments set at = %s", (BEGIN + timedelta(minutes=95),))
        later = AT + timedelta(days=1)
        conn.execute("update feedback set updated_at = %s where reviewer_id in "
                     "(select id from reviewers where name = 'Anna')", (later - timedelta(hours=1),))  # fmt: skip
        found = share(conn, later)
        [anna, ben, rob] = found.people
        assert "no answer for 1d" in found.standing(ben.id)
        assert found.standing(anna.id) == "gets new tasks"
        assert len(found.open_tasks(ben.id)) == 0
        mine = {task.key for task in found.open_tasks(anna.id)}
        assert mine == {f"item-{i}" for i in range(5)}
        conn.execute("update feedback set updated_at = %s where reviewer_id in "
                     "(select id from reviewers where name = 'Rob')", (later,))  # fmt: skip
        assert share(conn, later).standing(rob.id) == "gets new tasks"


def test_assignments_are_on_record_and_go_with_a_forgotten_output(database: Database, ids: list[UUID]) -> None:
    with database.transaction() as conn:
        share(conn)
        assert len(assignments.list_(conn, "pets")) == 5
        entries = conn.execute("select count(*) as n from record_entries where what = 'assignments'").fetchone()
        assert entries == {"n": 5}
        forgetting.clear(conn, "pets", [ids[0]])
        assert ids[0] not in {row.output_id for row in assignments.list_(conn, "pets")}
        assert [*check_rows(conn)] == []

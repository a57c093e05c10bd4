"""`labelloop people distrust` and `trust`: whose answers count, what follows from it, and that it can be undone."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from backend.report.card import card
from backend.report.versions import version_report
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.people import decisions, who
from labelloop.store.tables import jobs, runs
from sync.pull.distrust import CHANGED, settle_decisions
from sync.worker import SyncJobs
from tests.support.backend_factory import settings_for, submit, texts_spec
from tests.support.hops.answering_desk import Desk
from tests.support.hops.judged_texts import judged, texts_loop, truth
from tests.support.hops.lineage import cli
from tests.support.hops.people import BEGIN, Said, put_to_people, say

OTHER = {"ham": "spam", "spam": "ham"}
ANSWERS = """
    select o.key, a.label from outputs o left join lateral (
        select label from answers where output_id = o.id order by seq desc limit 1
    ) a on true order by o.key
"""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def distrust(settings: Settings, *words: str) -> str:
    said = cli(settings, "people", "distrust", *words, "--by", "olga")
    assert said.exit_code == 0, said.output
    return said.output


def test_a_worse_model_is_refused_and_without_that_person_the_same_version_is_made_again(
    database: Database, settings: Settings
) -> None:
    """Rob flips his answers: the gate refuses what learned from them. The way back is exact, to the last byte."""
    spec = texts_loop(database, answered=0)
    ids = put_to_people(database, spec.name)
    honest = [Said(i, 1 + i % 2, truth(i), minute=i) for i in range(70)]
    say(database, spec, ids, honest)
    clean = judged(database, settings)
    assert clean.status == "promoted"
    say(database, spec, ids, [Said(i, 3, OTHER[truth(i)], minute=100 + i) for i in range(70, 120)])
    spoiled = judged(database, settings)
    assert spoiled.status == "refused", spoiled.reasons
    assert spoiled.version_id != clean.version_id

    plan = distrust(settings, "rob", "--since", "2026-05-04T10:30", "--dry-run")
    assert "50 answers now" in plan
    assert "50 answered outputs would wait for other people. 50 of them would have no answer." in plan
    assert f"Version {str(spoiled.version_id)[:12]} (refused) learned from" in plan
    assert str(clean.version_id)[:12] not in plan
    distrust(settings, "Rob", "--since", "2026-05-04T10:30", "--yes", "--why", "flips")
    again = judged(database, settings)
    assert again.why == "answers of a person do not count any more: flips"
    assert again.version_id == clean.version_id, "as if Rob had never answered"
    with database.transaction() as conn:
        report = version_report(conn, str(spoiled.version_id))
        assert version_report(conn, str(clean.version_id))["distrusted"] is None
        states = conn.execute("select state::text, count(*) as n from outputs group by 1 order by 1").fetchall()
        used = conn.execute(
            "select count(*) as n from run_items i join outputs o on o.id = i.output_id"
            " where i.run_id = %s and replace(o.key, 'item-', '')::int >= 70",
            (spoiled.id,),
        ).fetchone()
    assert used == {"n": report["distrusted"]["taught"] + report["distrusted"]["judged"]}
    limits = card(database, str(spoiled.version_id), settings.models_dir)["limits"]
    assert any("rest on a person whose answers do not count any more" in line for line in limits)
    assert [(row["state"], row["n"]) for row in states] == [("answered", 70), ("in_review", 50)]

    assert "50 answers changed" in cli(settings, "people", "trust", "rob@x.example", "--by", "olga").output
    assert judged(database, settings).version_id == spoiled.version_id
    with database.transaction() as conn:
        assert version_report(conn, str(spoiled.version_id))["distrusted"] is None


def test_only_that_time_counts_not_and_later_answers_do_not_count_either(
    database: Database, settings: Settings
) -> None:
    spec = texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"text {i}"} for i in range(8)], ["ham"] * 8)
    ids = put_to_people(database, spec.name)
    say(
        database,
        spec,
        ids,
        [Said(0, 3, "ham", 0), Said(1, 3, "ham", 60), Said(2, 3, "ham", 120), Said(3, 1, "ham", 60)],
    )
    say(database, spec, ids, [Said(2, 1, "spam", 130)])
    distrust(settings, "Rob", "--since", "2026-05-04T10:00", "--yes")

    def now() -> dict[str, str | None]:
        with database.transaction() as conn:
            return {row["key"]: row["label"] for row in conn.execute(ANSWERS).fetchall() if row["label"]}

    assert now() == {"item-0": "ham", "item-2": "spam", "item-3": "ham"}
    say(database, spec, ids, [Said(4, 3, "ham", 200), Said(5, 2, "ham", 200), Said(1, 2, "spam", 210)])
    assert now() == {"item-0": "ham", "item-1": "spam", "item-2": "spam", "item-3": "ham", "item-5": "ham"}
    with database.transaction() as conn:
        waits = conn.execute("select count(*) as n from outputs where state = 'in_review'").fetchone()
        asked = conn.execute("select count(*) as n from unreadable where ask and until is null").fetchone()
        versions = conn.execute("select count(*) as n from annotation_versions").fetchone()
        stored = conn.execute("select count(*) as n from person_decisions").fetchone()
        assert settle_decisions(database, spec).feedback == 0, "a second call finds nothing to do"
    assert (waits, asked, versions, stored) == ({"n": 3}, {"n": 3}, {"n": 8}, {"n": 1}), "nothing is deleted"
    distrust(settings, "Rob", "--since", "2026-05-04T11:00", "--yes")
    with database.transaction() as conn:
        assert conn.execute("select count(*) as n from person_decisions").fetchone() == {"n": 1}, "it says so already"
    distrust(settings, "Rob", "--since", "2026-05-04T09:00", "--until", "2026-05-04T09:30", "--yes")
    assert "item-0" not in now()
    assert cli(settings, "people", "trust", "Rob", "--by", "olga").exit_code == 0
    assert now() == {"item-0": "ham", "item-3": "ham", "item-4": "ham", "item-5": "ham"} | {
        key: label for key, label in now().items() if key in ("item-1", "item-2")
    }
    with database.transaction() as conn, pytest.raises(Exception, match="cannot be changed"):
        conn.execute("update person_decisions set why = 'nothing'")


def test_answers_over_http_are_taken_out_and_refused_and_come_back(database: Database) -> None:
    desk = Desk(database)
    desk.submit("a", "b")
    for key, who_ in (("a", "anna"), ("b", "rob"), ("a", "rob")):
        desk.give(key, who_, False, correction="dog")
    settings = Settings(database_url=database.url)
    out = json.loads(distrust(settings, "rob", "--since", "2h", "--json", "--yes"))
    assert (out["covered"], out["changed_answers"]) == (
        {"answers": 2, "held_out": 0, "gold": 0, "alone": 1, "short": 1},
        2,
    )
    assert [(desk.status(key)["state"], desk.status(key)["label"]) for key in "ab"] == [
        ("answered", "dog"), ("waiting", None)]  # fmt: skip
    assert [row["key"] for row in desk.sql("select o.key from pool join outputs o on o.id = output_id")] == ["b"]
    refused = desk.give("b", "rob", False, correction="eel")
    assert (refused.status_code, refused.json["path"]) == (403, "reviewer_id")
    assert cli(settings, "people", "trust", "ROB", "--by", "olga").exit_code == 0
    assert [desk.status(key)["label"] for key in "ab"] == ["dog", "dog"]
    assert desk.sql("select 1 from pool") == []


def test_the_plan_counts_what_would_wait_for_another_person(database: Database, settings: Settings) -> None:
    spec = texts_spec(overlap=2)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": "a"}, {"text": "b"}], ["ham", "ham"])
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(0, 1, "ham"), Said(0, 2, "ham"), Said(1, 1, "ham"), Said(1, 2, "ham"),
                              Said(1, 3, "ham")])  # fmt: skip
    plan = distrust(settings, "user 2", "--since", "2026-05-04", "--dry-run")
    assert "1 answered output would wait for other people.\n" in plan
    distrust(settings, "user 2", "--since", "2026-05-04", "--yes")
    with database.transaction() as conn:
        states = conn.execute("select key, state::text from outputs order by key").fetchall()
    assert [row["state"] for row in states] == ["in_review", "answered"]


def test_a_person_who_is_unknown_or_ambiguous_is_named_with_those_who_are_there(
    database: Database, settings: Settings
) -> None:
    spec = texts_spec()
    with database.transaction() as conn:
        submit(conn, spec, [{"text": "a"}], ["ham"])
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(0, 1, "ham"), Said(0, 2, "ham")])
    with database.transaction() as conn:
        conn.execute("update reviewers set name = 'Anna' where label_studio_user_id = 2")
        with pytest.raises(UsageError, match=r"'anna' names several people of texts: anna@x\.example, ben@x\.example"):
            who.named(conn, "texts", "anna")
        assert who.named(conn, "texts", "user 2").login == "ben@x.example"
    said = cli(settings, "people", "distrust", "Zoe", "--since", "1d", "--yes", "--by", "o")
    assert (said.exit_code, "nobody in texts is called 'Zoe'; there are: Anna (anna@x.example)" in said.output) == (
        2,
        True,
    )
    said = cli(settings, "people", "distrust", "user 2", "--since", "1d", "--until", "2d", "--by", "olga")
    assert said.exit_code == 2
    assert re.search(r"--until \(\S+ \S+ UTC\) must be later than --since", said.output)
    said = cli(settings, "people", "distrust", "user 2", "--since", "2999-01-01", "--yes", "--by", "olga")
    assert (said.exit_code, "--since must not be in the future: it is 2999-01-01" in said.output) == (2, True)


def test_a_decision_whose_job_was_lost_is_found_and_a_full_pull_requests_the_run_too(database: Database) -> None:
    spec = texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": "a"}, {"text": "b"}], ["ham", "ham"])
    say(database, spec, put_to_people(database, spec.name), [Said(0, 3, "ham"), Said(1, 1, "ham")])
    room = SyncJobs(Settings(database_url=database.url), database, None)  # type: ignore[arg-type]

    def asked() -> int:
        room.ask_for_all()
        with database.transaction() as conn:
            return conn.execute("delete from procrastinate_jobs where task_name = %s", (jobs.DECISIONS,)).rowcount

    assert asked() == 0
    with database.transaction() as conn:
        earlier = runs.request(conn, spec.name, "an earlier run")
        assert earlier is not None
        runs.ask_to_stop(conn, earlier, "olga")
        rob = who.named(conn, spec.name, "Rob").ids[0]
        decided = decisions.distrust(conn, spec.name, rob, BEGIN, None, "olga", "random")
    assert asked() == 1
    assert settle_decisions(database, spec).answers == 1, "as a full pull does"
    with database.transaction() as conn:
        assert [run.why for run in runs.open_runs(conn, spec.name)] == [CHANGED]
        decisions.end(conn, decided, "olga", "a false alarm")
    assert asked() == 1
    settle_decisions(database, spec)
    assert asked() == 0


def test_decisions_of_the_first_and_the_last_year_stop_nothing_in_any_time_zone(
    database: Database, database_url: str
) -> None:
    """They were possible once, and their rows cannot be deleted."""
    spec = texts_spec(overlap=1)
    with database.transaction() as conn:
        submit(conn, spec, [{"text": "a"}], ["ham"])
    say(database, spec, put_to_people(database, spec.name), [Said(0, 3, "ham")])
    with database.transaction() as conn:
        rob = who.named(conn, spec.name, "Rob").ids[0]
        decisions.distrust(conn, spec.name, rob, datetime.min.replace(tzinfo=UTC), BEGIN, "olga", "x")
        decisions.distrust(conn, spec.name, rob, BEGIN, datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "olga", "x")
    for zone in ("Asia/Tokyo", "America/Lima"):
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(sql.SQL("alter database {} set timezone to {}").format(
                sql.Identifier(admin.info.dbname), zone))  # fmt: skip
        with Database(database.url) as later:
            settle_decisions(later, spec)
            with later.transaction() as conn:
                assert len(decisions.list_(conn, spec.name)) == 2
    assert cli(Settings(database_url=database.url), "people", "trust", "Rob", "--by", "olga").exit_code == 0

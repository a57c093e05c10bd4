"""Forget a person: the name is in no row afterwards, and the person's answers and decisions stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.answers.given import user_id
from labelloop.labeling.former import ChangeKind
from labelloop.process.settings import Settings
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.pipelines import label_changes
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import loops
from tests.support.hops.answering_desk import PEOPLE, Desk
from tests.support.hops.callbacks import EVERYTHING, send
from tests.support.recorded import Recorded
from tests.support.rows import rows_with

ANNA = "anna@x.org"


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def run(desk: Desk, *words: str) -> Result:
    settings = Settings(database_url=desk.database.url)
    return CliRunner().invoke(main, words, env=settings.to_env() | {"USER": "clerk"})


def answered(desk: Desk) -> list[dict[str, Any]]:
    return desk.sql("select output_id, label, reviewers from answers order by seq")


def test_a_forgotten_person_is_named_nowhere_and_every_answer_stays(
    desk: Desk, database: Database, tmp_path: Path
) -> None:
    recorded = Recorded(database, tmp_path / "heads.jsonl")
    with database.transaction() as conn:
        registered.add(conn, "pets", "http://127.0.0.1:1/gone", EVERYTHING, ANNA)
    in_label_studio, _, both = desk.submit("a", "b", "c")
    desk.open_task(in_label_studio, 1)
    desk.open_task(both, 3)
    desk.annotate(in_label_studio, 1, "cat")
    desk.annotate(both, 1, "dog", task_id=3)
    desk.annotate(both, 2, "cat", task_id=3)
    assert desk.give("b", "Anna@x.org", False, correction="dog").status_code == 201
    with database.transaction() as conn:
        conn.execute("select set_config('labelloop.actor', %s, true)", [ANNA])
        assert loops.archive(conn, "pets", ANNA)
        assert loops.restore(conn, "pets")
    assert run(desk, "token", "create", ANNA, "--scope", "review").exit_code == 0
    with database.transaction() as conn:
        conn.execute(
            "insert into retrain_runs (loop, why, status, reasons, scores) values ('pets', %s, 'failed', %s, %s)",
            [f"asked by {ANNA}", ["Anna@x.org was slow"], json.dumps({"by": ANNA, "not her": f"x{ANNA}"})],
        )
        label_changes.add(conn, "pets", ChangeKind.RETIRE, ["eel"], [], [], {}, {}, None, ANNA, f"{ANNA} knows why")
    send(database)
    before = answered(desk)
    recorded.seal()
    assert recorded.findings() == []
    assert {"reviewers", "access_tokens", "callbacks", "retrain_runs", "record_actors", "label_changes"} <= set(
        rows_with(desk.database, ANNA)
    )

    number = str(user_id(ANNA))
    assert {"reviewers", "annotation_versions"} <= set(rows_with(desk.database, number))
    unsure = run(desk, "forget", "--person", ANNA)
    assert (unsure.exit_code, "confirm with --yes" in unsure.stderr) == (2, True)
    done = run(desk, "forget", "--person", ANNA, "--yes", "--json")
    assert done.exit_code == 0, done.output
    pseudonym = json.loads(done.stdout)["pseudonym"]
    with database.transaction() as conn:
        conn.execute("update retrain_runs set scores = scores - 'not her'")  # another address that ends like hers
    assert rows_with(desk.database, ANNA) == []
    assert rows_with(desk.database, number) == [], "a hash of the login can be guessed"
    assert answered(desk) == before
    recorded.seal()
    assert recorded.findings() == [], "the chain is whole, and no row counts as changed"
    people = desk.sql("select distinct email, forgotten_at is not null as gone from reviewers order by email")
    assert people == [{"email": "ben@x.org", "gone": False}, {"email": pseudonym, "gone": True}]
    assert desk.sql("select why, reasons from retrain_runs") == [
        {"why": f"asked by {pseudonym}", "reasons": [f"{pseudonym} was slow"]}
    ]
    assert desk.sql("select revoked_at is not null as gone from access_tokens") == [{"gone": True}]

    # The next pull knows the name still, and does not write it; the person's answers are still one person's.
    with database.transaction() as conn:
        feedback_store.upsert_reviewers(conn, desk.instance, PEOPLE)
    desk.annotate(both, 1, "cat", task_id=3, later_s=60)
    assert rows_with(desk.database, ANNA) == []
    assert len(desk.feedback()) == 4
    again = run(desk, "forget", "--person", ANNA, "--yes")
    assert (again.exit_code, "nobody is called" in again.stderr) == (2, True)
    assert [row["kind"] for row in json.loads(run(desk, "forget", "--list", "--person", ANNA, "--json").stdout)] == [
        "person"
    ]


def test_a_person_is_found_by_name_unless_several_have_it(desk: Desk) -> None:
    in_label_studio, other = desk.submit("a", "b")
    for task, output in ((1, in_label_studio), (2, other)):
        desk.open_task(output, task)
        desk.annotate(output, task, "cat", task_id=task)
    with desk.database.transaction() as conn:
        conn.execute("update reviewers set name = 'Anna Li'")
    both = run(desk, "forget", "--person", "anna li", "--yes")
    assert both.exit_code == 2
    assert all(login in both.stderr for login in (ANNA, "ben@x.org"))
    with desk.database.transaction() as conn:
        conn.execute("update reviewers set name = 'Ben' where email <> %s", [ANNA])
    done = run(desk, "forget", "--person", "anna li", "--yes")
    assert done.exit_code == 0, done.output
    assert f"the name of {ANNA}" in done.stderr
    assert rows_with(desk.database, ANNA) == rows_with(desk.database, "Anna Li") == []
    assert desk.sql("select email from reviewers where forgotten_at is null") == [{"email": "ben@x.org"}]


def test_a_forgotten_output_takes_no_feedback_and_a_wrong_wish_is_refused(desk: Desk) -> None:
    (output,) = desk.submit("a")
    assert run(desk, "forget", "--key", "a", "--yes").exit_code == 0
    said = {"model_output_id": str(output), "reviewer_id": "eve", "approval": True}
    assert desk.ask("POST", "/v1/loops/pets/feedback", json=said).status_code == 404
    for words, message in (
        (["--key", "nothing"], "no output of loop 'pets' has the key 'nothing'"),
        (["--key", "a", "--group", "b"], "give one of"),
        ([], "give one of"),
        (["--person", "a", "--loop", "pets"], "leave --loop out"),
        (["--person", "nobody"], "nobody is called 'nobody'"),
    ):
        refused = run(desk, "forget", *words, "--yes")
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.output
    desk.submit("moving")
    with desk.database.transaction() as conn:
        conn.execute("update outputs set state = 'pushing' where key = 'moving'")
    late = run(desk, "forget", "--key", "moving", "--yes")
    assert (late.exit_code, "on their way to Label Studio" in late.stderr) == (1, True)
    with desk.database.transaction() as conn:
        conn.execute("insert into retrain_runs (loop, why, status) values ('pets', 'x', 'running')")
        conn.execute("update outputs set state = 'waiting' where key = 'moving'")
    busy = run(desk, "forget", "--key", "moving", "--yes")
    assert (busy.exit_code, "is training" in busy.stderr) == (1, True)

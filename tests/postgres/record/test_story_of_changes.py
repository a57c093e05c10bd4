"""`audit show` says why an answer changed: a change of labels, an alert, a decision about a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from console.cli import main
from labelloop.answers.alerts import AlertState
from labelloop.labelstudio.answers import Project
from labelloop.reading.ids import ProjectId
from labelloop.store.alerts import deciding
from labelloop.store.database import Database
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.privacy import people as forgotten_people
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import projects
from sync.alerts.form import look_at_form
from sync.pull.settle import settle_alerts
from tests.support.workers.pets import XML, Pets

OTHER_FORM = Project(
    ProjectId(7), "", "", "", XML.replace("cat", "cow"), "", 1, "", True, 9, True, False, False, "REQUEUE_FOR_ME"
)


@pytest.fixture
def pets(database: Database, tmp_path: Path) -> Pets:
    """Labels change, then Ben is distrusted, then somebody changes the form, and that is rejected."""
    made = Pets(database, tmp_path)
    made.change("rename", "cat", "feline", "--why", "as biologists say")
    env = made.settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(made.folder.parent)}
    words = ["people", "distrust", "Ben", "--since", "2026-05-04", "--yes", "--by", "olga", "--why", "flips"]
    said = CliRunner().invoke(main, words, env=env)
    assert said.exit_code == 0, said.output
    with database.transaction() as conn:
        project = projects.get(conn, "pets")
    assert project is not None
    assert not look_at_form(database, made.spec, project.instance, OTHER_FORM)
    settle_alerts(database, made.spec)
    with database.transaction() as conn:
        deciding.decide(conn, [1], AlertState.ACCEPTED, "olga", "it was I")
    settle_alerts(database, made.spec)
    return made


def told(pets: Pets, subject: str) -> list[tuple[str, str, str | None]]:
    """Return the actor, the words and the reason of each line of a story."""
    said = CliRunner().invoke(main, ["audit", "show", subject, "--json"], env=pets.settings.to_env())
    assert said.exit_code == 0, said.output
    lines: list[dict[str, Any]] = json.loads(said.stdout)["lines"]
    return [(line["by"], line["happened"], line["why"]) for line in lines]


ANN, BEN = "the answer of anna@x.example (annotation 1001)", "the answer of ben@x.example (annotation 1002)"


def test_a_story_names_the_change_of_labels_the_alert_and_the_people(pets: Pets) -> None:
    lines = told(pets, "item-0")
    task = [happened for _, happened, _ in lines if "in Label Studio" in happened]
    assert task == ["is task 1 in Label Studio"], "how many people are asked is not said unless it was decided"
    renamed = "'cat' became 'feline': as biologists say"
    in_order = [
        ("olga", "has the labels of today", renamed),
        ("olga", "the answer is feline, by 2 people", renamed),
        ("olga", "feedback of ben@x.example does not count any more", None),
        ("worker", "alert 1: form changed", None),
        ("worker", f"{ANN} does not count: alert 1", "alert 1 is open: form changed"),
        ("worker", "feedback of anna@x.example does not count any more", None),
        ("worker", "alert 1 (form changed) was accepted", "it was I"),
        ("worker", f"alert 1 no longer keeps {ANN} from counting", None),
    ]
    named = [(by if by == "olga" else "worker", *rest) for by, *rest in lines]
    assert [line for line in named if line in in_order] == in_order, named

    his = told(pets, "Ben")
    assert all("ben@x.example" in happened for _, happened, _ in his), his
    assert ("olga", "answers of ben@x.example do not count from 2026-05-04 00:00:00", "flips") in his
    assert ("olga", "output item-0: feedback of ben@x.example does not count any more", None) in his
    assert [happened for _, happened, _ in his if f"{BEN} does not count: alert 1" in happened] == [
        f"output item-0: {BEN} does not count: alert 1"
    ]
    hers = told(pets, "olga")
    assert ("olga", "change 1 of the labels: 'cat' became 'feline'", "as biologists say") in hers
    assert ("olga", "output item-0 has the labels of today", renamed) in hers
    assert ("olga", "spec 2 of loop pets was registered", renamed) in hers


def test_a_story_shows_nothing_that_was_forgotten(pets: Pets) -> None:
    told_before = str(told(pets, "item-0"))
    with pets.database.transaction() as conn:
        [row] = conn.execute("select id from outputs where key = 'item-0'").fetchall()
        forgetting.clear(conn, "pets", [row["id"]])
        feedback_store.forget(conn, [row["id"]])
        forgetting.clear_answers(conn, "pets", [row["id"]])
        [row] = conn.execute("select key from outputs where id = %s", [row["id"]]).fetchall()
    lines = told(pets, row["key"])
    for secret in ("feline", "cat", "as biologists say"):
        assert secret in told_before
        assert secret not in str(lines), [line for line in lines if secret in str(line)]
    assert ("is withdrawn: its task is gone") in [happened for _, happened, _ in lines]
    with pets.database.transaction() as conn:
        forgotten_people.rename(conn, forgotten_people.find(conn, "Ben"), ["ben@x.example", "Ben"], ["pets"])
    assert "ben" not in str(told(pets, "item-3")).lower()

"""Gold on the real Label Studio: outputs with a known answer check people, and no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.cli import main
from labelloop.store.database import Database
from labelloop.store.questions import new_answers, people
from labelloop.store.tables import run_items
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_gold_checks_people_looks_like_any_other_and_teaches_nobody(
    loop: SyncLoop, label_studio: LabelStudio, tmp_path: Path
) -> None:
    anne = label_studio.sign_up("anne@gold.example.org")[1]
    known = [loop.submit(1, gold=label)[0] for label in ("dog", "dog", "eel")]
    others = loop.submit(4)
    loop.push()
    seen = loop.task_of(known[0])
    assert seen["data"]["labelloop_why"] == "The model says cat, but is only 70 % sure", "nothing else is drawn here"
    assert seen["data"]["labelloop_statistic"] == "least_confidence 0.30"
    assert "dog" not in json.dumps(seen["data"]), "nothing gives the answer away"
    assert seen["predictions"][0]["result"][0]["value"] == {"choices": ["cat"]}, "it is prelabelled like the others"

    for key in (*known, *others[:2]):
        loop.annotate(loop.task_of(key)["id"], "dog", web=anne)
    loop.annotate(loop.task_of(others[2])["id"], "cat")
    loop.pull()
    with loop.database.transaction() as conn:
        rows = people.work(conn, loop.spec.name)
        taught = {row.key for row in run_items.answered(conn, loop.spec.name, 2**63 - 1)}
        assert taught == set(others[:3]), "neither taught nor judged"
        assert new_answers.count(conn, loop.spec.name) == 3
    assert [(row.answered, row.gold_right, row.gold_asked, row.median_s) for row in rows] == [
        (5, 2, 3, 1.5),
        (1, 0, 0, 1.5),
    ]
    assert (rows[0].reviewer, rows[0].email) == ("anne", "anne@gold.example.org")

    said = CliRunner().invoke(
        main,
        ["people", "--loop", loop.spec.name, "--json"],
        env={"LABELLOOP_DATABASE_URL": loop.database.url, "LABELLOOP_DATA_DIR": str(tmp_path)},
    )
    first, second = json.loads(said.stdout)
    assert first["gold"]["correct"] == 2
    assert 0.2 < first["gold"]["low"] < 2 / 3 < first["gold"]["high"] < 0.95, "Wilson's interval"
    assert second["gold"]["accuracy"] is None
    table = CliRunner().invoke(
        main,
        ["people", "--loop", loop.spec.name],
        env={"LABELLOOP_DATABASE_URL": loop.database.url, "LABELLOOP_DATA_DIR": str(tmp_path), "COLUMNS": "160"},
    )
    assert "(2 of 3;" in table.stdout

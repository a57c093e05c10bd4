"""Formats of exports: CSV, Parquet, examples for training, and the command."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from console.cli import main
from labelloop.store.database import Database
from tests.support.hops.answering_desk import FEEDBACK, Desk, exported
from tests.support.intake_client import HEADERS

Row = dict[str, Any]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_csv_and_parquet_have_the_rows_of_ndjson(desk: Desk) -> None:
    desk.submit("a", "b", "c")
    desk.give("a", "anna", comment="two\nlines, and a comma")
    desk.give("b", "ben", False, correction="dog")
    desk.give("c", "cleo", False)
    _, cursor = exported(desk)
    desk.sql("delete from feedback where comment is not null returning id")
    for since in (None, cursor):
        query = {} if since is None else {"since": since}
        rows, _ = exported(desk, since)
        assert len(rows) == (2 if since is None else 1)
        text = desk.web.get(FEEDBACK, query_string={"format": "csv", **query}, headers=HEADERS)
        assert text.mimetype == "text/csv"
        read = list(csv.DictReader(io.StringIO(text.text)))
        assert [_as_texts(row) for row in rows] == [
            {**row, "created_at": row["created_at"], "updated_at": row["updated_at"]} for row in read
        ]
        table = parquet.read_table(
            io.BytesIO(desk.web.get(FEEDBACK, query_string={"format": "parquet", **query}, headers=HEADERS).data)
        )
        times = ("created_at", "updated_at")
        plain = [{**row, **dict.fromkeys(times)} for row in table.to_pylist()]
        assert plain == [{**row, **dict.fromkeys(times)} for row in rows]
        assert [row["created_at"] and row["created_at"].timestamp() for row in table.to_pylist()] == [
            row["created_at"] and pytest.approx(_time(row["created_at"])) for row in rows
        ]


def test_examples_for_training_are_answers_that_models_may_learn_from(desk: Desk) -> None:
    desk.submit("a", "b", "held", "gold")
    desk.sql("update outputs set holdout = true where key = 'held' returning id")
    desk.sql("update outputs set lane = 'gold' where key = 'gold' returning id")
    for key in ("a", "held", "gold"):
        desk.give(key, "anna", False, correction="dog")
    desk.give("b", "anna")
    sft = [{"prompt": "miaow", "completion": label} for label in ("cat", "dog")]
    assert sorted(exported(desk, format="sft")[0], key=lambda row: row["completion"]) == sft
    assert exported(desk, format="dpo") == ([{"prompt": "miaow", "chosen": "dog", "rejected": "cat"}], "")


def test_the_command_says_why_there_are_no_examples(desk: Desk) -> None:
    desk.submit("held", "too", "unanswered")
    desk.sql("update outputs set holdout = true returning id")
    for key in ("held", "too"):
        desk.give(key, "anna", False, correction="dog")
    env = {"LABELLOOP_DATABASE_URL": desk.database.url}
    done = CliRunner().invoke(main, ["export", "--format", "sft"], env=env)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "0 examples; left out: 2 held out\n")


def test_the_command_writes_a_file_and_continues_from_its_cursor(desk: Desk, tmp_path: Any) -> None:
    desk.submit("a", "b")
    desk.give("a", "anna")

    def run(*words: str) -> tuple[int, str, str]:
        env = {"LABELLOOP_DATABASE_URL": desk.database.url}
        done = CliRunner().invoke(main, ["export", *words, "--cursor", str(tmp_path / "cursor")], env=env)
        return done.exit_code, done.stdout, done.stderr

    status, out, err = run()
    assert (status, [json.loads(line)["key"] for line in out.splitlines()]) == (0, ["a"])
    assert (tmp_path / "cursor").read_text().strip() in err
    desk.give("b", "anna")
    status, out, _ = run("--output", str(tmp_path / "changes.csv"), "--format", "csv")
    assert (status, out) == (0, "")
    assert [row["key"] for row in csv.DictReader(io.StringIO((tmp_path / "changes.csv").read_text()))] == ["b"]
    assert run()[1] == ""
    assert run("--since", "x")[0] == 2


def _as_texts(row: Row) -> dict[str, str]:
    """Return the row of NDJSON as CSV has it."""
    made = {name: "" if value is None else str(value) for name, value in row.items()}
    for name in ("approval", "holdout", "deleted"):
        made[name] = made[name].lower()
    for name in ("created_at", "updated_at"):
        made[name] = made[name].replace("Z", "+00:00")
    return made


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

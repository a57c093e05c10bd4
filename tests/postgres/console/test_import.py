"""`labelloop import FORMAT FILE` on the real Postgres: outputs and answers, each once, and bad lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.data.imported import FOLDER, FORMS, loop

Run = Callable[..., Result]
SPANS = [
    ("prodigy", "prodigy_ner.jsonl", {
        "My name is Freya 👋 of Köln.": '[[11,16,"PER"],[22,26,"LOC"]]', "Nobody here.": "[]"}),
    ("spacy", "spacy.jsonl", {
        "Anna moved to Köln 🎉.": '[[0,4,"PER"],[14,18,"LOC"]]', "Uber blew through $1 million": '[[0,4,"ORG"]]',
        "Nothing.": "[]"}),
    ("spacy", "docs.spacy", {
        "Anna  Bell moved to Köln 🎉 in May.": '[[0,10,"PER"],[20,24,"LOC"]]', "Nothing here.": "[]",
        "\nA Corp": '[[1,7,"ORG"]]'}),
    ("conll", "conll2003.txt", {
        "EU rejects German call .": '[[0,2,"ORG"],[11,17,"MISC"]]', "Peter Blackburn": '[[0,15,"PER"]]'}),
]  # fmt: skip
"""A file of each tool, and the spans in each of its texts."""


@pytest.fixture
def run(database: Database, database_url: str, tmp_path: Path) -> Run:
    """Runs `labelloop import` with a loop for each form; `twos` asks two people."""
    with database.transaction() as conn:
        for name in FORMS:
            loops.register(conn, loop(name))
        loops.register(conn, loop("twos", "pets", overlap=2))
    env = {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}

    def go(format_: str, file: str | Path, into: str, *words: str) -> Result:
        path = file if isinstance(file, Path) else FOLDER / file
        return CliRunner().invoke(main, ["import", format_, str(path), "--loop", into, "--json", *words], env=env)

    return go


def counts(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def stored(database: Database, name: str) -> list[dict[str, Any]]:
    """Return key, model's label, state, consensus and the answers of each person, by key."""
    with database.transaction() as conn:
        return conn.execute(
            """
            select o.key, o.data, o.label, o.confidence, o.model_version, o.state::text, a.label as answer, (
                select coalesce(jsonb_agg(jsonb_build_array(r.email, f.label, f.approval) order by f.updated_at), '[]')
                from feedback f join reviewers r on r.id = f.reviewer_id where f.model_output_id = o.id) as people
            from outputs o left join lateral (
                select label from answers where output_id = o.id order by seq desc limit 1) a on true
            where o.loop = %(loop)s order by o.key
            """,
            {"loop": name},
        ).fetchall()


def test_tasks_of_label_studio_become_outputs_and_answers_of_their_people(run: Run, database: Database) -> None:
    found = counts(run("label-studio", "label_studio.json", "pets"))
    assert (found["outputs"], found["answers"], found["refused"]) == (3, 3, 0)
    assert any("skipped" in why for why in found["left_out"])
    assert any("besides its newest" in why for why in found["left_out"])
    purrs, swims, barks = stored(database, "pets")
    assert (purrs["label"], purrs["confidence"], purrs["model_version"]) == ("cat", 0.7, "v2")
    assert purrs["people"] == [["ann@example.org", "cat", True], ["ben@example.org", "dog", False]]
    assert (purrs["answer"], purrs["state"]) == (None, "answered")
    assert (swims["people"], swims["answer"]) == ([["user 5", "eel", None]], "eel")
    assert (barks["people"], barks["state"]) == ([], "waiting")
    with database.transaction() as conn:
        [row] = conn.execute(
            """select f.*, r.name from feedback f join reviewers r on r.id = f.reviewer_id
            where r.email = 'ann@example.org'"""
        ).fetchall()
        [version] = conn.execute(
            "select result from annotation_versions where annotation_id = %(id)s", {"id": row["annotation_id"]}
        ).fetchall()
    assert (row["name"], row["lead_time_s"]) == ("Ann Lee", 4.288)
    assert row["updated_at"] == datetime(2025, 3, 9, 22, 16, 8, 746926, UTC)
    assert row["created_at"] == datetime(2025, 3, 9, 21, 52, 49, 513742, UTC)
    assert version["result"][1]["id"] == "aB3dE5fG7h"


def test_a_second_import_adds_nothing(run: Run, database: Database) -> None:
    for format_, file, into in (
        ("label-studio", "label_studio.json", "pets"), ("label-studio", "label_studio_min.json", "twos"),
        ("prodigy", "prodigy_ner.jsonl", "names"), ("argilla", "argilla.json", "travel"),
        ("coco", "coco.json", "boxes"),
    ):  # fmt: skip
        media = ("--media", "https://x.example/") if format_ == "coco" else ()
        first = counts(run(format_, file, into, *media))
        before = stored(database, into)
        again = counts(run(format_, file, into, *media))
        assert first["answers"] > 0, file
        assert (again["outputs"], again["answers"], again["answers_known"]) == (0, 0, first["answers"]), file
        assert stored(database, into) == before
    with database.transaction() as conn:
        [row] = conn.execute(
            "select count(*) as n, count(distinct (annotation_id)) as d from annotation_versions"
        ).fetchall()
    assert row["n"] == row["d"]


def test_an_answer_that_was_changed_since_stays(run: Run, database: Database, tmp_path: Path) -> None:
    lines = [{"key": "a", "data": {"text": "x"}, "answer": "cat", "person": "ann@example.org"}]
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert counts(run("jsonl", path, "pets"))["answers"] == 1
    newer = tmp_path / "new.jsonl"
    newer.write_text(json.dumps(lines[0] | {"answer": "dog"}))
    assert counts(run("jsonl", newer, "pets"))["answers"] == 1
    again = counts(run("jsonl", path, "pets"))
    assert (again["answers"], again["answers_known"]) == (0, 1)
    assert stored(database, "pets")[0]["people"] == [["ann@example.org", "dog", None]]


def test_a_min_export_has_the_same_answers(run: Run, database: Database) -> None:
    words = ("--name", "3=ann@example.org", "--name", "4=ben@example.org")
    counts(run("label-studio", "label_studio_min.json", "twos", *words))
    purrs, swims = stored(database, "twos")
    assert purrs["people"] == [["ann@example.org", "cat", None], ["ben@example.org", "dog", None]]
    assert purrs["state"] == "answered"
    # One of two people: the other is asked still.
    assert (swims["people"], swims["state"]) == ([["user 5", "eel", None]], "waiting")


def test_a_table_with_a_line_for_each_answer(run: Run, database: Database) -> None:
    words = ("--key id --map data.text=body --map label=predicted --map confidence=score --map answer=verdict "
             "--map person=who --map answered_at=when --map comment=remark").split()  # fmt: skip
    found = counts(run("csv", "answers.csv", "pets", *words))
    assert (found["outputs"], found["answers"]) == (3, 3)
    one, two, three = stored(database, "pets")
    assert one["people"] == [["ann@example.org", "cat", True], ["ben@example.org", "dog", False]]
    assert (two["label"], two["people"]) == (None, [["ann@example.org", "eel", None]])
    assert (three["label"], three["people"], three["state"]) == ("dog", [], "passed")


def test_prodigy_choices_and_suggestions_that_are_accepted_or_rejected(run: Run, database: Database) -> None:
    found = counts(run("prodigy", "prodigy_choice.jsonl", "pets"))
    assert (found["outputs"], found["answers"]) == (4, 4)
    by_text = {row["data"]["text"]: row for row in stored(database, "pets")}
    assert by_text["It purrs"]["people"] == [["pets-ann", "cat", None], ["pets-ben", "dog", None]]
    assert by_text["Hm"]["people"] == []
    assert (by_text["It barks"]["answer"], by_text["It barks"]["confidence"]) == ("dog", 0.62)
    assert by_text["It sings"]["people"] == [["2024-02-06_10-17-19", None, False]]


def test_spans_of_prodigy_spacy_and_conll(run: Run, database: Database) -> None:
    for format_, file, texts in SPANS:
        counts(run(format_, file, "names", "--person", "team"))
        got = {row["data"]["text"]: row["answer"] for row in stored(database, "names")}
        assert {text: got.get(text) for text in texts} == texts, file


def test_argilla_records(run: Run, database: Database) -> None:
    found = counts(run("argilla", "argilla.json", "travel"))
    assert any("questions besides" in why for why in found["left_out"])
    assert any("were submitted" in why for why in found["left_out"])
    first, second = stored(database, "travel")
    assert (first["label"], first["confidence"], first["model_version"]) == ("travel", 0.8, "m1")
    assert sorted(answer for _, answer, _ in first["people"]) == ["travel", "work"]
    assert (second["people"], second["label"]) == ([], None)


def test_boxes_of_coco(run: Run, database: Database) -> None:
    found = counts(run("coco", "coco.json", "boxes", "--media", "http://media.example.org/"))
    assert found["outputs"] == 2
    assert any("box only" in why for why in found["left_out"])
    street, empty = stored(database, "boxes")
    assert empty["answer"] == "[]"
    assert street["data"] == {"image": "http://media.example.org/images/8a1b-street.jpg", "width": 640, "height": 480}
    assert json.loads(street["answer"]) == [
        {"box": [10, 10, 20, 20], "label": "car"}, {"box": [50, 50, 25, 25], "label": "sign"},
    ]  # fmt: skip


def test_a_bad_line_is_named_and_nothing_is_stored(run: Run, database: Database, tmp_path: Path) -> None:
    good: dict[str, Any] = {"key": "a", "data": {"text": "x"}, "answer": "cat"}
    bad: list[dict[str, Any]] = [
        {"key": "b", "answer": "cow"},
        {"key": "c", "data": {}},
        {"key": "d", "answered_at": "soon"},
    ]
    lines = [json.dumps(good), "{", *(json.dumps(good | one) for one in bad), json.dumps(good | {"key": "e"})]
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(lines))
    result = run("jsonl", path, "pets")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert [(one["line"], one["key"], one["path"]) for one in said["problems"]] == [
        (2, None, ""), (3, "b", "answer"), (4, "c", "data.text"), (5, "d", "answered_at"),
    ]  # fmt: skip
    assert "nothing is stored" in result.stderr
    assert stored(database, "pets") == []
    result = run("jsonl", path, "pets", "--skip-bad")
    assert result.exit_code == 1
    assert [(row["key"], row["answer"]) for row in stored(database, "pets")] == [
        ("a", "cat"),
        ("b", None),
        ("e", "cat"),
    ]


def test_another_item_of_a_known_key_is_refused(run: Run, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    lines = [{"key": "a", "data": {"text": "x"}, "answer": "cat"}, {"key": "a", "data": {"text": "y"}, "answer": "dog"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    result = run("jsonl", path, "pets")
    assert result.exit_code == 1
    assert "'a' stands in the file before, with other data" in json.loads(result.stdout)["problems"][0]["message"]
    assert stored(database, "pets") == []
    result = run("jsonl", path, "pets", "--skip-bad")
    assert [(row["key"], row["answer"]) for row in stored(database, "pets")] == [("a", "cat")]
    assert json.loads(result.stdout)["problems"][0]["line"] == 2


def test_answers_of_a_model_become_its_outputs(run: Run, database: Database) -> None:
    words = ("--as-predictions", "--model-version", "tagger-3")
    found = counts(run("conll", "conll2003.txt", "names", *words))
    assert (found["outputs"], found["answers"]) == (2, 0)
    assert [(row["label"], row["model_version"], row["state"]) for row in stored(database, "names")] == [
        ('[[0,2,"ORG"],[11,17,"MISC"]]', "tagger-3", "waiting"), ('[[0,15,"PER"]]', "tagger-3", "waiting"),
    ]  # fmt: skip


def test_a_check_stores_nothing(run: Run, database: Database) -> None:
    found = counts(run("label-studio", "label_studio.json", "pets", "--check"))
    assert found["answers"] == 3
    assert stored(database, "pets") == []


def test_a_form_with_other_names_is_told_and_can_be_mapped(run: Run, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text((FOLDER / "label_studio.json").read_text().replace('"from_name": "label"', '"from_name": "mood"'))
    result = run("label-studio", path, "pets")
    assert result.exit_code == 1
    assert all("'mood'" in one["message"] for one in json.loads(result.stdout)["problems"][1:])
    assert counts(run("label-studio", path, "pets", "--control", "mood=label"))["answers"] == 3
    assert [row["answer"] for row in stored(database, "pets")] == [None, "eel", None]


def test_an_import_that_is_killed_is_complete_when_it_is_repeated(
    run: Run, database: Database, database_url: str, tmp_path: Path
) -> None:
    items = 700
    path = tmp_path / "some.jsonl"
    with path.open("w") as file:
        for i in range(items):
            said = {"answer": ("cat", "dog")[i % 2], "answered_at": "2025-03-09T22:16:08Z"}
            answers = [said | {"person": "ann@example.org"}, said | {"person": "ben@example.org"}]
            file.write(json.dumps({"key": f"k/{i}", "data": {"text": f"text {i}"}, "answers": answers}) + "\n")
    env = {**os.environ, "LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "labelloop", "import", "jsonl", str(path), "--loop", "pets"]
    killed = 0
    for at_least in (1, 300):
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and _count(database, "outputs") < at_least:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
        assert _count(database, "outputs") % 200 in (0, items % 200)  # a transaction has all of its items, or none
    assert killed >= 1
    found = counts(run("jsonl", path, "pets"))
    assert found["answers"] + found["answers_known"] == 2 * items
    assert (_count(database, "outputs"), _count(database, "feedback")) == (items, 2 * items)
    assert _count(database, "annotation_versions") == 2 * items
    assert {row["state"] for row in stored(database, "pets")} == {"answered"}


def _count(database: Database, table: str) -> int:
    with database.transaction() as conn:
        row = conn.execute(f"select count(*) as n from {table}").fetchone()
    assert row is not None
    return int(row["n"])

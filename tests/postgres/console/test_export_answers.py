"""Exports of answers in the formats of other tools, and that importing them again gives the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from console.cli import main
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.data.imported import FOLDER, loop

Command = Callable[..., Result]
SOURCES = {
    "pets": ("label-studio", "label_studio.json"),
    "names": ("prodigy", "prodigy_ner.jsonl"),
    "boxes": ("coco", "coco.json"),
}
"""The file from which each loop has its answers."""


@pytest.fixture
def run(database: Database, database_url: str, tmp_path: Path) -> Command:
    """Runs a command with a loop for each of SOURCES, and for each of them an empty one to import into."""
    with database.transaction() as conn:
        for name in SOURCES:
            loops.register(conn, loop(name))
            loops.register(conn, loop(f"{name}-again", name))
    env = {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}

    def go(*words: str | Path) -> Result:
        result = CliRunner().invoke(main, [*map(str, words)], env=env)
        assert result.exit_code == 0, result.output
        return result

    for name, (format_, file) in SOURCES.items():
        media = ["--media", "https://photos.example.org/"] if format_ == "coco" else []
        go("import", format_, FOLDER / file, "--loop", name, *media)
    return go


def agreed(database: Database, name: str) -> dict[str, Any]:
    """Return data and consensus of each answered output, by key."""
    with database.transaction() as conn:
        rows = conn.execute(
            """
            select o.key, o.data, a.label from outputs o cross join lateral (
                select label, reviewers from answers where output_id = o.id order by seq desc limit 1) a
            where o.loop = %(loop)s and a.label is not null
            """,
            {"loop": name},
        ).fetchall()
    return {row["key"]: (row["data"], row["label"]) for row in rows}


def people(database: Database, name: str) -> set[tuple[Any, ...]]:
    with database.transaction() as conn:
        rows = conn.execute(
            """
            select o.key, r.email, f.label, f.approval, f.comment, f.updated_at
            from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
            where o.loop = %(loop)s
            """,
            {"loop": name},
        ).fetchall()
    return {tuple(row.values()) for row in rows}


@pytest.mark.parametrize(
    ("name", "format_", "reader"),
    [
        ("pets", "label-studio", "label-studio"), ("pets", "csv", "csv"), ("pets", "ndjson", "jsonl"),
        ("pets", "parquet", "parquet"), ("pets", "hf", "hf"), ("names", "conll", "conll"), ("names", "csv", "csv"),
        ("names", "label-studio", "label-studio"), ("boxes", "coco", "coco"), ("boxes", "label-studio", "label-studio"),
        ("boxes", "parquet", "parquet"),
    ],
)  # fmt: skip
def test_an_export_that_is_imported_gives_the_same_answers(
    run: Command, database: Database, tmp_path: Path, name: str, format_: str, reader: str
) -> None:
    path = tmp_path / "export"
    run("export", "--loop", name, "--format", format_, "--answers", "--output", path)
    run("import", reader, path, "--loop", f"{name}-again")
    assert len(before := agreed(database, name)) >= 1
    assert agreed(database, f"{name}-again") == before


@pytest.mark.parametrize(
    ("format_", "reader"), [("label-studio", "label-studio"), ("csv", "csv"), ("ndjson", "jsonl"), ("hf", "hf")]
)
def test_each_person_comes_back_with_answer_and_time(
    run: Command, database: Database, tmp_path: Path, format_: str, reader: str
) -> None:
    path = tmp_path / "export"
    run("export", "--loop", "pets", "--format", format_, "--answers", "--each-person", "--output", path)
    run("import", reader, path, "--loop", "pets-again")
    assert people(database, "pets-again") == people(database, "pets")
    assert len(people(database, "pets")) == 3


def test_an_export_that_is_imported_into_its_own_loop_adds_no_person(
    run: Command, database: Database, tmp_path: Path
) -> None:
    before = people(database, "pets")
    path = tmp_path / "export.json"
    run("export", "--loop", "pets", "--format", "label-studio", "--each-person", "--output", path)
    said = json.loads(run("import", "label-studio", path, "--loop", "pets", "--json").stdout)
    assert (said["outputs"], said["answers"], said["answers_known"]) == (0, 0, 3)
    assert people(database, "pets") == before


def test_what_people_do_not_agree_on_is_told(run: Command) -> None:
    result = run("export", "--loop", "pets", "--format", "label-studio")
    assert [task["meta"]["labelloop_key"] for task in json.loads(result.stdout)] == ["task/2/42"]
    assert "not held: 1 x outputs on which the people do not agree" in result.stderr


def test_a_folder_for_hugging_face_has_a_card_and_splits(run: Command, database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        conn.execute("update outputs set holdout = true where key = 'task/2/42'")
    folder = tmp_path / "pets-data"
    run("export", "--loop", "pets", "--format", "hf", "--each-person", "--output", folder)
    assert sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()) == [
        "README.md", "data/test-00000.parquet", "data/train-00000.parquet",
    ]  # fmt: skip
    [row] = parquet.read_table(folder / "data" / "test-00000.parquet").to_pylist()
    assert (row["key"], row["data.text"], row["answer"], row["holdout"]) == ("task/2/42", "It swims 🐟", "eel", True)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert "split: test\n    path: data/test-*.parquet" in card


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "coco", "--loop", "pets"), "regions of an image"),
        (("--format", "conll", "--loop", "pets"), "spans"),
        (("--format", "conll", "--loop", "names", "--each-person"), "one answer for an item"),
        (("--format", "sft", "--answers", "--loop", "pets"), "there are: label-studio"),
        (("--format", "hf", "--loop", "pets"), "--output"),
        (("--format", "csv", "--each-person", "--loop", "pets"), "--answers"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(
    run: Command, database_url: str, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    env = {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    result = CliRunner().invoke(main, ["export", *words], env=env)
    assert result.exit_code == 2, result.output
    assert says in result.stderr

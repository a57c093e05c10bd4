"""Parts of a file that cannot be imported, in a file of several transactions, and files of another kind of answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from console.cli.pipelines import imports
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.data.imported import FOLDER, loop


@pytest.fixture
def env(database: Database, database_url: str, tmp_path: Path) -> dict[str, str]:
    with database.transaction() as conn:
        loops.register(conn, loop("pets"))
    return {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}


def run(env: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, ["import", *words, "--loop", "pets"], env=env)


def test_every_bad_line_is_told_wherever_in_the_file_it_is(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ITEMS", 5)
    monkeypatch.setattr(imports, "MOST_LISTED", 3)
    bad = (2, 12, 13, 27, 28)
    rows = [{"key": f"k{i}", "text": "a", "answer": "cow" if i in bad else "cat"} for i in range(1, 31)]
    path = tmp_path / "pets.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(env, "jsonl", str(path), "--skip-bad", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["outputs"], found["answers"], found["refused"]) == (30, 25, len(bad))
    assert [one["line"] for one in found["problems"]] == list(bad[:3]), "the first ones are kept, all are counted"
    checked = run(env, "jsonl", str(path), "--check", "--json")
    assert json.loads(checked.stdout)["refused"] == len(bad)


def test_a_file_of_another_kind_of_answer_is_refused_once_with_what_to_do(env: dict[str, str]) -> None:
    done = run(env, "coco", str(FOLDER / "coco.json"), "--skip-bad")
    assert done.exit_code == 2, done.output
    assert done.output.count("the answer of this loop is one label") == 1
    assert "--template detection" in done.output

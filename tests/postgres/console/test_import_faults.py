"""Parts of a file that cannot be imported, in a file of several transactions, and files of another kind of answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from console.cli.pipelines import imports
from labelloop.spec.folder import parse
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


def test_the_check_sees_known_keys_with_other_data_in_the_file_and_in_the_database(
    env: dict[str, str], database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ITEMS", 2)
    path = tmp_path / "pets.jsonl"

    def write(rows: list[tuple[str, str]]) -> None:
        path.write_text("".join(json.dumps({"key": k, "text": t, "answer": "cat"}) + "\n" for k, t in rows))

    write([("a", "x"), ("b", "x")])
    assert run(env, "jsonl", str(path)).exit_code == 0
    write([("c", "x"), ("d", "x"), ("a", "y"), ("b", "x"), ("c", "z"), ("e", "x")])
    checked = run(env, "jsonl", str(path), "--check", "--json")
    found = json.loads(checked.stdout)
    assert (checked.exit_code, found["answers"], found["refused"]) == (1, 4, 2)
    assert [(one["line"], one["key"]) for one in found["problems"]] == [(3, "a"), (5, "c")]
    done = run(env, "jsonl", str(path))
    assert done.exit_code == 1
    assert "nothing is stored" in done.stderr
    assert done.stdout.split().count("0") == 5, "nothing that was not stored is counted"
    with database.transaction() as conn:
        assert [row["key"] for row in conn.execute("select key from outputs order by key")] == ["a", "b"]
    stored = run(env, "jsonl", str(path), "--skip-bad", "--json")
    assert [one["line"] for one in json.loads(stored.stdout)["problems"]] == [3, 5]


def test_pictures_without_an_address_are_refused_with_the_option_that_gives_one(
    env: dict[str, str], database: Database
) -> None:
    with database.transaction() as conn:
        loops.register(conn, loop("boxes"))
    done = CliRunner().invoke(main, ["import", "coco", str(FOLDER / "coco.json"), "--loop", "boxes"], env=env)
    assert done.exit_code == 2, done.output
    assert "'images/8a1b-street.jpg' is a file's name, and no browser can show it" in done.stderr
    assert "--media https://" in done.stderr


GENERATED = "feedback_loop: {trigger: model_confidence < 0.8, audit: 0, holdout: 0, learner: none, labels: [LABELS]}"


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], ["cat", "dog", "eel", *"abcdefghij"]])
def test_choices_of_another_form_become_answers_of_the_generated_form(
    env: dict[str, str], database: Database, tmp_path: Path, labels: list[str]
) -> None:
    with database.transaction() as conn:
        loops.register(conn, parse("gen", GENERATED.replace("LABELS", ", ".join(labels))))

    def go(format_: str, file: Path, *words: str) -> Result:
        return CliRunner().invoke(main, ["import", format_, str(file), "--loop", "gen", "--json", *words], env=env)

    done = go("label-studio", FOLDER / "label_studio.json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answers"] == 3
    with database.transaction() as conn:
        rows = conn.execute(
            "select o.data->>'text' as text, o.label, o.confidence, f.label as answer, f.approval from outputs o "
            "left join feedback f on f.model_output_id = o.id order by o.key, f.label"
        ).fetchall()
    assert [(row["label"], row["answer"], row["approval"]) for row in rows] == [
        ("cat", "cat", True),
        ("cat", "dog", False),
        (None, "eel", None),
        (None, None, None),
    ]
    assert rows[0]["confidence"] == 0.7
    minimal = go("label-studio", FOLDER / "label_studio_min.json", "--check")
    assert minimal.exit_code == 1
    assert "such as --control label=correction" in json.loads(minimal.stdout)["problems"][0]["message"]
    mapped = go("label-studio", FOLDER / "label_studio_min.json", "--control", "label=correction", "--check")
    assert mapped.exit_code == 0, mapped.output
    assert json.loads(mapped.stdout)["answers"] == 3


def test_a_result_with_choices_of_several_controls_says_how_to_name_one(
    env: dict[str, str], database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loops.register(conn, parse("gen", GENERATED.replace("LABELS", "cat, dog, eel")))
    result = [
        {"id": n, "from_name": n, "to_name": "text", "type": "choices", "value": {"choices": ["cat"]}}
        for n in ("animal", "mood")
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([{"id": 1, "data": {"text": "x"}, "annotations": [{"id": 1, "result": result}]}]))
    words = ["import", "label-studio", str(path), "--loop", "gen"]
    done = CliRunner().invoke(main, words, env=env)
    assert done.exit_code == 1
    assert "'animal' and 'mood' have choices, and this loop has one answer" in done.stderr
    done = CliRunner().invoke(main, [*words, "--control", "animal=correction", "--json"], env=env)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["left_out"] == {"answers to controls that the loop's form does not have": 1}

"""`spec check` and `try`: without any server, by the files of the loops alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.spec.folder import load_all

OTLP = Path(__file__).parents[2] / "support" / "data" / "adapters" / "otlp_current.json"
LOOPS = Path(__file__).parents[3] / "labeling_configs"


def run(loops: Path, *words: str, stdin: str | None = None) -> Result:
    env = {"LABELLOOP_LOOPS_DIR": str(loops), "LABELLOOP_DATABASE_URL": ""}
    return CliRunner().invoke(main, list(words), env=env, input=stdin)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    for name, text in {
        "good": "feedback_loop: {trigger: margin < 0.1}\n",
        "bad": "feedback_loop:\n  trigger: margn < 0.1 or data.x\n  audt: 1\n",
        "other": "feedback_loop:\n  trigger: margin < 0.1\n  labels: [a, b]\n  learner: {params: {encodr: use}}\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "loop.yaml").write_text(text)
    return tmp_path


def test_every_mistake_of_every_loop_is_named_in_the_words_of_migrate(faulty: Path) -> None:
    from backend.learners.of_spec import check

    found = run(faulty, "spec", "check")
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [str(fault) for fault in load_all(faulty, check)[1]]
    assert [line.partition(" loop.yaml")[0] for line in found.stdout.splitlines()] == [
        "loop 'bad': line 2, column 12:", "loop 'bad': line 2, column 27:", "loop 'bad': line 3, column 3:",
        "loop 'other': line 4, column 30:",
    ]  # fmt: skip
    assert "did you mean 'margin'" in found.stdout
    assert "did you mean 'audit'" in found.stdout
    assert "did you mean 'encoder'" in found.stdout
    assert "4 mistakes in 2 of 3 loops" in found.stderr
    one = run(faulty, "spec", "check", str(faulty / "bad"), "--json")
    first = json.loads(one.stdout)[0]
    assert {name: first[name] for name in ("loop", "folder", "file", "line", "column")} == {
        "loop": "bad", "folder": str(faulty / "bad"), "file": "loop.yaml", "line": 2, "column": 12,
    }  # fmt: skip
    assert first["message"].startswith("trigger: no name 'margn'")


def test_a_loop_that_steps_name_and_that_does_not_exist_is_a_mistake_at_its_place(tmp_path: Path) -> None:
    for name, loops in (("search", "[]"), ("judge", "\n      - search\n      - serach\n")):
        (tmp_path / name).mkdir()
        text = f"feedback_loop:\n  trigger: margin < 0.1\n  labels: [a, b]\n  steps:\n    loops: {loops}\n"
        (tmp_path / name / "loop.yaml").write_text(text)
    said = run(tmp_path, "spec", "check")
    assert (said.exit_code, said.stdout) == (
        1, "loop 'judge': line 7, column 9: loop.yaml: steps.loops: no loop 'serach' (did you mean 'search'?)\n",
    )  # fmt: skip
    (place,) = json.loads(run(tmp_path, "spec", "check", str(tmp_path / "judge"), "--json").stdout)
    assert (place["folder"], place["file"], place["line"]) == (str(tmp_path / "judge"), "loop.yaml", 7)


def test_loops_without_a_mistake_pass_and_a_folder_without_a_loop_is_a_usage_error(tmp_path: Path) -> None:
    good = run(LOOPS, "spec", "check")
    assert (good.exit_code, good.stdout, good.stderr) == (0, "", "no mistake in 2 loops\n")
    assert json.loads(run(LOOPS, "spec", "check", "--json").stdout) == []
    assert run(LOOPS, "spec", "check", str(tmp_path)).exit_code == 2


def test_try_says_what_is_asked_only_as_long_as_no_certificate_covers_it(tmp_path: Path) -> None:
    loop = tmp_path / "pets" / "loop.yaml"
    loop.parent.mkdir()
    rule = (
        "feedback_loop: {trigger: model_confidence < 0.5, labels: [cat, dog], holdout: 0.5, audit: 0, accept: ACCEPT}"
    )
    loop.write_text(rule.replace("ACCEPT", "{error: 0.05}"))
    lines = [
        json.dumps({"key": f"k{i}", "data": {"text": "x"}, "label": "cat", "confidence": 0.3 if i % 4 == 0 else 0.9})
        for i in range(40)
    ]
    found = run(tmp_path, "try", "-", "--json", stdin="\n".join(lines))
    told = json.loads(found.stdout)
    open_ = [row for row in told if row["only_without_certificate"]]
    assert 5 < len(open_) < 25
    assert all(row["asked"] and row["lane"] == "rule" and row["confidence"] == 0.9 for row in open_)
    assert {row["lane"] for row in told if row["confidence"] == 0.9} == {"rule", "holdout"}
    assert found.stderr == (
        "40 of 40 outputs would be asked\n"
        f"{len(open_)} of them only as long as no certificate covers them, see `labelloop report threshold`\n"
    )
    loop.write_text(rule.replace(", accept: ACCEPT", ""))
    plain = run(tmp_path, "try", "-", "--json", stdin="\n".join(lines))
    assert "certificate" not in plain.stdout + plain.stderr


def test_try_tells_what_would_become_of_each_line_and_needs_no_server(tmp_path: Path) -> None:
    file = tmp_path / "outputs.ndjson"
    said = {"key": "a", "data": {"text": "x"}, "label": "billing"}
    file.write_text(json.dumps(said) + "\n\n" + json.dumps({**said, "key": "b", "data": {}}) + "\n")
    found = run(LOOPS, "try", str(file), "--loop", "tickets", "--json")
    first, second = json.loads(found.stdout)
    assert (first["line"], first["key"], first["asked"]) == (1, "a", True)
    assert "the model gave no confidence" in first["why"]
    assert (second["line"], second["lane"]) == (3, None)
    assert second["why"].startswith("refused: data.text: is missing")
    assert found.exit_code == 1
    assert "1 of 2 outputs would be asked" in found.stderr
    good = run(LOOPS, "try", "-", "--loop", "tickets", stdin=json.dumps(said))
    assert good.exit_code == 0
    assert "the model gave no confidence" in good.stdout
    assert run(LOOPS, "try", str(file)).exit_code == 2
    assert "did you mean 'tickets'" in run(LOOPS, "try", str(file), "--loop", "ticket").stderr


def test_try_reads_what_submit_reads(tmp_path: Path) -> None:
    rows = ["id,body,pred,score", "1,x,billing,0.99", "2,y,billing,high"]
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text("\n".join(rows))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    maps = ("--map", "key=id", "--map", "data.text=body", "--map", "label=pred", "--map", "confidence=score")
    for file in (plain, packed):
        found = run(LOOPS, "try", str(file), *maps, "--loop", "tickets", "--json")
        first, second = json.loads(found.stdout)
        assert (first["line"], first["key"], first["label"], first["confidence"]) == (2, "1", "billing", 0.99)
        assert (second["line"], second["key"]) == (3, "2")
        assert second["why"] == "refused: confidence: must be a number; it is 'high'"
        assert found.exit_code == 1
    traces = run(LOOPS, "try", str(OTLP), "--from", "otlp", "--label", "billing", "--loop", "tickets", "--json")
    assert {row["label"] for row in json.loads(traces.stdout)} == {"billing"}
    assert run(LOOPS, "try", str(tmp_path / "none.csv"), "--loop", "tickets").exit_code == 2


def test_traces_without_their_option_are_told_by_name(tmp_path: Path) -> None:
    one, several = tmp_path / "one.jsonl", tmp_path / "several.json"
    value = json.loads(OTLP.read_text())
    one.write_text(json.dumps(value))
    several.write_text(json.dumps(value, indent=2))
    for file in (one, several):
        found = run(LOOPS, "try", str(file), "--loop", "tickets")
        assert (found.exit_code, found.stderr.count("these are OTLP traces: pass --from otlp")) == (2, 1)


def test_spec_check_takes_the_file_of_a_loop(faulty: Path) -> None:
    found = run(faulty, "spec", "check", str(faulty / "bad" / "loop.yaml"))
    assert len(found.stdout.splitlines()) == 3
    (faulty / "notes.txt").write_text("x")
    assert "name its loop.yaml, or its folder" in run(faulty, "spec", "check", str(faulty / "notes.txt")).stderr


def test_try_says_that_the_budget_is_not_applied(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    text = "feedback_loop: {trigger: margin < 0.1, labels: [a, b], budget: {per_day: 1}}"
    (tmp_path / "pets" / "loop.yaml").write_text(text)
    line = json.dumps({"key": "k", "data": {"text": "x"}, "label": "a"})
    found = run(tmp_path, "try", "-", stdin=line)
    assert "1 of 1 output would be asked" in found.stderr
    assert "the budget is not applied" in found.stderr

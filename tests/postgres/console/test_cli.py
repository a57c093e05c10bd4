"""The command line on a real database: its output, and its exit status after a usage error or a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from console.cli import main, training
from labelloop.store import migrate
from labelloop.store.database import Database
from labelloop.store.tables import loops, runs
from sync.intake.taking import take

LOOPS = Path(__file__).parents[3] / "labeling_configs"
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Runs the command line with the settings of a migrated database."""
    env = {
        "LABELLOOP_DATABASE_URL": database_url,
        "LABELLOOP_LOOPS_DIR": str(LOOPS),
        "LABELLOOP_DATA_DIR": str(tmp_path),
        "LABELLOOP_INTAKE_TOKEN": "an-intake-token",
        "USER": "ann",
    }

    def invoke(*words: str, **more: str) -> Result:
        return CliRunner().invoke(main, list(words), env=env | more)

    assert invoke("migrate").exit_code == 0
    return invoke


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_says_what_it_does(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()[2].strip()) > 20


def test_migrating_twice_applies_nothing_and_keeps_the_loops(run: Run) -> None:
    said = json.loads(run("migrate", "--json").stdout)
    assert said == {"applied": [], "loops": ["digits", "tickets"]}
    assert migrate.sqlalchemy_url("postgresql://u@h/d") == "postgresql+psycopg://u@h/d"


def test_a_learner_that_cannot_be_is_refused_before_the_loop_is_registered(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "loops" / "mail"
    folder.mkdir(parents=True)
    (folder / "loop.yaml").write_text(
        'feedback_loop: {trigger: "model_confidence < 1", labels: [a, b], learner: {name: sklearn.svm.LinearSVC}}'
    )
    refused = run("migrate", LABELLOOP_LOOPS_DIR=str(folder.parent))
    assert refused.exit_code == 1
    assert "loop.yaml: learner.name: sklearn.svm.LinearSVC with these parameters has no predict_proba" in refused.stderr
    assert "mail" not in run("status").stdout


def test_a_loop_whose_steps_come_from_a_loop_that_does_not_exist_is_registered_with_a_warning(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "loops" / "judges"
    folder.mkdir(parents=True)
    yaml = 'feedback_loop: {trigger: "model_confidence < 1", labels: [a, b], steps: {loops: [digits, draughts]}}'
    (folder / "loop.yaml").write_text(yaml)
    said = run("migrate", LABELLOOP_LOOPS_DIR=str(folder.parent))
    assert said.exit_code == 0
    words = "loop 'judges': line 1, column 90: loop.yaml: steps.loops: no loop 'draughts'; there are: digits, "
    assert words in said.stderr
    assert "no loop 'digits'" not in said.stderr
    checked = run("spec", "check", str(folder))
    assert (checked.exit_code, words in checked.stdout) == (1, True), "the loop `digits` is known to the database"


def test_migrate_says_where_it_looks_if_there_are_loops_here_that_it_does_not_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / "theirs"
    assert f"loops are read from {theirs}, which has none" in run("migrate", LABELLOOP_LOOPS_DIR=str(theirs)).stderr
    (theirs / "sk").mkdir(parents=True)
    (theirs / "sk/loop.yaml").write_text('feedback_loop: {trigger: "model_confidence < 1", labels: [a, b]}')
    assert "loops are read" not in run("migrate", LABELLOOP_LOOPS_DIR=str(theirs)).stderr
    (tmp_path / "labeling_configs").mkdir()
    assert f"loops are read from {theirs}\n" in run("migrate", LABELLOOP_LOOPS_DIR=str(theirs)).stderr


def test_migrate_names_changed_labels_and_counts_the_outputs_that_have_one_that_is_gone(
    run: Run, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "loops" / "sk"
    folder.mkdir(parents=True)

    def migrated(labels: str) -> str:
        yaml = f'feedback_loop: {{trigger: "model_confidence < 1", labels: [{labels}], learner: {{name: text}}}}'
        (folder / "loop.yaml").write_text(yaml)
        return run("migrate", LABELLOOP_LOOPS_DIR=str(folder.parent)).stderr

    assert "sk:" not in migrated("refnd, order")
    output = {"key": "a", "data": {"text": "x"}, "label": "refnd", "confidence": 0.5}
    with database.transaction() as conn:
        spec = loops.get(conn, "sk")
        assert spec is not None
        take(conn, spec, [(1, json.dumps(output).encode())])
    assert migrated("refund, order").splitlines() == [
        "sk: labels +refund -refnd; the next push sends the new form",
        "sk: 1 stored output has a label that is gone: 'refnd'",
    ]
    assert "sk:" not in migrated("refund, order"), "a second run changes nothing"


def test_migrate_counts_the_answers_with_regions_whose_label_is_gone(
    run: Run, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "loops" / "roads"
    folder.mkdir(parents=True)
    (folder / "loop.yaml").write_text('feedback_loop: {trigger: "model_confidence < 1", learner: none}')

    def migrated(*labels: str) -> str:
        (folder / "labels.xml").write_text(
            '<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image">'
            + "".join(f'<Label value="{label}"/>' for label in labels)
            + "</RectangleLabels></View>"
        )
        return run("migrate", LABELLOOP_LOOPS_DIR=str(folder.parent)).stderr

    migrated("car", "sign")
    boxes = [{"box": [1, 1, 9, 9], "label": label} for label in ("car", "sign")]
    path = tmp_path / "boxes.jsonl"
    lines = [
        {"key": "both", "data": {"image": "http://x/a.png"}, "label": boxes, "answer": boxes},
        {"key": "one", "data": {"image": "http://x/b.png"}, "label": boxes[1:], "answer": boxes[:1]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert run("import", "jsonl", str(path), "--loop", "roads").exit_code == 0
    assert migrated("car").splitlines()[:2] == [
        "roads: labels -sign; the next push sends the new form",
        "roads: 2 stored outputs and 1 answer have a label that is gone: 'sign'",
    ]


def test_a_loop_that_is_wrong_keeps_no_other_from_being_registered(run: Run, tmp_path: Path) -> None:
    loops = tmp_path / "loops"
    for name, form in {
        "good": "",
        "bad": '<View>\n<Text name="t" value="$text"/>\n  <Choices name="label" toName="t">\n'
        '    <Choice value="a"/>\n    <Choice value="a"/></Choices></View>',
        "late": "",
    }.items():
        (loops / name).mkdir(parents=True)
        (loops / name / "loop.yaml").write_text('feedback_loop: {trigger: "model_confidence < 1"}')
        if form:
            (loops / name / "labels.xml").write_text(form)
    result = run("migrate", "--json", LABELLOOP_LOOPS_DIR=str(loops))
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["loops"] == ["good", "late"]
    assert said["refused"] == ["loop 'bad': line 5, column 5: labels.xml: 'label' has 'a' twice"]
    assert "1 of 3 loops not registered:\nloop 'bad': line 5, column 5: labels.xml" in result.stderr
    listed = run("status").stdout
    assert "good" in listed
    assert "late" in listed
    assert "bad" not in listed


def test_status_names_every_loop_and_who_serves(run: Run) -> None:
    rows = json.loads(run("status", "--json").stdout)
    assert [(row["loop"], row["champion"]) for row in rows] == [("digits", "pipeline"), ("tickets", "pipeline")]
    assert len(json.loads(run("status", "--json", "--loop", "digits").stdout)) == 1
    assert "digits" in run("status").stdout
    assert "budget" not in run("status").stdout


def test_status_shows_todays_budget(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loops" / "mail").mkdir(parents=True)
    text = "feedback_loop: {trigger: model_confidence < 1, labels: [a, b], budget: {per_day: 20}}"
    (tmp_path / "loops" / "mail" / "loop.yaml").write_text(text)
    assert run("migrate", LABELLOOP_LOOPS_DIR=str(tmp_path / "loops")).exit_code == 0
    rows = {row["loop"]: row["budget"] for row in json.loads(run("status", "--json").stdout)}
    assert rows == {"digits": None, "mail": "0 of 20 tasks today", "tickets": None}
    assert "0 of 20 tasks today" in run("status").stdout


def test_waiting_for_a_run_ignores_runs_that_judge_a_version_again(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def meanwhile(_: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < 4
        with Database(database_url) as db, db.transaction() as conn:
            [trains] = [one for one in runs.open_runs(conn, "digits") if one.judges is None]
            if looks == 1:
                assert (
                    runs.request_again(conn, trains.loop, trains.id, "the champion changed", seed=trains.seed)
                    is not None
                )
            else:
                assert runs.ask_to_stop(conn, trains.id, "ada")

    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=time.monotonic, sleep=meanwhile))
    done = json.loads(run("retrain", "--loop", "digits", "--wait", "--json").stdout)
    assert (done["status"], looks) == ("stopped", 2)


def test_a_retrain_is_asked_for_once(run: Run) -> None:
    first = json.loads(run("retrain", "--loop", "digits", "--json").stdout)
    again = json.loads(run("retrain", "--loop", "digits", "--json").stdout)
    assert len(first["run"]) == 36
    assert "merged" in again["run"]


def test_only_stopping_a_run_needs_a_name(run: Run) -> None:
    assert run("retrain", "--loop", "digits", USER="").exit_code == 0


def test_secrets_are_not_shown(run: Run, database_url: str) -> None:
    said = run("settings").stdout
    assert "an-intake-token" not in said
    assert database_url not in said
    assert ":***@" in said


@pytest.mark.parametrize(
    ("words", "more", "status", "says"),
    [
        (["versions", "--loop", "nothing"], {}, 2, "there are: digits, tickets"),
        (["versions"], {}, 2, "name a loop with --loop"),
        (["promote", "abc", "--loop", "digits", "--why", "test"], {}, 2, "no version begins with 'abc'"),
        (["promote", "abc", "--loop", "digits"], {}, 2, "--why"),
        (["retrain", "--loop", "digits", "--why", "\udcff"], {}, 2, "text cannot be stored: '\\udcff'"),
        (["token", "revoke", "\udcff"], {}, 2, "text cannot be stored"),
        (["refuse", "abc", "--loop", "digits", "--why", "test"], {}, 2, "'abc' names no run of digits that waits"),
        (["rollback", "--loop", "digits", "--why", "test"], {}, 2, ""),
        (["rollback", "--loop", "digits", "--why", "test"], {"USER": ""}, 2, "give --by NAME or set"),
        (
            ["promote", "abc", "--loop", "digits", "--why", "test"],
            {"USER": ""},
            2,
            "give --by NAME or set",
        ),
        (["retrain", "--loop", "digits", "--stop"], {"USER": ""}, 2, "give --by NAME or set"),
        (
            ["promote", "abc", "--loop", "digits", "--why", "t", "--by", "ann"],
            {"USER": ""},
            2,
            "no version begins with",
        ),
        (
            ["rollback", "--loop", "digits", "--why", "t"],
            {"USER": "", "LABELLOOP_BY": "ann"},
            2,
            "nothing to go back to",
        ),
        (["push"], {}, 2, "LABELLOOP_LABEL_STUDIO_URL"),
        (["status"], {"LABELLOOP_DATABASE_URL": ""}, 2, "LABELLOOP_DATABASE_URL"),
        (["status"], {"LABELLOOP_DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x"}, 1, "Postgres does not answer"),
        (["settings"], {"LABELLOOP_PULL_EVERY_S": "often"}, 2, "number of seconds"),
        (["submit", "/nonexistent"], {}, 2, "No such file"),
        (["demo", "--csv", __file__, "--text", "a", "--label", "b"], {}, 2, "cannot be read as CSV"),
        (["demo", "--loop", "nothing"], {}, 2, "the demo has: digits, tickets"),
        (["nothing"], {}, 2, "No such command"),
    ],
)
def test_a_usage_error_ends_with_2_and_a_failure_with_1(
    run: Run, words: list[str], more: dict[str, str], status: int, says: str
) -> None:
    result = run(*words, **more)
    assert (result.exit_code, result.stdout) == (status, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_without_our_tables_is_told_from_one_that_does_not_answer(run: Run, postgres_url: str) -> None:
    result = run("status", LABELLOOP_DATABASE_URL=postgres_url)
    assert result.exit_code == 2
    assert "labelloop migrate" in result.stderr

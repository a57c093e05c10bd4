"""`labelloop submit FILE` with the real service: every line of a file, or the good ones, and a report of the others."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from console.cli import main
from console.files.lines import Line
from console.files.send import send
from labelloop.client import Client
from labelloop.errors import Failed
from labelloop.process.settings import Settings
from labelloop.reading.ids import ProjectId
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.service import create_app
from tests.support.data.payloads import FOLDER, payload

SPEC = "feedback_loop: {trigger: model_confidence < 0.8, labels: [a, b], audit: 0, holdout: 0}"
JUDGED = "feedback_loop: {trigger: model_confidence < 0.8, labels: [approve, reject]}"
Submit = Callable[..., Result]


@pytest.fixture
def environ(database: Database, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a running service with the loops `pets` and `judged`."""
    with database.transaction() as conn:
        loops.register(conn, parse("pets", SPEC))
        loops.register(conn, parse("judged", JUDGED))
    server = make_server("127.0.0.1", 0, create_app(Settings(intake_token="secret"), database), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {
        "LABELLOOP_SYNC_URL": f"http://127.0.0.1:{server.port}",
        "LABELLOOP_INTAKE_TOKEN": "secret",
        "LABELLOOP_DATA_DIR": str(tmp_path),
    }
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def submit(environ: dict[str, str]) -> Submit:
    """Runs `labelloop submit` against that service."""
    return lambda *words, given=None, loop="pets": CliRunner().invoke(
        main, ["submit", "--loop", loop, *map(str, words)], env=environ, input=given
    )


def keys(database: Database) -> list[str]:
    with database.transaction() as conn:
        return [row["key"] for row in conn.execute("select key from outputs order by key").fetchall()]


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id,text,label,confidence", *rows]))
    return path


def ndjson(path: Path, count: int, **changed: object) -> Path:
    lines = [{"key": f"k{i:05}", "data": {"text": "x"}, "label": "a", "confidence": 0.5} for i in range(count)]
    for place, change in changed.items():
        lines[int(place[1:])].update(change)  # type: ignore[call-overload]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_csv_is_stored_and_a_second_time_adds_nothing(submit: Submit, database: Database, tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,one,a,0.9", "2,two,b,0.2")
    for new, known in ((2, 0), (0, 2)):
        result = submit(path, "--map", "key=id", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (
            0, {"new": new, "known": known, "refused": 0, "problems": []},
        )  # fmt: skip
    assert keys(database) == ["1", "2"]
    with database.transaction() as conn:
        assert conn.execute("select data from outputs where key = '1'").fetchone() == {"data": {"text": "one"}}


def test_the_end_of_a_submit_says_where_the_tasks_appear(
    submit: Submit, environ: dict[str, str], database: Database, tmp_path: Path
) -> None:
    at = "http://127.0.0.1:8080"
    file = tmp_path / "a.ndjson"
    assert submit(ndjson(file, 1)).stderr == "tasks appear in Label Studio within 10 s\n"
    environ |= {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_LABEL_STUDIO_URL": at}
    assert submit(ndjson(file, 2)).stderr == f"2 wait; tasks appear in Label Studio within 10 s: {at}\n"
    with database.transaction() as conn:
        projects.intend(conn, "pets", at, b"key")
        projects.made(conn, "pets", ProjectId(4), at)
    assert submit(ndjson(file, 3)).stderr == f"3 wait; tasks appear in Label Studio within 10 s: {at}/projects/4\n"
    assert submit(file).stderr == "", "nothing is new"


def test_nothing_of_a_file_is_sent_if_its_last_line_is_bad(submit: Submit, database: Database, tmp_path: Path) -> None:
    path = ndjson(tmp_path / "a.ndjson", 1200, _1199={"confidence": 7})
    result = submit(path)
    assert result.exit_code == 1
    assert "line 1200 (output 'k01199'): confidence: must lie between 0 and 1; it is 7" in result.stderr
    assert "1 line is refused; nothing is sent" in result.stderr
    assert keys(database) == []


def test_skip_bad_sends_the_good_ones_and_reports_the_others(
    submit: Submit, database: Database, tmp_path: Path
) -> None:
    path = ndjson(
        tmp_path / "a.ndjson",
        700,
        _3={"confidence": 7},
        _40={"label": "c"},
        _41={"label": "d"},
        _600={"key": "k00001"},
        _601={"key": "k00002", "label": "b"},
    )
    result = submit(path, "--skip-bad", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["new"], found["known"], found["refused"]) == (695, 1, 4)
    assert [(one["line"], one["field"]) for one in found["problems"]] == [
        (4, "confidence"), (41, "label"), (42, "label"), (602, "key"),
    ]  # fmt: skip
    assert "there are: a, b" in found["problems"][1]["message"]
    assert len(keys(database)) == 695


def test_a_line_that_only_the_intake_can_refuse_stops_and_tells_what_is_stored(
    submit: Submit, database: Database, tmp_path: Path
) -> None:
    result = submit(ndjson(tmp_path / "a.ndjson", 700, _650={"label": "c"}))
    assert result.exit_code == 1
    assert "Lines 501 to 700 are not stored, 500 outputs before them are" in result.stderr
    assert len(keys(database)) == 500


def test_all_lines_that_the_intake_refuses_are_named_and_nothing_of_them_is_stored(
    submit: Submit, database: Database, tmp_path: Path
) -> None:
    bad = {f"_{i}": {"label": "c"} for i in (0, 2, 3, 5)}
    result = submit(ndjson(tmp_path / "a.ndjson", 6, **bad))
    assert result.exit_code == 1
    named = [int(number) for number in re.findall(r"\bline (\d+): ", result.stderr)]
    assert named == [1, 3, 4, 6]
    assert "Lines 1 to 6 are not stored" in result.stderr
    many = submit(ndjson(tmp_path / "b.ndjson", 30, **{f"_{i}": {"label": "c"} for i in range(30)}))
    assert len(re.findall(r"\bline \d+: ", many.stderr)) == 20
    assert "and 10 more lines" in many.stderr
    assert keys(database) == []


def test_a_file_for_another_loop_is_not_tried_line_by_line(submit: Submit, database: Database, tmp_path: Path) -> None:
    path = ndjson(tmp_path / "a.ndjson", 3000, **{f"_{i}": {"label": "c"} for i in range(3000)})
    result = submit(path, "--skip-bad")
    assert result.exit_code == 1
    assert "all of the first 100 lines are refused" in result.stderr
    assert keys(database) == []


def test_standard_input_is_sent_up_to_a_bad_line(submit: Submit, database: Database, tmp_path: Path) -> None:
    text = ndjson(tmp_path / "a.ndjson", 700, _650={"confidence": 7}).read_text()
    result = submit("-", given=text)
    assert result.exit_code == 1
    assert "line 651 (output 'k00650')" in result.stderr
    assert "Lines 501 to 651 are not sent, 500 outputs before are stored" in result.stderr
    assert len(keys(database)) == 500
    assert submit("-", "--skip-bad", given=text).exit_code == 1
    assert len(keys(database)) == 699


def test_spans_are_submitted_from_a_file_and_from_standard_input(submit: Submit, database: Database) -> None:
    path = FOLDER / "otlp_current.json"
    result = submit(path, "--from", "otlp", loop="judged")
    assert result.exit_code == 0, result.output
    assert keys(database) == ["5b8efff798038103d269b633813fc60c/eee19b7ec3c1b174"]
    again = submit("-", "--from", "otlp", "--json", given=path.read_text(), loop="judged")
    assert json.loads(again.stdout)["known"] == 1
    assert "no span is a call of a model" not in again.stderr
    web = path.read_text().replace("gen_ai.", "http.")
    none = submit("-", "--from", "otlp", "--json", given=web, loop="judged")
    assert (none.exit_code, json.loads(none.stdout)["refused"]) == (0, 0)
    assert "no span is a call of a model: such a span has gen_ai.operation.name" in none.stderr
    wrong = submit(path, "--from", "otlp", "--label", "good", loop="judged")
    assert wrong.exit_code == 1
    assert "no such label 'good'; there are: approve, reject" in wrong.stderr


def test_a_batch_of_chat_completions_is_stored_with_the_labels_of_the_form(
    submit: Submit, database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loops.register(conn, parse("tickets", SPEC.replace("[a, b]", "[billing, delivery, other]")))
    sure = payload("chat_completions.json")["sure"]
    answers, questions = tmp_path / "answers.jsonl", tmp_path / "questions.jsonl"
    for i in range(3):
        status = 200 if i else 429
        line = {"custom_id": f"r{i}", "response": {"status_code": status, "body": sure if i else {}}, "error": None}
        body = {"messages": [{"role": "user", "content": f"Where is parcel {i}?"}]}
        for path, row in ((answers, line), (questions, {"custom_id": f"r{i}", "body": body})):
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
    words = (answers, "--from", "openai", "--requests", questions, "--json")
    refused = submit(*words, loop="tickets")
    assert (refused.exit_code, keys(database)) == (1, [])
    for new, known in ((2, 0), (0, 2)):
        found = json.loads(submit(*words, "--skip-bad", loop="tickets").stdout)
        assert (found["new"], found["known"], found["refused"]) == (new, known, 1)
    assert (found["problems"][0]["line"], found["problems"][0]["key"]) == (1, "r0")
    with database.transaction() as conn:
        rows = conn.execute(
            "select key, data ->> 'text' as text, label, state::text from outputs order by key"
        ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        (f"r{i}", f"Where is parcel {i}?", "billing", "passed") for i in (1, 2)
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a FILE; - is standard input"),
        (["/nonexistent"], "No such file"),
        (["a.csv", "--map", "lable=x"], "did you mean 'label'"),
        (["--from", "mlflow"], "needs --tracking-uri"),
        (["a.csv", "--from", "mlflow"], "takes no FILE"),
        (["a.csv", "--experiment", "x"], "need --from mlflow"),
        (["a.json", "--from", "otlp", "--map", "key=id"], "traces have no columns"),
    ],
)
def test_a_usage_error_is_told_in_words(submit: Submit, words: list[str], says: str) -> None:
    result = submit(*words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_submit_that_is_interrupted_tells_what_is_stored(environ: dict[str, str], database: Database) -> None:
    def lines(count: int) -> Iterator[Line]:
        for i in range(count):
            yield i + 1, json.dumps({"key": f"{i:03}", "data": {"text": "x"}, "label": "a"}).encode()
        if count < 700:
            raise KeyboardInterrupt

    with Client(environ["LABELLOOP_SYNC_URL"], environ["LABELLOOP_INTAKE_TOKEN"]) as client:
        with pytest.raises(Failed, match="interrupted: at least 500 outputs are stored"):
            send(client, lines(600), "pets", skip_bad=False)
        assert len(keys(database)) == 500
        again = send(client, lines(700), "pets", skip_bad=False)
    assert (again.new, again.known) == (200, 500)


def test_init_from_a_file_registers_the_loop_and_submits_it_if_the_services_run(
    environ: dict[str, str], database: Database, tmp_path: Path
) -> None:
    words = ["init", "mail", "--from", str(table(tmp_path / "mail.csv", "1,one,a,0.9", "2,two,b,0.2"))]
    words += ["--text", "text", "--label", "label", "--confidence", "confidence", "--key", "id"]
    env = {**environ, "LABELLOOP_LOOPS_DIR": str(tmp_path / "loops")}
    result = CliRunner().invoke(main, words, env={**env, "LABELLOOP_DATABASE_URL": database.url})
    assert result.exit_code == 0, result.output
    assert re.search(r"submitted 2 outputs\n\d wait; tasks appear in Label Studio within", result.stderr)
    assert keys(database) == ["1", "2"]
    other = CliRunner().invoke(
        main, [*words, "--loops-dir", str(tmp_path / "other")], env={**env, "LABELLOOP_DATABASE_URL": database.url}
    )
    assert other.exit_code == 2
    assert "the services have a loop 'mail' already" in other.stderr
    assert not (tmp_path / "other").exists()
    with database.transaction() as conn:
        found = loops.get(conn, "mail")
    assert found is not None
    assert found.labels == ("a", "b")

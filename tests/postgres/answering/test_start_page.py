"""A stranger follows docs/pipelines/start.md: commands and programs run as they stand there, into a real service."""

from __future__ import annotations

import re
import shlex
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from console.cli import main
from labelloop import Client
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from tests.support.data.payloads import payload
from tests.support.hops.answered import answer
from tests.support.network.sync_service import TOKEN, running
from tests.support.servers import a_database

PAGE = (Path(__file__).parents[3] / "docs" / "pipelines" / "start.md").read_text()
SECTIONS = {title: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for title, text in re.findall(
    r"^##+ (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)}  # fmt: skip
INITS = re.findall(r"`(labelloop init [^`]+)`", PAGE)
TEXTS = ["Where is my parcel?", "My invoice is wrong."]
TABLE = """\
id;body;predicted;score
1;"Where is my parcel?
It was sent on Monday.";delivery;0.55
2;My invoice is wrong.;billing;
3;Hello;other;0.99
"""


@pytest.fixture
def database(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Database]:
    """The database of a running service without any loop, in the environment of a program in an empty folder."""
    with a_database(postgres_url, f"labelloop_start_{uuid.uuid4().hex[:12]}") as url:
        migrate(url)
        with Database(url) as database, running(url, tmp_path_factory.mktemp("service")) as address:
            monkeypatch.chdir(tmp_path)
            monkeypatch.delenv("LABELLOOP_LOOPS_DIR", raising=False)
            for name, value in {
                "LABELLOOP_SYNC_URL": address,
                "LABELLOOP_INTAKE_TOKEN": TOKEN,
                "LABELLOOP_DATABASE_URL": url,
                "LABELLOOP_DATA_DIR": str(tmp_path / "none"),
            }.items():
                monkeypatch.setenv(name, value)
            yield database


def shell(line: str) -> Result:
    program, *words = shlex.split(line)
    assert program == "labelloop"
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result


def run(title: str, names: dict[str, Any]) -> None:
    for code in SECTIONS[title]:
        exec(code, names)


def test_a_table_is_one_command(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tickets.csv").write_bytes(TABLE.encode("utf-8-sig"))  # as a spreadsheet writes it
    assert "submitted 3 outputs" in shell(INITS[0]).stderr
    client = Client()
    status = client.get(1)
    assert status is not None
    assert (status.model_label, status.model_confidence, status.will_be_asked) == ("delivery", 0.55, True)
    answered(database, {"client": client, "key": 1}, capsys)
    exported = shell(re.findall(r"^labelloop export.*$", PAGE, re.MULTILINE)[0])
    assert exported.stdout.startswith("loop,key,")


def answered(database: Database, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    person = threading.Timer(0.3, answer, (database, "tickets", str(names["key"]), "other"))
    person.start()
    run("4. The task and the answer", names)
    person.join()
    assert capsys.readouterr().out == "answered other\n"


def test_each_program_of_the_page_submits_and_gets_its_answer(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    shell(INITS[1])
    words, labels = ["invoice", "parcel", "hello"] * 10, ["billing", "delivery", "other"] * 10
    found, completions = payload("text_classification.json"), payload("chat_completions.json")
    names: dict[str, Any] = {
        "model": make_pipeline(CountVectorizer(), LogisticRegression()).fit(words, labels),
        "frame": pd.DataFrame({"id": [101, 102], "text": TEXTS}),
        "classifier": lambda texts, top_k: found["top_k_none"],
        "completions": [completions["sure"], completions["refusal"]],
        "predictions": pd.DataFrame(
            {"id": [201, 202], "body": TEXTS, "predicted": ["delivery", "other"], "score": [0.6, None]}
        ),
        "texts": TEXTS,
    }
    run("scikit-learn", names)
    assert capsys.readouterr().out.startswith("2 new, 0 known, ")
    run("scikit-learn", names)
    assert capsys.readouterr().out.startswith("0 new, 2 known, ")
    run("Hugging Face", names | {"keys": ["hf/1", "hf/2"]})
    run("OpenAI-style completions", names | {"keys": ["chat/1", "chat/2"]})
    run("A DataFrame of predictions", names)
    client = Client()
    for key in (101, 102, "hf/1", "hf/2", "chat/1", "chat/2", 201, 202):
        assert client.get(key) is not None, key
    unsure = client.get(202)
    assert unsure is not None
    assert (unsure.model_confidence, unsure.will_be_asked) == (None, True)
    answered(database, {"client": client, "key": 202}, capsys)


def test_texts_of_a_language_model_have_a_template(database: Database) -> None:
    assert "labelloop submit " in shell(INITS[2]).stderr
    samples = "labeling_configs/answers/samples.ndjson"
    assert '"new": 10' in shell(f"labelloop submit {samples} --json").stdout

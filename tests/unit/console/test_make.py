"""`labelloop init`: each template is a loop whose samples are taken in, and a table becomes a loop with its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from console.files.label_studio import installed, mended
from console.files.templates import FOLDER, SAMPLES, names
from console.local.folder import held
from labelloop.adapters import mlflow, otlp
from labelloop.spec.folder import load
from sync.intake import taking
from tests.support.data.payloads import payload

TABLE = "nr,body,pred,sure\n1,Where is it?,delivery,0.7\n2,My invoice,billing,0.9\n3,Hm,other,\n"


def init(tmp_path: Path, *words: str, **env: str) -> Result:
    none = {"LABELLOOP_DATABASE_URL": "", "LABELLOOP_DATA_DIR": str(tmp_path / "none"), "LABELLOOP_LOOPS_DIR": ""}
    return CliRunner().invoke(main, ["init", "--loops-dir", str(tmp_path / "loops"), *words], env=none | env)


def table(tmp_path: Path, text: str = TABLE) -> str:
    path = tmp_path / "tickets.csv"
    path.write_text(text)
    return str(path)


def taken(folder: Path, file: str) -> taking.Batch:
    lines = (folder / file).read_bytes().splitlines()
    return taking.read(load(folder), enumerate(lines, start=1))


def test_init_beside_an_up_that_is_starting_does_not_say_to_start_one(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "labelloop up" in init(tmp_path, "one", "--template", names()[0]).stderr
    with held(tmp_path / "none"):
        assert "labelloop up" not in init(tmp_path, "two", "--template", names()[0]).stderr


def test_the_templates_are_listed_with_what_people_answer(tmp_path: Path) -> None:
    listed = init(tmp_path, "--templates").stdout.splitlines()
    assert [line.split()[0] for line in listed] == names()
    assert all(len(line.partition("  ")[2].split()) >= 4 for line in listed)
    assert "labels.xml" not in "".join(listed)
    assert "Are the boxes of a detector right?" in listed[names().index("boxes")]


def test_only_one_source_of_a_loop_can_be_named(tmp_path: Path) -> None:
    done = init(tmp_path, "two", "--template", "questions", "--labels", "a,b")
    assert done.exit_code == 2
    assert "--template and --labels are given, and a loop is made from one of them" in done.stderr
    assert "name a --template" in init(tmp_path, "none").stderr


@pytest.mark.parametrize("template", names())
def test_every_template_is_a_loop_whose_samples_are_taken_in(tmp_path: Path, template: str) -> None:
    result = init(tmp_path, "my-loop", "--template", template)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    folder = tmp_path / "loops" / "my-loop"
    assert f"labelloop submit {folder / SAMPLES} --loop my-loop" in result.stderr
    batch = taken(folder, SAMPLES)
    samples = len((folder / SAMPLES).read_bytes().splitlines())
    assert (batch.invalid, batch.conflicts, len(batch.rows)) == ([], [], samples)
    assert samples >= 3
    assert any(row.placement.triggered for row in batch.rows.values())
    assert {row.placement.label for row in batch.rows.values()} - {None}
    assert "# " in (folder / "loop.yaml").read_text()
    env = {"LABELLOOP_LOOPS_DIR": str(tmp_path / "loops"), "LABELLOOP_DATABASE_URL": ""}
    checked = CliRunner().invoke(main, ["spec", "check"], env=env)
    assert (checked.exit_code, "no mistake in 1 loop" in checked.output) == (0, True), checked.output
    tried = CliRunner().invoke(main, ["try", str(folder / SAMPLES), "--loop", "my-loop"], env=env)
    assert tried.exit_code == 0, tried.output
    assert f"of {samples} outputs would be asked" in tried.output


@pytest.mark.parametrize(
    ("template", "label"), [("dialogue", "approve"), ("text-review", "approve"), ("rag", "supported")]
)
def test_traces_fit_the_templates_for_language_models(template: str, label: str) -> None:
    made = [
        *otlp.outputs(payload("otlp_current.json"), label=label),
        *mlflow.outputs([payload("mlflow_trace.json")], label=label),
    ]
    lines = [(n, json.dumps(one.to_json()).encode()) for n, one in enumerate(made, start=1)]
    batch = taking.read(load(FOLDER / template), lines)
    assert (batch.invalid, len(batch.rows)) == ([], 2)


def test_a_template_that_does_not_exist_is_told_with_the_nearest(tmp_path: Path) -> None:
    result = init(tmp_path, "x", "--template", "clasify")
    assert result.exit_code == 2
    assert "no template 'clasify'; did you mean 'classify'? there are: audio-segments, boxes, " in result.stderr
    assert not (tmp_path / "loops" / "x").exists()


def test_a_table_becomes_a_loop_with_its_labels_and_outputs(tmp_path: Path) -> None:
    columns = ("--text", "body", "--label", "pred", "--confidence", "sure")
    result = init(tmp_path, "tickets", "--from", table(tmp_path), *columns)
    assert result.exit_code == 0, result.output
    assert "labelloop up" in result.stderr
    folder = tmp_path / "loops" / "tickets"
    assert load(folder).labels == ("billing", "delivery", "other")
    batch = taken(folder, "outputs.ndjson")
    assert batch.invalid == []
    assert list(batch.rows) == ["tickets/2", "tickets/3", "tickets/4"], "the lines of the file"
    assert [row.placement.confidence for row in batch.rows.values()] == [0.7, 0.9, None]
    assert dict(batch.rows["tickets/2"].output.data) == {"text": "Where is it?"}
    keyed = init(tmp_path, "keyed", "--from", table(tmp_path, TABLE.replace("nr,", "key,")), *columns)
    assert keyed.exit_code == 0
    assert list(taken(tmp_path / "loops" / "keyed", "outputs.ndjson").rows) == ["1", "2", "3"]
    assert "is read once" in init(tmp_path, "piped", "--from", "-", *columns).stderr
    named = init(tmp_path, "named", "--from", table(tmp_path), *columns, "--key", "nr")
    assert named.exit_code == 0
    assert list(taken(tmp_path / "loops" / "named", "outputs.ndjson").rows) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "words", "status", "says"),
    [
        (TABLE, ["--text", "bdy", "--label", "pred"], 2, "--text bdy: no column 'bdy'; did you mean 'body'"),
        (TABLE, ["--text", "body"], 2, "--from needs --text and --label"),
        (TABLE, ["--text", "body", "--label", "pred", "--template", "rag"], 2, "--template and --from are given"),
        (TABLE.replace("0.9", "9"), ["--text", "body", "--label", "pred", "--confidence", "sure"], 1, "line 3"),
        (TABLE.replace("0.9", "9"), ["--text", "body", "--label", "pred", "--confidence", "sure"], 1, "1 row of"),
        ("body,pred\nx,a\ny,a\n", ["--text", "body", "--label", "pred"], 2, "there is 1 label; a loop"),
        (
            "body,pred\n" + "".join(f"x{i},label {i}\n" for i in range(300)),
            ["--text", "body", "--label", "pred"], 2, "300 different values in 300 rows are no labels",
        ),
        ("body,pred\nx,a\ny, \n", ["--text", "body", "--label", "pred"], 2, "a label is 1 to 200 visible characters"),
        ("body,pred\nx,a\ny,$b\n", ["--text", "body", "--label", "pred"], 2, "no loop is made"),
    ],
)  # fmt: skip
def test_a_loop_that_cannot_be_made_leaves_no_folder(
    tmp_path: Path, text: str, words: list[str], status: int, says: str
) -> None:
    result = init(tmp_path, "tickets", "--from", table(tmp_path, text), *words)
    assert result.exit_code == status, result.output
    assert says in result.stderr
    assert not list(tmp_path.glob("loops/*")) or not any(tmp_path.glob("loops/**/*"))


@pytest.mark.parametrize("name", ["Tickets", "1st", "a b", "", "x" * 42, "a/b", "..", "x\n"])
def test_a_name_that_no_loop_can_have_is_refused(tmp_path: Path, name: str) -> None:
    result = init(tmp_path, name, "--template", "classify")
    assert result.exit_code == 2


def test_a_loop_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    assert init(tmp_path, "x", "--template", "classify").exit_code == 0
    before: dict[str, Any] = {file.name: file.read_text() for file in (tmp_path / "loops" / "x").iterdir()}
    again = init(tmp_path, "x", "--template", "rag")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert {file.name: file.read_text() for file in (tmp_path / "loops" / "x").iterdir()} == before


def test_a_loop_for_a_program_has_the_labels_of_its_model(tmp_path: Path) -> None:
    result = init(tmp_path, "tickets", "--labels", "billing, delivery,other")
    assert result.exit_code == 0, result.output
    spec = load(tmp_path / "loops/tickets")
    assert spec.labels == ("billing", "delivery", "other")
    assert "$labelloop_why" in spec.labels_xml, "a task says why it is one, as in the templates"
    assert 'Client(loop="tickets").submit(' in result.stderr
    assert [file.name for file in (tmp_path / "loops/tickets").iterdir()] == ["loop.yaml"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [("a", "--labels: there is 1 label; a loop needs at least two"), ("a,b,a", "--labels: 'a' is named twice")],
)
def test_labels_that_make_no_loop_are_refused(tmp_path: Path, labels: str, words: str) -> None:
    result = init(tmp_path, "tickets", "--labels", labels)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "loops").exists() or not list((tmp_path / "loops").iterdir())


def test_a_key_with_two_bodies_is_refused_before_a_loop_is_made(tmp_path: Path) -> None:
    file = table(tmp_path, TABLE + "1,Where is it?,delivery,0.7\n2,Another text,billing,0.9\n")
    words = ["--from", file, "--text", "body", "--label", "pred", "--confidence", "sure", "--key", "nr"]
    result = init(tmp_path, "twice", *words)
    assert result.exit_code == 1
    assert "line 6 (output '2'): key: line 3 has this key too, with another body" in result.stderr
    assert not (tmp_path / "loops" / "twice").exists()
    (tmp_path / "tickets.csv").write_text(TABLE + "1,Where is it?,delivery,0.7\n")
    assert init(tmp_path, "twice", *words).exit_code == 0, "the same row twice is one output"


def test_the_folder_of_a_new_loop_is_that_which_the_services_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/settings.env").write_text(f"LABELLOOP_LOOPS_DIR={tmp_path}/theirs\n")
    env = {"LABELLOOP_DATA_DIR": str(tmp_path / "data"), "LABELLOOP_LOOPS_DIR": None}
    result = CliRunner().invoke(main, ["init", "tickets", "--labels", "a,b"], env=env)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "theirs/tickets/loop.yaml").is_file()


@pytest.mark.parametrize("template", ["named-entity-recognition", "LLM Ranker", "chatbot-evaluation"])
def test_a_loop_is_made_from_a_template_of_label_studio(tmp_path: Path, template: str) -> None:
    if not installed():
        pytest.skip("Label Studio is not installed")
    result = init(tmp_path, "my-loop", "--from-label-studio-template", template)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "loops" / "my-loop"
    assert load(folder).overlap == 1
    if (folder / SAMPLES).exists():
        batch = taken(folder, SAMPLES)
        assert (batch.invalid, len(batch.rows)) == ([], 1)
    else:
        assert "Chat" in (folder / "labels.xml").read_text()  # its answer is kept as it is, and has no sample


def test_a_template_that_label_studio_does_not_have_is_told_with_the_nearest(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("Label Studio is not installed")
    result = init(tmp_path, "x", "--from-label-studio-template", "named-entity-recognitoin")
    assert result.exit_code == 2
    assert "did you mean 'named-entity-recognition'?" in result.stderr


def test_a_label_that_a_template_has_twice_gets_a_number() -> None:
    choices = "".join(f'<Choice value="{label}"/>' for label in ("One", "Two", "Two"))
    twice = f'<View><Choices name="c" toName="t">{choices}</Choices></View>'
    assert '<Choice value="Two (2)"/>' in mended(twice)
    assert mended(twice).count('value="Two"') == 1
    assert mended(NESTED) == NESTED


NESTED = """<Choices allowNested="true"><Choice value="a"><Choice value="x"/></Choice>
<Choice value="b"><Choice value="x"/></Choice></Choices>"""

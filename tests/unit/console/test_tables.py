"""Tables: NDJSON and CSV as Windows, spreadsheets and pipelines write them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.cli import main as cli
from console.demo.items import texts
from console.simulate import files
from labelloop.errors import UsageError
from labelloop.reading.tables import contradictions, outputs_of, rows_of

LINE = '{"key": "k1", "data": {"text": "Grüße"}, "label": "a", "confidence": 0.5}\r\n'
TABLE = "subject{0}queue\r\nGrüße, viele{0}delivery\r\n\r\nRechnung{0}billing\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_ndjson_with_and_without_a_mark_is_read_by_itself(encoding: str) -> None:
    found = list(outputs_of(io.BytesIO((LINE + LINE).encode(encoding)), "a.ndjson"))
    assert found == [LINE.encode()] * 2


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be"])
def test_what_no_mark_tells_is_read_by_encoding_and_its_absence_is_told(encoding: str) -> None:
    raw = (LINE + LINE).encode(encoding)
    with pytest.raises(UsageError, match=f"pass --encoding {encoding}") as caught:
        list(outputs_of(io.BytesIO(raw), "a.ndjson"))
    if encoding == "cp1252":
        assert "a.ndjson, line 1: the byte 0xFC is not UTF-8" in str(caught.value)
        assert "'Grüße'" in str(caught.value), "the word as it would be read"
    assert list(outputs_of(io.BytesIO(raw), "a.ndjson", encoding)) == [LINE.encode()] * 2


def test_standard_input_is_read_as_it_comes() -> None:
    read, write = os.pipe()
    os.write(write, LINE.encode("utf-16"))
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert list(outputs_of(file, "-")) == [LINE.encode()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("key;label\n1;a\n", "is not NDJSON: its first line is 'key;label'"),
        ('[{"key": "a"}]', "is a JSON list; submit takes one object a line"),
    ],
)
def test_another_format_is_told_by_its_beginning(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list(outputs_of(io.BytesIO(text.encode()), "a.json"))


@pytest.mark.parametrize("encoding", ["no-such", "zlib"])
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    with pytest.raises(UsageError, match="--encoding is"):
        list(outputs_of(io.BytesIO(b"{}"), "a", encoding))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_of_a_spreadsheet_is_read(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    text = TABLE.format(separator).replace("Grüße, viele", '"Grüße, viele"')
    path.write_bytes(text.encode(encoding))
    wanted = [{"subject": "Grüße, viele", "queue": "delivery"}, {"subject": "Rechnung", "queue": "billing"}]
    assert rows_of(path) == wanted
    path.write_bytes(("sep=" + separator + "\r\n" + text).encode(encoding))
    assert rows_of(path) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2,3\n", r"line 2 has 3 fields, the first line 2 \(separator ','\)"),
        ('a,b\n1,"2\n', "cannot be read as CSV: line 2: unexpected end of data"),
        ("a,a\n1,2\n", "two columns are named 'a'"),
        ("\n\n", "it is empty"),
        ("\n\na,b\n1,2,3\n", "line 4 has 3 fields, the first line 2"),
        ("sep=;\n\na;b\n1;2;3\n", "line 4 has 3 fields, the first line 2"),
        ("a,b\r1,2\r", "its lines end in CR"),
    ],
)
def test_a_csv_that_is_none_is_refused_with_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    with pytest.raises(UsageError, match=words):
        rows_of(path)


def test_texts_with_two_labels_are_counted_and_said(tmp_path: Path) -> None:
    assert contradictions([("a", "x"), ("a", "y"), ("b", "x"), ("b", "x"), ("c", "y")]) == 1
    path = tmp_path / "a.csv"
    words = [f"parcel {i};delivery\ninvoice {i};billing" for i in range(40)]
    path.write_bytes("\n".join(["text;label", *words, "parcel 1;billing"]).encode("cp1252"))
    assert files.read(path).contradicted == 1
    found = texts(path, "text", "label", "text", seed=0)
    assert found.contradicted == 1
    assert found.truth_of()["a-000002"] == "billing", "of the last row"
    said = CliRunner().invoke(cli, ["simulate", "--data", str(path), "--batch", "10", "--seeds", "1", "--budget", "20"])
    assert "1 items have two or more labels in the file" in said.output.replace("\n", " ")


def test_simulate_reads_a_nested_field_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = '{{"doc": {{"text": "{0} {1}"}}, "label": "{0}"}}\n'
    path.write_text("".join(row.format(label, i) for i in range(40) for label in ("a", "b")), encoding="utf-8-sig")
    found = files.read(path, "doc.text")
    assert (len(found.pool) + len(found.test), found.field) == (80, "doc.text")


def test_a_mark_at_the_beginning_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nä,b\n".encode("utf-16"))
    order = "utf-16-le" if path.read_bytes().startswith(b"\xff\xfe") else "utf-16-be"
    assert rows_of(path, order) == rows_of(path) == [{"text": "ä", "label": "b"}]


def test_json_that_nests_too_deeply_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' + "[" * 100_000)
    with pytest.raises(UsageError, match="line 2: "):
        rows_of(path)


def test_the_demo_leaves_out_rows_of_json_without_a_text_or_a_label(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [f'{{"text": "{y} {i}", "label": "{y}"}}' for i in range(30) for y in ("a", "b")]
    path.write_text("\n".join([*rows, '{"text": "no label"}', '{"text": null, "label": "a"}']))
    assert sorted(texts(path, "text", "label", "text", seed=0).truth) == ["a"] * 30 + ["b"] * 30


@pytest.mark.parametrize("encoding", ["klingon", "undefined"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UsageError, match=f"--encoding is '{encoding}'; use one such as utf-8"):
        list(outputs_of(io.BytesIO(LINE.encode()), "a.ndjson", encoding))

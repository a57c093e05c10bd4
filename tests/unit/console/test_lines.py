"""Files of every kind become the lines that are sent, and a line that cannot be sent is told by itself."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from console.files.lines import Refused, Source
from labelloop.errors import UsageError
from tests.support.data.payloads import FOLDER, payload

CSV = "id,body,pred,score\n1,Grüße,a,0.7\n2,two,b,0.2\n"
MAP = {"key": "id", "data.text": "body", "label": "pred", "confidence": "score"}
WANTED = [
    {"key": "1", "data": {"text": "Grüße"}, "label": "a", "confidence": 0.7},
    {"key": "2", "data": {"text": "two"}, "label": "b", "confidence": 0.2},
]


def read(path: Path | str, **options: Any) -> tuple[list[Any], list[Refused]]:
    good: list[Any] = []
    bad: list[Refused] = []
    for _, line in Source(str(path), **options).lines():
        if isinstance(line, Refused):
            bad.append(line)
        else:
            good.append(json.loads(line))
    return good, bad


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.CSV", "a.csv.gz", "a.ndjson", "a.jsonl.gz", "a.parquet"])
def test_every_kind_of_file_gives_the_same_outputs(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rows = [
        {"id": n, "body": b, "pred": p, "score": s} for n, b, p, s in ((1, "Grüße", "a", 0.7), (2, "two", "b", 0.2))
    ]
    if "parquet" in name:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        text = CSV.replace(",", "\t") if "tsv" in name else CSV
        if "json" in name:
            text = "\n".join(map(json.dumps, rows))
        write(path, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    assert read(path, map=MAP) == (WANTED, [])


def test_nested_objects_of_json_lines_are_mapped_by_their_path(tmp_path: Path) -> None:
    line = {"id": "1", "doc": {"body": "x"}, "model": {"label": "a", "score": 0.7}}
    path = write(tmp_path / "a.jsonl", json.dumps(line))
    maps = {"key": "id", "data.text": "doc.body", "label": "model.label", "confidence": "model.score"}
    assert read(path, map=maps)[0] == [{"key": "1", "data": {"text": "x"}, "label": "a", "confidence": 0.7}]


def test_a_bad_row_is_told_with_its_line_key_and_field(tmp_path: Path) -> None:
    text = 'id,body,pred,score\n1,"a\nb",a,0.7\n2,two,b,high\n3,x,a,0.1,extra\n4,y,a,1.7\n,z,a,0.5\n'
    good, bad = read(write(tmp_path / "a.csv", text), map=MAP)
    assert [one["key"] for one in good] == ["1"]
    assert [(one.line, one.key, one.field) for one in bad] == [
        (4, "2", "confidence"), (5, None, ""), (6, "4", "confidence"), (7, None, "key"),
    ]  # fmt: skip
    assert "has 5 fields, the first line 4" in bad[1].message


def test_a_bad_line_of_json_is_told_in_the_same_way(tmp_path: Path) -> None:
    lines = [
        json.dumps(WANTED[0]),
        "",
        "{broken",
        json.dumps({**WANTED[1], "confidence": 7}),
        "[1]",
        '{"key": "\\ud800"}',
    ]
    good, bad = read(write(tmp_path / "a.ndjson", "\n".join(lines)))
    assert [one["key"] for one in good] == ["1"]
    assert [(one.line, one.key, one.field) for one in bad][:3] == [(3, None, ""), (4, "2", "confidence"), (5, None, "")]
    assert len(bad) == 4


def test_export_requests_are_read_a_line_each_or_as_one_document(tmp_path: Path) -> None:
    key = "5b8efff798038103d269b633813fc60c/eee19b7ec3c1b174"
    good, bad = read(FOLDER / "otlp_current.json", otlp_label="approve")
    assert ([one["key"] for one in good], bad) == ([key], [])
    line = json.dumps(payload("otlp_current.json"))
    for text, wanted in (
        (f"{line}\n{line[:50]}", [2]),
        (f"{line}\n\n{{}}\n", [3]),
        (f"{line[:50]}\n{line}\n", [1]),
    ):
        good, bad = read(write(tmp_path / "a.jsonl", text), otlp_label="approve")
        assert ([one["key"] for one in good], [one.line for one in bad]) == ([key], wanted)
    assert "may be cut" in read(write(tmp_path / "a.jsonl", line[:50]), otlp_label="approve")[1][0].message
    told = [one.message for one in read(write(tmp_path / "a.csv", "id,text\n1,x\n2,y\n\n"), otlp_label="approve")[1]]
    assert [words.startswith("is not JSON") for words in told] == [True] * 3
    assert ["may be cut" in words for words in told] == [False, False, True]
    assert read(write(tmp_path / "a.jsonl", ""), otlp_label="approve") == ([], [])


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.BufferedReader(io.BytesIO(json.dumps(WANTED[0]).encode()))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=given))
    assert read("-") == ([WANTED[0]], [])
    assert not Source("-").can_be_read_twice


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", b"id,body\n", "cannot be read as gzip"),
        ("b.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:30], "cannot be read as gzip"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
        ("a.parquet.gz", b"", "is compressed by itself"),
        ("a.csv", b"", "it is empty"),
        ("b.csv", b"id,b\xfcdy\n1,x\n", "line 1: the byte 0xFC is not UTF-8.* pass --encoding cp1252"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(write(tmp_path / name, content), map=MAP)


def test_a_byte_that_is_not_in_the_encoding_costs_its_line_or_its_row_and_no_other(tmp_path: Path) -> None:
    lines = ["1,one,a,0.7", '2,"Gr\xfc\n\xdfe",a,0.7', "3,\xfc,a,0.7", "4,four,a,0.7", ""]
    text = "\n".join(["id,body,pred,score", *lines])
    good, bad = read(write(tmp_path / "a.csv", text.encode("cp1252")), map=MAP)
    assert [one["key"] for one in good] == ["1", "4"]
    assert [(one.line, one.message.count("is not UTF-8")) for one in bad] == [(4, 2), (5, 1)]
    assert ["--encoding cp1252" in one.message for one in bad] == [True, False], "the advice is given once"
    wanted = [json.dumps({**WANTED[1], "key": key}) for key in "123"]
    path = write(tmp_path / "a.ndjson", "\n".join(wanted).encode().replace(b'"2"', b'"\xff"'))
    for columns in ({}, {"key": "key"}):
        good, bad = read(path, map=columns)
        assert [one["key"] for one in good] == ["1", "3"]
        assert [one.line for one in bad] == [2]
        assert "the byte 0xFF is not UTF-8" in bad[0].message
    strings = pyarrow.array([b"1", b"\xff", b"3"], pyarrow.binary()).view(pyarrow.string())
    rows = pyarrow.table({"id": strings, "body": ["x"] * 3, "pred": ["a"] * 3, "score": [0.5] * 3})
    parquet.write_table(rows, tmp_path / "a.parquet")
    good, bad = read(tmp_path / "a.parquet", map=MAP)
    assert ([one["key"] for one in good], [one.line for one in bad]) == (["1", "3"], [2])
    assert "is not UTF-8" in bad[0].message
    days = pyarrow.array([0, 253_402_300_800_000], pyarrow.timestamp("ms"))
    rows = pyarrow.table({"id": ["1", "2"], "body": ["x"] * 2, "pred": ["a"] * 2, "score": [0.5] * 2, "at": days})
    parquet.write_table(rows, tmp_path / "a.parquet")
    assert [one.line for one in read(tmp_path / "a.parquet", map=MAP)[1]] == [2], "no time of Python"


def test_a_file_that_is_missing_is_told() -> None:
    for name in ("/nonexistent", "/nonexistent.parquet"):
        with pytest.raises(UsageError, match=f"{name}: No such file"):
            read(name)


def test_the_bytes_of_a_file_are_counted_and_those_of_a_pipe_are_unknown(tmp_path: Path) -> None:
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in WANTED]
    source = Source(str(write(tmp_path / "a.ndjson", "".join(lines))))
    told: list[int] = []
    assert len(list(source.lines(told.append))) == 2
    assert told == [len(lines[0].encode()), source.size]
    assert Source("-").size == 0


def test_no_row_is_left_out_although_the_first_thousands_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ndjson", "{\n" * 2_500 + '{"id": "a", "body": "x", "pred": "b"}\n')
    good, bad = read(path, map={"key": "id", "data.text": "body", "label": "pred"})
    assert (len(good), len(bad)) == (1, 2_500)

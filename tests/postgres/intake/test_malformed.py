"""Each malformed case by each way in that takes files or requests, alone and as the middle line of a batch.

Kafka, RabbitMQ and the table outbox have the same test beside their others; `test_malformed_traces.py` has traces.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pyarrow
import pytest
from pyarrow import parquet

from tests.support.data.malformed import AT, MALFORMED, VALUES, body
from tests.support.network.doors import SPEC, Doors

NO_LINE = {"nothing", "blanks", "two lines"}
"""Cases that are no malformed line: blank lines, and two valid ones."""
WHOLE_FILES = {*NO_LINE, "a byte order mark", "UTF-16"}
"""Cases that are a valid file, because a byte order mark tells its encoding."""


def around(raw: bytes) -> tuple[bytes, list[str]]:
    """Return three lines of which this is the second, and the keys of the others."""
    keys = sorted(f"good/{uuid.uuid4().hex}" for _ in range(2))
    return b"\n".join([body(keys[0]), raw, body(keys[1])]), keys


@pytest.mark.parametrize("name", MALFORMED)
def test_http_refuses_it_alone_and_as_the_middle_line_and_stores_nothing(doors: Doors, name: str) -> None:
    raw = MALFORMED[name]
    alone = doors.post(raw, "application/json")
    assert alone.status_code in (413, 422), alone.text
    assert alone.json()["detail"]
    assert "path" in alone.json()
    if name not in NO_LINE:
        lines, _ = around(raw)
        for sent, number in ((raw, 1), (lines, 2)):
            refused = doors.post(sent, "application/x-ndjson")
            assert refused.status_code in (413, 422), refused.text
            (problem, *_) = refused.json()["problems"]
            assert (problem["line"], problem["path"]) == (number, alone.json()["path"])
    assert doors.new() == []


FIELDS = {
    "1e999": "data.text",
    "-1e999 in a list": "data.text[0]",
    "NaN": "data.text",
    "400 digits": "data.text",
    "a name twice in an object": "data.text.a",
    "a field twice": "key",
    "NUL in a value": "data.text",
    "half of a surrogate pair": "data.text",
    "a confidence of 1e999": "probabilities.cat",
    "a boolean for a confidence": "confidence",
    "a score below 0": "score",
    "a label that no loop has": "label",
    "a year beyond 9999": "produced_at",
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_refusal_names_the_field(doors: Doors, name: str) -> None:
    assert doors.post(MALFORMED[name], "application/json").json()["path"] == FIELDS[name]


@pytest.mark.parametrize("name", sorted(MALFORMED.keys() - NO_LINE))
def test_a_file_is_sent_without_the_malformed_line_or_not_at_all_and_try_agrees(doors: Doors, name: str) -> None:
    raw = MALFORMED[name]
    (doors.folder / "pets").mkdir()
    (doors.folder / "pets" / "loop.yaml").write_text(SPEC)
    if name not in WHOLE_FILES:
        for command in ("submit", "try"):
            status, said, stderr = doors.run("a.ndjson", raw, command, "--loop", "pets")
            assert (status, "Traceback" in stderr) in ((1, False), (2, False)), said
        assert doors.new() == []
    lines, keys = around(raw)
    bad = list(range(2, 3 + raw.count(b"\n")))  # the line ends of a compressed body end a line
    status, tried, _ = doors.run("a.ndjson", lines, "try", "--loop", "pets")
    assert (status, [row["lane"] is None for row in tried]) == (1, [False, *[True] * len(bad), False])
    assert tried[1]["line"] == 2
    assert tried[1]["why"].startswith("refused: ")
    status, said, stderr = doors.run("a.ndjson", lines, "submit", "--loop", "pets")
    assert (status, doors.new()) == (1, [])
    if said is None:  # only the service knows the labels
        assert stderr.startswith("labelloop: line 2: "), stderr
    else:
        assert [one["line"] for one in said["problems"]] == bad
        assert "refused; nothing is sent" in stderr
    status, said, _ = doors.run("a.ndjson", None, "submit", "--loop", "pets", "--skip-bad")
    assert (status, said["new"], [one["line"] for one in said["problems"]]) == (1, 2, bad)
    assert doors.new() == keys


def table(cells: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a CSV of outputs whose data are these JSON texts."""
    rows = [b"key,data,label,confidence"]
    rows += [b'%s,"%s",cat,0.5' % (key.encode(), data.replace(b'"', b'""')) for key, data in cells]
    return b"\n".join(rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", VALUES)
def test_a_table_with_it_in_a_cell_is_sent_without_that_row_or_not_at_all(doors: Doors, name: str, kind: str) -> None:
    keys = sorted(f"good/{uuid.uuid4().hex}" for _ in range(2))
    cells = [(key, b'{"text": %s}' % value) for key, value in zip(
        (keys[0], "bad", keys[1]), (AT, VALUES[name], AT), strict=True)]  # fmt: skip
    file = f"a.{kind}"
    if kind == "parquet":
        data = pyarrow.array([cell for _, cell in cells], pyarrow.binary()).view(pyarrow.string())
        columns = {"key": [key for key, _ in cells], "data": data, "label": ["cat"] * 3, "confidence": [0.5] * 3}
        parquet.write_table(pyarrow.table(columns), doors.folder / file)
    status, _, stderr = doors.run(file, table(cells) if kind == "csv" else None, "submit", "--loop", "pets")
    assert (status, "1 line is refused; nothing is sent" in stderr) == (1, True), stderr
    assert doors.new() == []
    status, said, _ = doors.run(file, None, "submit", "--loop", "pets", "--skip-bad")
    assert (status, said["new"], [one["line"] for one in said["problems"]]) == (1, 2, [3 if kind == "csv" else 2])
    assert doors.new() == keys

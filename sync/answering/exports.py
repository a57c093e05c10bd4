"""Exports: feedback as NDJSON, CSV or Parquet, in full or its changes since a cursor.

Also examples for training a language model: see examples.py.

A file is written while it is read: one snapshot, a few thousand rows in memory.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec
from flask import Blueprint, Response, request, url_for

from labelloop.answers import cursor as cursors
from labelloop.answers.cursor import Cursor
from labelloop.errors import UsageError
from labelloop.process.problems import problem
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import feedback_out
from labelloop.store.questions.feedback_out import COLUMNS, columns_of
from sync.answering import events, examples
from sync.answering.examples import Tally
from sync.callers import Callers
from sync.intake.asking import caller, protect, spec_of

CURSOR = "Labelloop-Cursor"
"""Header with the cursor for the next export."""
ROWS_A_GROUP = 10_000
"""Rows of a row group of Parquet, which are in memory together."""
Rows = Iterator[dict[str, Any]]


class ExportRefused(UsageError):
    """An export that cannot be made as it was asked for; the message begins with the name of the parameter."""


class CursorUnknown(ExportRefused):
    """A cursor that this database has not given: it is of another loop, or the database was restored from a copy."""


class Export(NamedTuple):
    """An export that has begun."""

    cursor: Cursor
    """From where the next export continues."""
    pieces: Iterator[bytes]
    """The content; closing it ends the transaction."""
    tally: Tally
    """Counts of the examples, if these are examples."""


class Format(NamedTuple):
    """A format of exports."""

    media_type: str
    write: Callable[[Rows], Iterator[bytes]]


def blueprint(database: Database, callers: Callers) -> Blueprint:
    """Return the route."""
    bp = Blueprint("exports", __name__)
    protect(bp, callers)
    bp.errorhandler(ExportRefused)(_refused)

    @bp.get("/v1/loops/<loop>/feedback")
    def export_feedback(loop: str) -> Response:
        """Stream the feedback of the loop, or its changes since a cursor."""
        name, since = request.args.get("format", "ndjson"), request.args.get("since")
        with database.transaction() as conn:
            spec = spec_of(conn, loop)
        export = begin(database, spec, name, since, caller().source)
        more = url_for(".export_feedback", loop=loop, since=str(export.cursor), format=name)
        headers = {} if name in examples.NAMES else {CURSOR: str(export.cursor), "Link": f'<{more}>; rel="next"'}
        return Response(export.pieces, headers=headers, content_type=_format(name).media_type)

    return bp


def begin(
    database: Database, spec: LoopSpec, name: str = "ndjson", since: str | None = None, source: str | None = None
) -> Export:
    """Begin an export in the format `name`; `since` is the cursor of an earlier one, `source` the only source in it.

    Raises ExportRefused if the format does not exist or does not fit the loop, or if the cursor cannot be used.
    """
    known = None if since is None else _cursor(since)
    if name in examples.NAMES:
        if why := examples.why_not(spec):
            raise ExportRefused(f"format: {name} {why}")
        if known is not None:
            raise ExportRefused(f"since: {name} has no changes; export it in full")
    written, tally = _format(name), Tally()
    opened = _opened(database, spec, known, source, (name, tally) if name in examples.NAMES else None)
    upto = next(opened)
    assert isinstance(upto, Cursor)
    first = list(islice(opened, 1))  # a fault of the statement is a refusal, and not a file that breaks off
    return Export(upto, _closing(opened, written.write(chain(first, opened))), tally)  # type: ignore[arg-type]


def _opened(
    database: Database,
    spec: LoopSpec,
    since: Cursor | None,
    source: str | None,
    of_examples: tuple[str, Tally] | None,
) -> Iterator[Cursor | dict[str, Any]]:
    """Yield the cursor for the next export, then the rows, all in one transaction."""
    with database.transaction() as conn:
        feedback_out.snapshot(conn)
        if since is not None and (since.loop != spec.name or not feedback_out.is_known(conn, since)):
            raise CursorUnknown(
                f"since: the cursor is not one of loop {spec.name!r} in this database; make a full export"
            )
        upto = feedback_out.newest(conn, spec.name)
        yield upto
        if of_examples is None:
            yield from feedback_out.rows(conn, since, upto, source)
        else:
            edited = [] if spec.examples is None else [*spec.examples.edits]
            for row in feedback_out.examples(conn, spec.name, edited, source):
                yield from examples.lines(spec, of_examples[0], row, of_examples[1])


def _closing(opened: Any, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with closing(opened):
        yield from pieces


def _cursor(text: str) -> Cursor:
    try:
        return cursors.read(text)
    except ValueError as exc:
        raise ExportRefused(f"since: {exc}") from None


def _format(name: str) -> Format:
    try:
        return FORMATS[name]
    except KeyError:
        raise ExportRefused(f"format: no {name[:40]!r}; there are: {', '.join(FORMATS)}") from None


def _refused(exc: ExportRefused) -> Response:
    return problem(410 if isinstance(exc, CursorUnknown) else 422, str(exc), path=str(exc).partition(":")[0])


# -- formats -----------------------------------------------------------------------------------------------------


def _ndjson(rows: Rows) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    while some := list(islice(rows, 500)):
        yield encoder.encode_lines(some)


def _csv(rows: Rows) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    while some := list(islice(rows, 500)):
        writer.writerows(map(_cells, some))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cells(row: dict[str, Any]) -> Iterable[Any]:
    for value in columns_of(row):
        match value:
            case bool():
                yield "true" if value else "false"
            case _ if hasattr(value, "isoformat"):
                yield value.isoformat()
            case _:
                yield value


def _parquet(rows: Rows) -> Iterator[bytes]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ExportRefused("format: parquet needs pyarrow: pip install 'labelloop[parquet]'") from None

    kinds = {
        "approval": pa.bool_(), "holdout": pa.bool_(), "deleted": pa.bool_(), "agreement": pa.float64(),
        "created_at": pa.timestamp("us", tz="UTC"), "updated_at": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])

    def pieces() -> Iterator[bytes]:
        sink = _Sink()
        with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
            while some := list(islice(rows, ROWS_A_GROUP)):
                for row in some:
                    row |= {"model_output_id": str(row["model_output_id"]), "reviewer_id": str(row["reviewer_id"])}
                writer.write_table(pa.Table.from_pylist(some, schema))
                yield sink.taken()
        yield sink.taken()

    return pieces()


class _Sink(io.RawIOBase):
    """A file that hands on the bytes that were written to it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


NDJSON = "application/x-ndjson"
FORMATS: Mapping[str, Format] = {
    "ndjson": Format(NDJSON, _ndjson),
    "csv": Format("text/csv; charset=utf-8", _csv),
    "parquet": Format("application/vnd.apache.parquet", _parquet),
    "otlp": Format(NDJSON, events.lines),
    **dict.fromkeys(examples.NAMES, Format(NDJSON, _ndjson)),
}

"""Spans of OpenTelemetry, which become outputs: each span that fits is stored, and the others are counted.

The protocol (OTLP 1.x, "Partial Success") wants it so. An exporter does not repeat a request because of single spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labelloop.adapters import otlp
from labelloop.errors import InvalidOutput
from labelloop.outputs.output import Output
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from sync.intake import taking
from sync.intake.taking import Line

MAX_SPANS = 10_000
MAX_WORDS = 1000
"""Characters of the message about the refused spans."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Result of an export request."""

    new: int
    known: int
    refused: list[str]
    """The reason for each span that is not stored."""

    def words(self) -> str:
        """Return the reasons in one text of at most MAX_WORDS characters."""
        return "; ".join(dict.fromkeys(self.refused))[:MAX_WORDS]


def store(conn: Conn, spec: LoopSpec, body: bytes, label: str, source: str | None = None) -> Stored:
    """Store the model calls among the spans, in the caller's transaction. A repeated request stores nothing twice.

    `label` is what the pipeline claims about each answer. `source` as in taking.read. Raises InvalidOutput if the body
    is no export request.
    """
    refused: list[str] = []
    found = otlp.outputs(strict_json.loads_large(body), label=label, refused=lambda error: refused.append(str(error)))
    batch = taking.read(spec, _lines(found, refused), source, max_problems=MAX_SPANS)
    refused += [f"{problem.message} (span {problem.key})" for problem in batch.invalid]
    taken = taking.store(conn, spec, batch)
    refused += [problem.message for problem in taken.conflicts]
    return Stored(taken.new, taken.known + taken.repeated, refused)


def _lines(outputs: Iterator[Output], refused: list[str]) -> Iterator[Line]:
    for number, output in enumerate(outputs, start=1):
        if number > MAX_SPANS:
            raise InvalidOutput("resourceSpans", f"holds more than {MAX_SPANS} model calls; send several requests")
        try:
            line = strict_json.dumps(output.to_json()).encode()
        except UnicodeEncodeError:
            refused.append(f"holds half of a surrogate pair (span {output.key})")
            continue
        except InvalidOutput as exc:
            refused.append(f"{exc} (span {output.key})")
            continue
        yield number, line

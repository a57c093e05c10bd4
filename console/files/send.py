"""Send: check the outputs of a source, send those that may be sent, and report each line that is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from console.files.lines import Line, Refused, key_of, refusal
from labelloop.client import Client
from labelloop.errors import Conflict, Failed, InvalidOutput

LINES, BYTES = 500, 4 << 20
"""Size of a request at most."""
MOST = 1_000
"""Refused lines that are kept for the report."""
SHOWN = 20
"""Refused lines of one request that are named."""
HOPELESS = 100
"""After as many refused lines, and no other, sending stops: the file is for another loop."""


@dataclass(slots=True)
class Sent:
    """Result of a submit."""

    new: int = 0
    known: int = 0
    """Number of outputs submitted before, with the same body."""
    refused: int = 0
    problems: list[Refused] = field(default_factory=list)
    """The first MOST of the refused lines."""

    def refuse(self, problem: Refused) -> None:
        self.refused += 1
        if len(self.problems) < MOST:
            self.problems.append(problem)


def check(lines: Iterable[Line]) -> Sent:
    """Return the refused lines; nothing is sent."""
    found = Sent()
    for _, line in lines:
        if isinstance(line, Refused):
            found.refuse(line)
    return found


def send(client: Client, lines: Iterable[Line], loop: str | None, *, skip_bad: bool) -> Sent:
    """Send the outputs of the lines.

    With `skip_bad` a refused line is reported and the others are sent. Otherwise the first refused line raises Failed;
    then the requests before it are stored, and the message tells how many outputs these are.
    """
    found = Sent()
    try:
        _send(client, lines, loop, found, skip_bad=skip_bad)
    except KeyboardInterrupt:
        raise Failed(
            f"interrupted: at least {found.new + found.known} outputs are stored. Submit the file again to send the "
            "rest; what is stored is not stored twice"
        ) from None
    return found


def _send(client: Client, lines: Iterable[Line], loop: str | None, found: Sent, *, skip_bad: bool) -> None:
    for batch in _batches(lines, found, skip_bad):
        if skip_bad:
            _send_good(client, batch, loop, found)
            continue
        try:
            _add(client, batch, loop, found)
        except (InvalidOutput, Conflict) as exc:
            stored = found.new + found.known
            before = "1 output before them is" if stored == 1 else f"{stored} outputs before them are"
            at = exc.line if isinstance(exc, InvalidOutput) else None  # a batch is one request
            where = f"line {batch[at - 1][0]}: " if at is not None else ""
            others = exc.others if isinstance(exc, InvalidOutput) else []
            first, last = batch[0][0], batch[-1][0]
            lines_are = f"Lines {first} to {last} are" if first < last else f"Line {first} is"
            them = "the lines" if others else "the line"
            raise Failed(
                f"{where}{exc}{_listed(batch, others)}. {lines_are} not stored, {before}. "
                f"Correct {them} and submit the file again, or pass --skip-bad"
            ) from None


def _listed(batch: list[tuple[int, bytes]], others: list[tuple[int, str]]) -> str:
    """Return the other wrong lines of a request, one below the other."""
    shown = "".join(f"\nline {batch[at - 1][0]}: {why}" for at, why in others[: SHOWN - 1])
    more = len(others) - (SHOWN - 1)
    return shown + (f"\nand {more} more line{'s' * (more > 1)}" if more > 0 else "")


def words(problem: Refused) -> str:
    """Return a refused line as one line for people."""
    key = "" if problem.key is None else f" (output {problem.key!r})"
    return f"line {problem.line}{key}: {f'{problem.field}: ' if problem.field else ''}{problem.message}"


def _batches(lines: Iterable[Line], found: Sent, skip_bad: bool) -> Iterator[list[tuple[int, bytes]]]:
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, line in lines:
        if isinstance(line, Refused):
            if not skip_bad:
                first = batch[0][0] if batch else number
                lines_ = f"Lines {first} to {number} are" if first < number else f"Line {number} is"
                stored = found.new + found.known
                before = "1 output before is" if stored == 1 else f"{stored} outputs before are"
                raise Failed(
                    f"{words(line)}. {lines_} not sent, {before} stored. Correct "
                    "the line and submit all again, or pass --skip-bad"
                )
            found.refuse(line)
            continue
        if batch and (len(batch) >= LINES or size + len(line) >= BYTES):
            yield batch
            batch, size = [], 0
        batch.append((number, line))
        size += len(line) + 1
    if batch:
        yield batch


def _add(client: Client, batch: list[tuple[int, bytes]], loop: str | None, found: Sent) -> None:
    receipt = client.submit_lines((raw for _, raw in batch), loop=loop)
    found.new += receipt.new
    found.known += receipt.known


def _send_good(client: Client, batch: list[tuple[int, bytes]], loop: str | None, found: Sent) -> None:
    """Send a batch; if the intake refuses it, send each half, down to the lines that it refuses."""
    try:
        _add(client, batch, loop, found)
    except (InvalidOutput, Conflict) as exc:
        if len(batch) > 1:
            middle = len(batch) // 2
            _send_good(client, batch[:middle], loop, found)
            _send_good(client, batch[middle:], loop, found)
            return
        number, raw = batch[0]
        error = exc if isinstance(exc, InvalidOutput) else InvalidOutput("key", str(exc))
        found.refuse(refusal(number, error, key_of(raw)))
        if found.refused >= HOPELESS and not found.new + found.known:
            raise Failed(
                f"all of the first {found.refused} lines are refused, so nothing more is sent: "
                f"{words(found.problems[0])}"
            ) from None

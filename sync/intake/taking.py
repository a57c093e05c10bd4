"""Take in outputs: raw lines go in, stored outputs or problems come out.

This file knows no transport. HTTP calls `take`, and a consumer of a queue or a reader of files can call it too. A
caller that stores the valid lines of a batch and sends the others elsewhere calls `read`, then `store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labelloop.errors import InvalidOutput, Skippable
from labelloop.outputs import fitting, reading
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import jobs, loops, versions
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables.outputs import Row, Stored
from sync.intake import repeating

MAX_PROBLEMS = 100
"""Reading stops after this many invalid lines."""

Line = tuple[int, bytes]
"""The number of a line, by which its problem is reported, and one output as JSON."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason for which one line cannot be stored."""

    line: int
    key: str | None
    """None if the line has no valid key."""
    field: str
    """Path in the output, such as `probabilities.cat`; "" for the whole line."""
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The outputs of some lines, each in its lane, before they are stored."""

    rows: dict[str, Row]
    """By key, in the order of the lines. If several lines have one key, the first of them counts."""
    lines: dict[str, int]
    """The number of each row's line, by key."""
    later: list[tuple[int, str, bytes]]
    """Each line whose key an earlier line has too: its number, its key, and the hash of its body."""
    invalid: list[Problem]

    @property
    def repeated(self) -> int:
        """Number of lines whose key an earlier line has too."""
        return len(self.later)

    @property
    def conflicts(self) -> list[Problem]:
        """Lines that repeat the key of an earlier line with another body."""
        return [_conflict(n, key) for n, key, sha256 in self.later if sha256 != self.rows[key].sha256]


@dataclass(frozen=True, slots=True)
class Taken:
    """The outputs of a batch as they are stored now."""

    outputs: list[Stored]
    """In the order of the lines, each key once."""
    new: int
    """How many outputs were not stored before."""
    known: int
    """How many outputs were stored before, with the same body."""
    repeated: int
    """How many lines have a key that an earlier line has too."""
    conflicts: list[Problem]
    """Lines whose key is stored with another body, repeated lines too. They are not written."""


class Rejected(Skippable):
    """A batch has lines that cannot be stored: invalid ones or, if all are valid, conflicts."""

    def __init__(self, *, invalid: Sequence[Problem] = (), conflicts: Sequence[Problem] = ()) -> None:
        super().__init__((*invalid, *conflicts)[0].message)
        self.invalid = list(invalid)
        self.conflicts = list(conflicts)


class LoopGone(Skippable):
    """The loop was removed after its spec was read."""


def take(conn: Conn, spec: LoopSpec, lines: Iterable[Line], source: str | None = None) -> Taken:
    """Store the outputs of all lines, or of none, in the caller's transaction. Taking a line twice stores it once.

    `source` as in `read`. Raises Rejected or LoopGone; then the caller's transaction must be rolled back.
    """
    batch = read(spec, lines, source)
    if batch.invalid:
        raise Rejected(invalid=batch.invalid)
    if batch.conflicts:
        raise Rejected(conflicts=batch.conflicts)
    taken = store(conn, spec, batch)
    if taken.conflicts:
        firsts = set(batch.lines.values())  # each key is named once
        raise Rejected(conflicts=[problem for problem in taken.conflicts if problem.line in firsts])
    return taken


def read(
    spec: LoopSpec, lines: Iterable[Line], source: str | None = None, *, max_problems: int = MAX_PROBLEMS
) -> Batch:
    """Read and check the lines, and choose each output's lane. Stops after `max_problems` invalid lines.

    `source`: the only source that the sender may use, which its outputs get if they name none; None for any.
    """
    rows, numbers = dict[str, Row](), dict[str, int]()
    invalid, later = list[Problem](), list[tuple[int, str, bytes]]()
    labels, sends = dict.fromkeys(spec.labels), spec.sends
    for number, raw in lines:
        value: Any = None
        try:
            value = strict_json.loads(raw)
            output = fitting.shown(_from_source(reading.from_json(value), source), spec.config)
            output = fitting.check(output, spec.config, labels, spec.queue.embedding)
        except InvalidOutput as exc:
            invalid.append(Problem(number, _key(value), exc.path, str(exc)))
            if len(invalid) >= max_problems:
                break
            continue
        row = Row.of(output, lanes.place(output, spec, sends))
        earlier = rows.setdefault(output.key, row)
        if earlier is row:
            numbers[output.key] = number
        else:
            later.append((number, output.key, row.sha256))
    return Batch(rows, numbers, later, invalid)


def store(conn: Conn, spec: LoopSpec, batch: Batch) -> Taken:
    """Store the rows of the batch, except those whose key is stored with another body, and ask for the next jobs.

    Each line is compared with the stored body of its key, as if it had come alone. The size of batches changes nothing.
    Raises LoopGone.
    """
    if not batch.rows:
        return Taken([], 0, 0, 0, [])
    version = loops.spec_version(conn, spec)  # it waits for a removal that is not committed
    if version is None:
        raise LoopGone(f"loop {spec.name!r} takes no outputs: it was removed")
    new, known, conflicts = output_store.insert(conn, spec.name, list(batch.rows.values()), version)
    if spec.reuse_answers:
        new = repeating.follow(conn, spec, new, batch.rows)
    if any(stored.state == "waiting" for stored in new):
        if versions.ranker(conn, spec.name) or versions.champion(conn, spec.name):
            jobs.ask(conn, jobs.PRELABEL, spec.name)
        jobs.ask(conn, jobs.PUSH, spec.name)
    by_key = {stored.key: stored for stored in (*new, *known)}
    bodies = {stored.key: stored.sha256 for stored in (*new, *known, *conflicts)}
    others = [(batch.lines[stored.key], stored.key) for stored in conflicts]
    others += [(number, key) for number, key, sha256 in batch.later if sha256 != bodies[key]]
    return Taken(
        outputs=[by_key[key] for key in batch.rows if key in by_key],
        new=len(new),
        known=len(known),
        repeated=batch.repeated,
        conflicts=[_conflict(number, key) for number, key in others],
    )


def _from_source(output: Output, source: str | None) -> Output:
    """Return the output with the sender's source. Raises InvalidOutput if it names another."""
    if source is None or output.source == source:
        return output
    if output.source is not None:
        raise InvalidOutput("source", f"{output.source!r} is not the source of this token, which is {source!r}")
    return replace(output, source=source)


def _key(value: object) -> str | None:
    """The key of an output that is invalid for some other reason."""
    try:
        return reading.read_key(value.get("key") if isinstance(value, dict) else None)
    except InvalidOutput:
        return None


def _conflict(line: int, key: str) -> Problem:
    return Problem(line, key, "key", f"key: {key!r} is known with another body; another output needs another key")

"""Take in outputs: raw lines go in, stored outputs or problems come out.

This file knows no transport. HTTP calls `take`, and a reader of files can call it too. A caller that stores the valid
lines and sends the others elsewhere, as a consumer of a queue, calls `take_valid`, or `read` and then `store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from labelloop.errors import InvalidOutput, Skippable
from labelloop.outputs import fitting, reading
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.reading import quick_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import jobs, loops, versions
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables.outputs import Row, Stored
from sync.intake import accepting, repeating

MAX_PROBLEMS = 100
"""Reading stops after this many invalid lines."""

PART = 128
"""Lines that are read while Postgres stores those before them."""

Line = tuple[int, bytes]
"""The number of a line, by which its problem is reported, and one output as JSON."""


class _Keyed(msgspec.Struct):
    """The key of an output, without a look at its other fields."""

    key: str


_keyed = msgspec.json.Decoder(_Keyed).decode


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

    def numbered(self) -> list[tuple[int, Row]]:
        """Return the rows with the numbers of their lines."""
        return list(zip(self.lines.values(), self.rows.values(), strict=True))

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

    Postgres stores a part of the lines while the next one is read. `source` as in `read`. Raises Rejected or LoopGone;
    then the caller's transaction must be rolled back.
    """
    known: list[Line] = []
    try:
        known.extend(lines)
    except Exception:  # unless there are enough problems in the lines before
        if len(invalid := read(spec, known, source).invalid) == MAX_PROBLEMS:
            raise Rejected(invalid=invalid) from None
        raise
    batch, taken = _take(conn, spec, known, source, all_or_none=True)
    if taken.conflicts:
        firsts = set(batch.lines.values())  # each key is named once
        raise Rejected(conflicts=[problem for problem in taken.conflicts if problem.line in firsts])
    return taken


def take_valid(conn: Conn, spec: LoopSpec, lines: Sequence[Line], source: str | None = None) -> tuple[Batch, Taken]:
    """Store the outputs of the valid lines in the caller's transaction; return also what was read of all lines.

    Postgres stores a part of the lines while the next one is read. `source` as in `read`. Raises LoopGone.
    """
    return _take(conn, spec, list(lines), source, all_or_none=False)


def _take(
    conn: Conn, spec: LoopSpec, lines: list[Line], source: str | None, *, all_or_none: bool
) -> tuple[Batch, Taken]:
    batches: list[Batch] = []
    if not lines:
        return Batch({}, {}, [], []), Taken([], 0, 0, 0, [])
    with output_store.Inserting(conn, spec.name, _version(conn, spec)) as inserting:
        for part in _parts(lines):
            batch = read(spec, part, source, max_problems=MAX_PROBLEMS if all_or_none else len(lines) + 1)
            if all_or_none and (batch.invalid or batch.conflicts):
                raise _rejected(read(spec, lines, source))  # the first problems by line, in all parts
            batches.append(batch)
            if batch.rows:
                inserting.add(batch.numbered())
        stored = inserting.stored()
    joined = _joined(batches)
    return joined, _settle(conn, spec, joined, *stored)


def read(
    spec: LoopSpec, lines: Iterable[Line], source: str | None = None, *, max_problems: int = MAX_PROBLEMS
) -> Batch:
    """Read and check the lines, and choose each output's lane. Stops after `max_problems` invalid lines.

    `source`: the only source that the sender may use, which its outputs get if they name none; None for any.
    """
    rows, numbers = dict[str, Row](), dict[str, int]()
    invalid, later = list[Problem](), list[tuple[int, str, bytes]]()
    config, labels, sends = spec.config, dict.fromkeys(spec.labels), spec.sends
    for number, raw in lines:
        value: Any = None
        try:
            value = quick_json.loads(raw)
            output = fitting.shown(_from_source(reading.from_json(value), source), config)
            output = fitting.check(output, config, labels, spec.queue.embedding)
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
    with output_store.Inserting(conn, spec.name, _version(conn, spec)) as inserting:
        inserting.add(batch.numbered())
        stored = inserting.stored()
    return _settle(conn, spec, batch, *stored)


def _version(conn: Conn, spec: LoopSpec) -> int:
    """Return the number of the spec; it waits for a removal of the loop that is not committed. Raises LoopGone."""
    version = loops.spec_version(conn, spec)
    if version is None:
        raise LoopGone(f"loop {spec.name!r} takes no outputs: it was removed")
    return version


def _settle(
    conn: Conn, spec: LoopSpec, batch: Batch, new: list[Stored], known: list[Stored], conflicts: list[Stored]
) -> Taken:
    """Find repeats and what passes unseen, ask for the next jobs, and return what became of each line of the batch."""
    if spec.reuse_answers:
        new = repeating.follow(conn, spec, new, batch.rows)
    new = accepting.accept(conn, spec, new, batch.rows)
    if any(stored.state == "waiting" for stored in new):
        if versions.scores_outputs(conn, spec.name):
            jobs.ask(conn, jobs.PRELABEL, spec.name)
        if spec.learner.encoder is not None:
            jobs.ask(conn, jobs.EMBED, spec.name, in_s=jobs.EMBED_IN_S)
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


def _parts(lines: list[Line]) -> list[list[Line]]:
    """Return the lines in parts of PART, in the order of the keys by code point; then no two transactions with the same
    keys can deadlock. A line without a key, or with that of another line, leaves all of them in one part.
    """
    if len(lines) <= PART:
        return [lines]
    try:
        by_key = {reading.read_key(_keyed(raw).key): (number, raw) for number, raw in lines}
    except (ValueError, InvalidOutput):
        return [lines]
    if len(by_key) < len(lines):
        return [lines]
    ordered = [by_key[key] for key in sorted(by_key)]
    return [ordered[start : start + PART] for start in range(0, len(ordered), PART)]


def _joined(batches: list[Batch]) -> Batch:
    """Return the batches as one, in the order of the lines; if there are several, no key is repeated."""
    if len(batches) == 1:
        return batches[0]
    invalid = sorted(chain.from_iterable(batch.invalid for batch in batches), key=attrgetter("line"))
    numbered = sorted(chain.from_iterable(batch.numbered() for batch in batches), key=itemgetter(0))
    rows = {row.output.key: row for _, row in numbered}
    return Batch(rows, {row.output.key: number for number, row in numbered}, [], invalid)


def _rejected(batch: Batch) -> Rejected:
    return Rejected(invalid=batch.invalid) if batch.invalid else Rejected(conflicts=batch.conflicts)


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

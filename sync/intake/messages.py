"""Take in messages: a batch goes in, its valid outputs are stored, and the others come back with the reason.

Whatever brings the messages (Kafka, RabbitMQ, the outbox), a rule, a refusal and a duplicate mean the same, because all
of them go through `taking.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.errors import Unstorable
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops
from sync.intake import taking
from sync.intake.taking import Line, LoopGone, Problem

MAX_BATCH_BYTES = 8 << 20
"""A batch takes no more messages once their bodies have this many bytes together."""
MAX_NAME = 100
"""Characters of an unknown loop's name that a reason repeats."""


@dataclass(frozen=True, slots=True)
class Message:
    """One output as JSON, and the name of the loop that it is for."""

    loop: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of a batch whose outputs are stored."""

    new: dict[str, int]
    """How many outputs were not stored before, by loop."""
    known: dict[str, int]
    """How many messages repeat a stored output, by loop."""
    refused: dict[int, Problem]
    """The reason of each message that is not stored, by its position in the batch."""


def settle(database: Database, batch: Sequence[Message]) -> Settled:
    """Store the valid outputs of the batch in one transaction, which is committed at the return.

    Settling a batch twice stores it once. Raises Retriable if Postgres is away; then nothing is stored.
    """
    try:
        with database.transaction() as conn:
            return store(conn, batch)
    except Unstorable as exc:
        if len(batch) == 1:
            return Settled({}, {}, {0: Problem(0, None, "", str(exc))})
    middle = len(batch) // 2
    first, second = settle(database, batch[:middle]), settle(database, batch[middle:])
    return Settled(
        _sum(first.new, second.new),
        _sum(first.known, second.known),
        {**first.refused, **{middle + number: problem for number, problem in second.refused.items()}},
    )


def store(conn: Conn, batch: Sequence[Message]) -> Settled:
    """Store the valid outputs of the batch in the caller's transaction.

    Raises Unstorable; then the transaction must be rolled back.
    """
    lines: dict[str, list[Line]] = {}
    for number, message in enumerate(batch):
        lines.setdefault(message.loop, []).append((number, message.body))
    settled = Settled({}, {}, {})
    for loop in sorted(lines):  # in one order, so that two transactions cannot deadlock
        spec = spec_of(conn, loop)
        if isinstance(spec, str):
            problems = [Problem(number, None, "loop", spec) for number, _ in lines[loop]]
        else:
            try:
                read, taken = taking.take_valid(conn, spec, lines[loop])
            except LoopGone as exc:
                settled.refused.update((number, Problem(number, None, "loop", str(exc))) for number, _ in lines[loop])
                continue
            problems = [*read.invalid, *taken.conflicts]
            settled.new[loop] = taken.new
            settled.known[loop] = len(lines[loop]) - taken.new - len(problems)
        settled.refused.update((problem.line, problem) for problem in problems)
    return settled


def spec_of(conn: Conn, loop: str) -> LoopSpec | str:
    """Return the loop that takes outputs under this name, or the reason why none does."""
    spec = loops.at_work(conn, loop) if loop.isprintable() else None
    if spec is not None:
        return spec
    if loop in (resting := loops.resting(conn)):
        return f"loop {loop!r} takes no outputs: it was {resting[loop]}"
    return f"no loop {loop[:MAX_NAME]!r}; there are: {', '.join(loops.names(conn)) or 'none'}"


def _sum(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {loop: first.get(loop, 0) + second.get(loop, 0) for loop in {**first, **second}}

"""Seen: what one look at one loop found. Two looks are compared by the identity of each problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

MOST = 10_000
"""Problems of one invariant that a look keeps; more are counted."""


class Problem(NamedTuple):
    key: str
    """Key of the output that it is about, or another id."""
    says: str
    mark: str = ""
    """Tells this problem from a later one about the same key."""
    task: int = 0
    """Label Studio's id of the task that shows it; 0 if none does."""


class Seen:
    """The problems of one look, by invariant. One fault is one problem: what follows from it is not told again."""

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self.problems: dict[str, set[Problem]] = {}
        self.counts: Counter[str] = Counter()
        self.looked_at: set[str] = set()
        """Invariants that were looked at."""
        self.unknown: dict[str, str] = {}
        """Why an invariant could not be checked."""
        self._blamed: set[UUID] = set()
        self._rows: set[str] = set()

    def wrong(
        self,
        invariant: str,
        key: object,
        says: str,
        *,
        mark: object = "",
        task: int = 0,
        output: UUID | None = None,
        row: str = "",
    ) -> None:
        """Note a problem. `output`: no other invariant tells anything about this output in this look. `row`: as in
        name_row.
        """
        if output is not None:
            if output in self._blamed:
                return
            self.blame(output)
        if row:
            self.name_row(row)
        self.counts[invariant] += 1
        found = self.problems.setdefault(invariant, set())
        if len(found) < MOST:
            found.add(Problem(str(key), says, str(mark), task))

    def told(self, output: UUID | None) -> bool:
        """Whether a problem of this output is noted already."""
        return output in self._blamed

    def blame(self, output: UUID) -> None:
        """Note that a problem of this output is told."""
        self._blamed.add(output)
        self._rows.add(f"output {output}")

    def name_row(self, row: str) -> None:
        """Note that a problem of this row (table/key) is told, so that the record does not tell it again."""
        self._rows.add(row)

    def names_row(self, row: str) -> bool:
        return row in self._rows

    def add_rows(self, other: Seen) -> None:
        """Note the rows and outputs that another look has told."""
        self._rows |= other._rows

    def cannot(self, invariants: Iterable[str], why: str) -> None:
        for invariant in invariants:
            self.unknown.setdefault(invariant, why)

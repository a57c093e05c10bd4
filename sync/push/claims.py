"""Claims: the outputs of a push, batch by batch. One selection serves all batches that fill the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.errors import Conflict
from labelloop.queue.order import MAX_BATCH, SECOND, Ranked, priorities, useful
from labelloop.queue.project import LoopProject
from labelloop.selection.select import Pick
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks
from labelloop.store.database import Conn, Database
from labelloop.store.tables import batches, pool, projects
from sync.push.drafts import draw_blind
from sync.push.window import Window, look, prepare


class Claim(NamedTuple):
    """The outputs to send now."""

    batch_id: UUID | None
    """The batch of new tasks; None if there are only second opinions to ask for."""
    differs: Mapping[UUID, str]
    """How selection found these outputs to differ from others, in words for the annotator."""
    again: list[UUID]
    """Answered outputs to ask one more annotator about."""
    opened: int
    """Number of outputs whose tasks were in the project before the loop, and are among the open ones now."""


class Claims:
    """The claims of one push. A batch may still be on its way to Label Studio when the next one is claimed."""

    def __init__(
        self,
        database: Database,
        spec: LoopSpec,
        checked: Callable[[], object],
        at_least: int = 1,
        first_look_s: float = 0.0,
    ) -> None:
        """See `push`; `checked` checks the project, and is called before the first claim."""
        self._database, self._spec, self._checked = database, spec, checked
        self._at_least, self._first_look_s = at_least, first_look_s
        self._selected: tuple[Window, list[Pick]] | None = None
        self._claimed: dict[UUID, Ranked] = {}
        """Outputs claimed since the selection."""
        self._is_full = False
        """Whether the last look found no free place, with all that is on its way."""

    def next(self, arrived: Callable[[], bool] = lambda: False) -> Claim | None:
        """Store the next batch. Returns None if fewer than `at_least` places are free, or no output waits.

        `arrived` waits until the batch before is in Label Studio, since a selection compares with all that people see.
        It returns whether some of it was refused, which frees places.
        """
        if self._selected is not None and (claim := self._claim(*self._selected)) is not None:
            return claim
        if self._selected is not None and not arrived() and self._is_full:
            return None
        before, picks = prepare(self._database, self._spec, self._first_look_s)
        if before.free < self._at_least or not before.chosen(picks, before.places):
            return None
        self._checked()
        self._selected, self._claimed, self._at_least = (before, picks), {}, 1
        return self._claim(before, picks)

    def _claim(self, before: Window, picks: Sequence[Pick]) -> Claim | None:
        """Claim the first of the picks that still wait; None if none does, or if other versions are in force now."""
        spec = self._spec
        with self._database.transaction() as conn:
            projects.lock_hop(conn, spec.name, "push")

            # gather
            project = projects.get(conn, spec.name)
            assert project is not None
            sent = batches.places(conn, spec.name)  # before the open tasks, as in `look`
            window = look(conn, spec, before.within, self._first_look_s)

            # decide
            chosen = window.chosen(picks, min(before.places, MAX_BATCH))
            coming = [item for item in chosen if item.lane != SECOND]
            again = [item.output_id for item in chosen if item.lane == SECOND]
            # Tasks of another version than the others are served last, whatever their order score.
            version = project.model_version if window.open_rows or self._claimed else window.pair.name
            placed = self._places(window, coming, version, sent)

            # apply
            self._is_full = not window.places
            if not chosen or (self._claimed and window.pair != before.pair):
                return None
            self._claimed |= {item.output_id: item for item in coming}
            opened = _open_adopted(conn, project, placed)
            draw_blind(conn, spec, [item for item in coming if item.output_id in opened])
            placed = {output_id: place for output_id, place in placed.items() if output_id not in opened}
            batch_id = _intend(conn, spec.name, version, placed) if placed else None
            return Claim(batch_id, {pick.output_id: pick.why_also for pick in picks}, again, len(opened))

    def _places(
        self, window: Window, coming: Sequence[Ranked], version: str, sent: Sequence[float]
    ) -> dict[UUID, float]:
        """Return the priority of each of these outputs among the open tasks and those on their way.

        `sent`: the priorities in all imports whose result is not known yet, also in those of other pushes.
        """
        stand = {item.output_id for item in window.stands}
        on_their_way = [item for item in self._claimed.values() if item.output_id not in stand]
        taken = [*(row.priority for row in window.open_rows), *sent]
        among = useful([*window.stands, *on_their_way], coming, self._spec.queue.window)
        return priorities(coming, among, taken, draw=version)


def _open_adopted(conn: Conn, project: LoopProject, placed: Mapping[UUID, float]) -> set[UUID]:
    """Open those of these outputs that have a task in an adopted project; the renewal gives it a prediction."""
    theirs = adopted_tasks.waiting_tasks(conn, project.instance, list(placed))
    return set(adopted_tasks.open_(conn, project.instance, {id_: placed[id_] for id_ in theirs})) if theirs else set()


def _intend(conn: Conn, loop: str, version: str, placed: dict[UUID, float]) -> UUID:
    """Store a batch of these waiting outputs, each with its priority."""
    batch_id = batches.intend(conn, loop, version, len(placed))
    if pool.take(conn, batch_id, placed) != len(placed) or batches.start(conn, batch_id) != len(placed):
        raise Conflict(f"the pool of loop {loop!r} and the states of its outputs do not fit together")
    return batch_id

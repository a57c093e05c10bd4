"""Texts: title, description and instruction that a loop's project should have, with examples of answered items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.privacy import proofs
from labelloop.store.questions import guidance
from labelloop.store.tables import pool, projects
from sync.project import signposts
from sync.project.examples import of_loop

INSTRUCTION = "expert_instruction"


@dataclass(frozen=True, slots=True)
class Texts:
    wanted: Mapping[str, str]
    """The texts that the project should have, by the name of the setting."""
    written: Mapping[str, str]
    """Those that labelloop wrote last."""
    removals: proofs.Removals
    """The removals of data before the examples were read."""


def texts_of(database: Database, spec: LoopSpec, mark: str) -> Texts:
    """Return the texts of the loop's project. `mark`: by which a project is known as the loop's."""
    with database.transaction() as conn:
        waiting = pool.waiting(conn, spec.name, signposts.COUNTED_UP_TO + 1)
        current = projects.get(conn, spec.name)
        done = guidance.progress(conn, spec.name)
        removals = proofs.removals(conn, spec.name)
    written = {} if current is None else current.words
    examples = of_loop(database, spec)
    wanted = signposts.words(spec, mark, waiting, done, examples)
    may_keep = examples is None and not removals.n  # no text of a forgotten output may stay
    if may_keep and written.get(INSTRUCTION, "").startswith(signposts.instruction(spec)):
        wanted[INSTRUCTION] = written[INSTRUCTION]
    return Texts(wanted, written, removals)

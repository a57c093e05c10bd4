"""Examples: answered texts for the guide in a project's instruction, as far as they are found in a short time."""

from __future__ import annotations

import logging

from labelloop.errors import Retriable
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import guidance
from sync.project.guide import EXAMPLES, example_field
from sync.project.signposts import Examples

logger = logging.getLogger(__name__)

EXAMPLES_MS = 5_000
"""Milliseconds for each statement: among ten million outputs they would take a minute, at each check of the project."""


def of_loop(database: Database, spec: LoopSpec) -> Examples | None:
    """Return texts of the guide by answer; None if it takes too long to find them."""
    if (field := example_field(spec)) is None:
        return {}
    try:
        with database.transaction() as conn:
            conn.execute(f"set local statement_timeout = {EXAMPLES_MS}")
            return guidance.of_labels(conn, spec.name, field, EXAMPLES)
    except Retriable:
        logger.info("no new examples for the instruction: finding them takes too long", extra={"loop": spec.name})
        return None

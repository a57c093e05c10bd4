"""Answers of people, written as the pull writes them, without a Label Studio."""

from __future__ import annotations

from labelloop.outputs.output import OutputState
from labelloop.store.database import Conn, Database
from tests.support.rows import move_outputs


def answer(database: Database, loop: str, key: str, label: str | None = "cat") -> None:
    """Let one person answer this output, in one transaction. `label` None is a tie. A second call edits the answer."""
    with database.transaction() as conn:
        write_answer(conn, loop, key, label)


def write_answer(conn: Conn, loop: str, key: str, label: str | None = "cat") -> None:
    row = conn.execute(
        "select id, state::text from outputs where loop = %s and key = %s for update", (loop, key)
    ).fetchone()
    assert row is not None
    conn.execute(
        "insert into answers (output_id, loop, label, agreement, reviewers) values (%s, %s, %s, 1, 1)",
        (row["id"], loop, label),
    )
    steps = [OutputState.WAITING, OutputState.PUSHING, OutputState.IN_REVIEW, OutputState.ANSWERED]
    for state in steps[steps.index(OutputState(row["state"])) + 1 :]:
        move_outputs(conn, [row["id"]], state)

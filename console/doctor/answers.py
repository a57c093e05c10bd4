"""What people gave: whether it can be read, and whether the editor takes a submit with nothing in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from console.doctor.findings import Finding, fault, good, hint
from console.doctor.project import push_it
from labelloop.store.tables.unreadable import UnreadableAnswer

SHOWN = 3
"""Reasons in one line."""


def unreadable(loop: str, rows: Sequence[UnreadableAnswer]) -> Finding:
    """`rows` of store.unreadable.list_: answers that cannot be read, those that nobody else is asked for first."""
    if not rows:
        return good("answers", "each can be read", loop)
    total, stuck = rows[0].total, rows[0].stuck
    first = rows[0]
    where = f"{first.label_studio_url}/projects/{first.project_id}/data?task={first.label_studio_id}"
    if not stuck:
        alone = f"where nobody else works, update the first at {where}"
        return hint("answers", f"{total} cannot be read, and somebody else is asked: {_reasons(rows)}; {alone}", loop)
    return fault(
        "answers",
        f"{stuck} cannot be read, and nobody else is asked: {_reasons([row for row in rows if not row.again])}",
        why="they count nowhere as answers, and their outputs stay in review",
        repair=f"correct or delete it at {where}; or put what labels.xml lacks into it and run `labelloop migrate`",
        loop=loop,
    )


def empty(loop: str, takes_empty: bool, is_an_answer: bool) -> Finding:
    """`takes_empty`: the project lets people submit nothing. `is_an_answer`: in this form that says something."""
    if takes_empty == is_an_answer:
        says = "may be submitted: it means that there is none" if is_an_answer else "is stopped by the editor"
        return good("empty answer", f"an answer with nothing in it {says}", loop)
    return fault(
        "empty answer",
        f"an answer with nothing in it {'is stopped by' if is_an_answer else 'passes'} the editor",
        why="where nothing is to be marked people cannot say so" if is_an_answer else "it cannot be read",
        repair=push_it(loop),
        loop=loop,
    )


def _reasons(rows: Sequence[UnreadableAnswer]) -> str:
    counts = Counter(row.reason for row in rows).most_common()
    shown = "; ".join(f"{reason} ({n})" for reason, n in counts[:SHOWN])
    return shown + (f"; and {len(counts) - SHOWN} other reasons" if len(counts) > SHOWN else "")

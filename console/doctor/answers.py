"""Checks of the answers: unreadable annotations, tasks that cannot be read, and empty submits in the editor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from console.doctor.findings import Finding, fault, good, hint
from console.doctor.project import push_it
from labelloop.labelstudio.gateway import Gateway
from labelloop.store.alerts.faulty import FaultyTask
from labelloop.store.alerts.rows import OpenCount
from labelloop.store.questions.health import Refused
from labelloop.store.tables.unreadable import UnreadableAnswer

REASONS_SHOWN = 3
"""Reasons named in one finding; the others are counted."""

LONGEST_REASON = 300
ALERTS_WAIT = timedelta(days=3)
"""An alert that is open for longer is a fault."""


def unreadable(loop: str, rows: Sequence[UnreadableAnswer]) -> Finding:
    """Report answers that cannot be read. `rows` of store.unreadable.list_: outputs without another annotator first."""
    if not rows:
        return good("answers", "all can be read", loop)
    total, stuck = rows[0].total, rows[0].stuck
    first = rows[0]
    where = f"{first.label_studio_url}/projects/{first.project_id}/data?task={first.label_studio_id}"
    if not stuck:
        alone = f"without another annotator, correct the first at {where}"
        return hint("answers", f"{total} cannot be read, and somebody else is asked: {_reasons(rows)}; {alone}", loop)
    return fault(
        "answers",
        f"{stuck} cannot be read, and nobody else is asked: {_reasons([row for row in rows if not row.again])}",
        why="they do not count as answers, so their outputs stay in review",
        repair=f"correct or delete it at {where}; or add what is missing to labels.xml and run `labelloop migrate`",
        loop=loop,
    )


def faulty(loop: str, rows: Sequence[FaultyTask]) -> Finding:
    """Report the tasks at which Label Studio fails."""
    if not rows:
        return good("faulty tasks", "Label Studio can show all", loop)
    first, n = rows[0], len(rows)
    url = f"{first.label_studio_url}/projects/{first.project_id}/data?task={first.label_studio_id}"
    of = "" if first.key is None else f" ({first.key})"
    return fault(
        "faulty tasks",
        f"{n}, the first is task {first.label_studio_id}{of} since {first.since:%Y-%m-%d %H:%M} UTC: {first.reason}",
        why="answers to them do not come in; all other tasks are read",
        repair=f"labelloop pull --loop {loop}  # tries them again, after they were repaired or deleted: {url}",
        loop=loop,
    )


def alerts(loop: str, counts: Sequence[OpenCount]) -> Finding:
    """Report alerts about which nobody has decided yet."""
    if not counts:
        return good("alerts", "none is open", loop)
    n, oldest = sum(count.n for count in counts), max(count.oldest for count in counts)
    kinds = ", ".join(f"{count.n} {count.kind}" for count in counts)
    says = f"{n} {'is' if n == 1 else 'are'} open: {kinds}"
    if oldest < ALERTS_WAIT:
        return hint("alerts", f"{says}; `labelloop alerts --loop {loop}` lists them", loop)
    return fault(
        "alerts",
        f"{says}; the oldest for {oldest.days} days",
        why="what people did there does not count until somebody decides",
        repair=f"labelloop alerts --loop {loop}",
        loop=loop,
    )


def opinions(loop: str, waiting: str | None) -> Finding:
    """Report items that wait for a person who is not there. `waiting`: the sentence about them; None without any."""
    if waiting is None:
        return good("opinions", "enough people have answered for all opinions that are asked", loop)
    return hint("opinions", waiting.rstrip("."), loop)


def skipped(loop: str, sentence: str | None) -> Finding:
    """Report open items that everybody skipped. `sentence`: the words about them; None without any."""
    if sentence is None:
        return good("skipped", "no open output was skipped by everybody", loop)
    return hint("skipped", sentence.rstrip("."), loop)


def adjudicators(loop: str, named: Sequence[str], studio: Gateway) -> Finding:
    """Report the addresses of `adjudicators` that nobody in Label Studio has."""
    known = {person.email.lower() for person in studio.users().values()}
    if unknown := [address for address in named if address.lower() not in known]:
        who = f"Label Studio knows nobody with the address {', '.join(unknown)}"
        return hint("adjudicators", f"{who}: correct `adjudicators` in loop.yaml, or let them sign up", loop)
    return good("adjudicators", f"{len(named)} in Label Studio", loop)


def refused(loop: str, rows: Sequence[Refused]) -> Finding:
    """Report the outputs that Label Studio refused. `rows`: by reason, the most frequent first."""
    if not rows:
        return good("refused outputs", "Label Studio refused no output", loop)
    n = sum(row.n for row in rows)
    shown = "; ".join(f"{row.n:,} like {row.key}: {_line(row.reason)}" for row in rows[:REASONS_SHOWN])
    more = f"; and {len(rows) - REASONS_SHOWN} other reasons" if len(rows) > REASONS_SHOWN else ""
    return fault(
        "refused outputs",
        f"Label Studio refused {n:,} output{'s' * (n != 1)}. {shown}{more}",
        why="no person is asked about them",
        repair="correct what the reason names, and submit the items again with other keys",
        loop=loop,
    )


def _line(reason: str) -> str:
    words = " ".join(reason.split())
    return words if len(words) <= LONGEST_REASON else words[: LONGEST_REASON - 3] + "..."


def empty(loop: str, takes_empty: bool, is_an_answer: bool) -> Finding:
    """Compare the editor with the form. `takes_empty`: the project accepts an empty submit. `is_an_answer`: an empty
    submit is a valid answer in this form.
    """
    if takes_empty == is_an_answer:
        says = "is accepted: there is nothing to mark" if is_an_answer else "is rejected by the editor"
        return good("empty answer", f"an empty answer {says}", loop)
    return fault(
        "empty answer",
        f"an empty answer is {'rejected' if is_an_answer else 'accepted'} by the editor",
        why="annotators cannot answer that there is nothing to mark" if is_an_answer else "it cannot be read",
        repair=push_it(loop),
        loop=loop,
    )


def people(loop: str, sentences: Sequence[str]) -> Finding:
    """Report people of loop.yaml who are not in Label Studio, and tasks for which there are too few people."""
    if not sentences:
        return good("people", "all open tasks have people who can answer them", loop)
    return hint("people", " ".join(sentences), loop)


def _reasons(rows: Sequence[UnreadableAnswer]) -> str:
    counts = Counter(row.reason for row in rows).most_common()
    shown = "; ".join(f"{reason} ({n})" for reason, n in counts[:REASONS_SHOWN])
    return shown + (f"; and {len(counts) - REASONS_SHOWN} other reasons" if len(counts) > REASONS_SHOWN else "")

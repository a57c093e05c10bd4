"""Sentences on what follows if answers of a person count no more, for the page and the command line."""

from __future__ import annotations

from labelloop.reading.texts import counted
from labelloop.store.people.plan import Plan
from labelloop.versions.version import short

NAMED_VERSIONS = 10
"""Versions that the sentences name, the newest; the others are counted."""


def plan_words(found: Plan) -> list[str]:
    """Return the plan in sentences, the answers first and the versions last."""
    n = found.covered
    upto = "" if found.until is None else f" until {found.until:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"{found.person}, loop {found.loop}: answers since {found.since:%Y-%m-%d %H:%M} UTC{upto} would not count.",
        f"{counted(n.answers, 'answer')} now, {n.held_out:,} of them held out, {n.gold:,} of them to gold.",
    ]
    if found.decision is not None:
        lines.append(f"Decision {found.decision} says so already; nothing new would be stored.")
    if n.short:
        without = f" {n.alone:,} of them would have no answer." if n.alone else ""
        nobody = "" if found.others else " Nobody else has answered in this loop yet."
        lines.append(f"{counted(n.short, 'answered output')} would wait for other people.{without}{nobody}")
    lines += [
        f"Version {short(one.version)} ({one.stage}) learned from {one.taught:,} of them, and {one.judged:,} judged it."
        for one in found.versions[:NAMED_VERSIONS]
    ] or ["No version learned from them."]
    if (more := len(found.versions) - NAMED_VERSIONS) > 0:
        lines.append(f"{counted(more, 'older version')} learned from them, or {'was' if more == 1 else 'were'} judged.")
    return lines

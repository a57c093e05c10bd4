"""Report on assigned tasks: who has how many, which tasks nobody can answer, and who has worked without a pause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from backend.report.parts import Report
from labelloop.answers.trust import measures
from labelloop.answers.trust.said import Said
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.people.sharing import Sharing, sharing
from labelloop.store.tables import projects

LEFT_NAMED = 5
"""Tasks that a sentence names for each reason; the others are counted."""


class Assigned:
    """Facts for reports on how open tasks are shared out. Without the section `people` there are none."""

    def __init__(self, conn: Conn, spec: LoopSpec, now: datetime) -> None:
        self._found: Sharing | None = sharing(conn, spec, now)
        self._now = now
        project = projects.get(conn, spec.name) if self._found is not None else None
        base = None if project is None else project.label_studio_url
        self._data = f"{base.rstrip('/')}/projects/{project.project_id}/data" if base and project else None

    def to(self, ids: Sequence[UUID]) -> Report | None:
        """Return {"open", "answers", "load", "period", "standing", "tab"} of a person; None if loop.yaml names
        somebody else. `ids`: the person's rows of reviewers.
        """
        one = next((one for one in self._found.people if one.id in ids), None) if self._found else None
        if self._found is None or one is None:
            return None
        n = len(self._found.open_tasks(one.id))
        return {
            "open": n,
            "answers": one.answers,
            "load": n + one.answers,
            "period": self._found.rule.period,
            "standing": self._found.standing(one.id),
            "tab": f"{self._data}?tab={one.tab_id}" if self._data and one.tab_id else None,
        }

    def pause(self, rows: Sequence[Said], slower: Any = None) -> str | None:
        """Return a suggestion to make a pause; None if none is due. `rows`: the person's answers, in their order."""
        sittings = measures.sessions(rows)
        if self._found is None or not sittings or self._now - rows[-1].at > measures.GAP:
            return None
        minutes = int((rows[-1].at - sittings[-1][0].at) / timedelta(minutes=1))
        if minutes < self._found.rule.pause_after:
            return None
        gap = int(measures.GAP / timedelta(minutes=1))
        tired = slower is not None and slower.low is not None and slower.low > 1
        more = f", and takes {100 * (slower.value - 1):.0f} % longer after each hour" if tired else ""
        return f"has worked {minutes} minutes without a pause of {gap} minutes{more}: time for one"

    def sentences(self) -> list[str]:
        """Return what somebody should know or do about it."""
        if self._found is None:
            return []
        found = []
        if missing := self._found.unknown():
            found.append(
                f"Nobody in Label Studio's project has the address {', '.join(missing)} yet: `labelloop invite` prints "
                "the link to sign up, or correct `people.who` in loop.yaml."
            )
        if left := self._found.left_over():
            by_reason: dict[str, list[str]] = {}
            for task, why in left:
                by_reason.setdefault(why, []).append(task.key)
            named = "; ".join(f"{_named(keys)}: {why}" for why, keys in by_reason.items())
            found.append(
                f"{len(left)} open {'task has' if len(left) == 1 else 'tasks have'} too few people. {named}. "
                "They wait, and Label All Tasks serves them to everybody."
            )
        return found


def without_people(conn: Conn, spec: LoopSpec) -> list[str]:
    """Return sentences about tasks that too few people can answer, and people who are not there."""
    return Assigned(conn, spec, datetime.now(UTC)).sentences()


def assigned_lines(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is assigned to a person as pairs of a name and its value."""
    found = one["assigned"]
    lines = [("pause", one["pause"])] if one["pause"] else []
    if found is not None:
        when = "today" if found["period"] == "day" else f"this {found['period']}"
        words = f"{found['open']} to answer and {found['answers']} answered {when}"
        lines.append(("assigned", f"{words}; {found['standing']}"))
    return lines


def _named(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - LEFT_NAMED:,} more" if len(keys) > LEFT_NAMED else ""
    return ", ".join(keys[:LEFT_NAMED]) + more

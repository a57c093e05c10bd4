"""Checks of the Label Studio server: version, database, token, and agreement of all clocks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.doctor.findings import Finding, fault, good, hint, unseen

OLDEST = (1, 23, 2)
"""The first version with corrected protection of private addresses; all our measurements were made on it."""
NEWEST = (1, 23, 2)
"""The newest version that labelloop was tested with."""
SKEW_S = 3.0


def version(said: str) -> Finding:
    numbers = tuple(int(n) for n in re.findall(r"\d+", said)[:3])
    if not numbers:
        return unseen("version", f"Label Studio reports an unknown version: {said!r}")
    if numbers < OLDEST:
        return fault(
            "version",
            f"Label Studio is {said}, older than {_dotted(OLDEST)}",
            why="its queue, webhooks and import were measured on that version; older ones rank and refuse differently",
            repair=f"pip install label-studio=={_dotted(OLDEST)}  # in Label Studio's environment, then restart it",
        )
    if numbers > NEWEST:
        return hint("version", f"Label Studio is {said}; labelloop was tested with {_dotted(NEWEST)}")
    return good("version", f"Label Studio {said}")


def database(kind: str | None) -> Finding:
    if kind is None:
        return unseen("database", "unknown: the API answers of Label Studio do not tell its database")
    if kind == "sqlite":
        return fault(
            "database",
            "Label Studio uses SQLite",
            why="on SQLite, Label Studio serves one task to two annotators (12 to 15 % of tasks with four annotators), "
            "reuses ids of deleted tasks, and may complete an import 90 s late",
            repair="start Label Studio with DJANGO_DB=default and POSTGRE_HOST, _PORT, _NAME, _USER and _PASSWORD",
        )
    return good("database", "Label Studio uses Postgres")


def clocks(ahead: Mapping[str, tuple[float, float]]) -> Finding:
    """Compare the clocks. `ahead`: name to (seconds ahead of ours, uncertainty in seconds)."""
    off = {name: s for name, (s, give) in ahead.items() if abs(s) - give > SKEW_S}
    if not off:
        widest = max(abs(s) for s, _ in ahead.values())
        return good("clocks", f"{', '.join(ahead)} and this machine agree within {widest + 0.05:.1f} s")
    said = ", ".join(f"{name}'s is {abs(s):.0f} s {'ahead' if s > 0 else 'behind'}" for name, s in off.items())
    who = "this machine" if len(off) == len(ahead) > 1 else " and ".join(off)
    return fault(
        "clocks",
        f"the clocks differ: {said}",
        why="expiry of personal tokens, the grace period of an import and heartbeats depend on them",
        repair=f"timedatectl set-ntp true  # on the machine of {who}",
    )


def token_refused(token: str, said: str) -> Finding:
    """Explain a 401, from the kind of the token and Label Studio's message."""
    personal = token.count(".") == 2
    page = "from Label Studio's page Account & Settings into LABELLOOP_LABEL_STUDIO_TOKEN"
    kind = "personal" if personal else "new"
    if not personal and "legacy token authentication has been disabled" in said:
        what, kind = "this is a legacy token, and the organisation takes only personal ones", "personal"
    elif personal and "credentials were not provided" in said:
        # Label Studio still exchanges the token, but then ignores the access token that it issued.
        what, kind = "this is a personal token, and the organisation takes only legacy ones", "legacy"
    elif personal and "blacklisted" in said:
        what = "the personal token was revoked, or exchanged for another"
    elif personal:
        what = "Label Studio does not know this personal token: it is another server's, or SECRET_KEY has changed"
    else:
        what = "Label Studio does not know this token"
    repair = f"copy a {kind} token {page}"
    return unseen("label studio", f"{what} ({said})", repair)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))

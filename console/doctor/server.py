"""Label Studio as a server: its version, its database, the token, and whether all clocks agree."""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.doctor.findings import Finding, fault, good, hint, unseen

OLDEST = (1, 23, 2)
"""Fixes how Label Studio is kept from calling private addresses, and is what all we know of it was measured on."""
NEWEST = (1, 23, 2)
"""The newest that labelloop was tested with."""
SKEW_S = 3.0


def version(said: str) -> Finding:
    numbers = tuple(int(n) for n in re.findall(r"\d+", said)[:3])
    if not numbers:
        return unseen("version", f"Label Studio says that its version is {said!r}")
    if numbers < OLDEST:
        return fault(
            "version",
            f"Label Studio is {said}, older than {_dotted(OLDEST)}",
            why="its queue, webhooks and import were measured on that version; older ones rank and refuse otherwise",
            repair=f"pip install label-studio=={_dotted(OLDEST)}  # in Label Studio's environment, then restart it",
        )
    if numbers > NEWEST:
        return hint("version", f"Label Studio is {said}; labelloop was tested with {_dotted(NEWEST)}")
    return good("version", f"Label Studio {said}")


def database(kind: str | None) -> Finding:
    if kind is None:
        return unseen("database", "the answers of Label Studio do not tell what it keeps its data in")
    if kind == "sqlite":
        return fault(
            "database",
            "Label Studio keeps its data in SQLite",
            why="there it serves one task to two people (12 to 15 % with four at work), gives the ids of deleted "
            "tasks away again, and may carry out an import a minute and a half late",
            repair="start Label Studio with DJANGO_DB=default and POSTGRE_HOST, _PORT, _NAME, _USER and _PASSWORD",
        )
    return good("database", "Label Studio is on Postgres")


def clocks(ahead: Mapping[str, tuple[float, float]]) -> Finding:
    """`ahead`: name to the seconds by which its clock is ahead of ours, and how far that may be wrong."""
    off = {name: s for name, (s, give) in ahead.items() if abs(s) - give > SKEW_S}
    if not off:
        widest = max(abs(s) for s, _ in ahead.values())
        return good("clocks", f"{', '.join(ahead)} and this machine agree within {widest + 0.05:.1f} s")
    said = ", ".join(f"{name}'s is {abs(s):.0f} s {'ahead' if s > 0 else 'behind'}" for name, s in off.items())
    who = "this machine" if len(off) == len(ahead) > 1 else " and ".join(off)
    return fault(
        "clocks",
        f"the clocks differ: {said}",
        why="what is late, stale or expired is judged by them: personal tokens, the grace of an import, heartbeats",
        repair=f"timedatectl set-ntp true  # on the machine of {who}",
    )


def token_refused(token: str, said: str) -> Finding:
    """What a 401 means, by the kind of the token and by Label Studio's words."""
    personal = token.count(".") == 2
    page = "of Label Studio's page Account & Settings into LABELLOOP_LABEL_STUDIO_TOKEN"
    kind = "personal" if personal else "new"
    if not personal and "legacy token authentication has been disabled" in said:
        what, kind = "the token is a legacy one, and this organisation takes only personal ones", "personal"
    elif personal and "credentials were not provided" in said:
        # It still exchanges the token, and then does not look at what it gave for it.
        what, kind = "the token is a personal one, and this organisation takes only legacy ones", "legacy"
    elif personal and "blacklisted" in said:
        what = "the personal token was revoked, or exchanged for another"
    elif personal:
        what = "Label Studio does not know this personal token: it is another server's, or SECRET_KEY has changed"
    else:
        what = "Label Studio does not know this token"
    repair = f"put a {kind} token {page}"
    return unseen("label studio", f"{what} ({said})", repair)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))

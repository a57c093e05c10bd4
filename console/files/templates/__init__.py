"""Templates of loops: a folder each, with a form, a loop.yaml with comments, and sample outputs; some with code."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from labelloop.errors import UsageError

FOLDER = Path(__file__).parent
SAMPLES = "samples.ndjson"
TABLE = FOLDER / "table.yaml"
"""The loop.yaml of a loop that is made from a table."""
FILES = ("loop.yaml", "labels.xml", SAMPLES)
_FOLDERS = (FOLDER, FOLDER / "more")


def names() -> list[str]:
    """Return the names of the templates."""
    return sorted(file.parent.name for folder in _FOLDERS for file in folder.glob("*/loop.yaml"))


def folder_of(name: str) -> Path:
    """Return the folder of the template with this name."""
    return next(folder / name for folder in _FOLDERS if (folder / name / "loop.yaml").exists())


def phrase(name: str) -> str:
    """Return the question of a template to people: the first line of its loop.yaml without the sentence on the form."""
    first = (folder_of(name) / "loop.yaml").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return " ".join(one for one in re.split(r"(?<=[.?]) ", first) if "labels.xml" not in one)


def files_of(name: str) -> dict[str, str]:
    """Return the text of each file of a template. Raises UsageError with the nearest name if there is none."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"no template {name!r}; {f'did you mean {near[0]!r}? ' if near else ''}there are: {', '.join(known)}"
        )
    folder = folder_of(name)
    code = sorted(file.name for file in folder.glob("*.py"))
    return {file: (folder / file).read_text(encoding="utf-8") for file in (*FILES, *code)}

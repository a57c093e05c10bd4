"""Description: the name, tags and note that people give a version. The version itself never changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.errors import UsageError

LONGEST_NAME = 60
MOST_TAGS, LONGEST_TAG = 10, 30
LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Description:
    name: str | None = None
    """Name given by a person; None if there is none."""
    tags: tuple[str, ...] = ()
    note: str | None = None

    @classmethod
    def of(cls, name: str | None, tags: Iterable[str], note: str | None) -> Description:
        """Return the typed values, stripped of blanks. An empty name or note is None, and duplicate tags are dropped.

        Raises UsageError for a value that is too long, or that holds control characters.
        """
        name, note = _text("name", name, LONGEST_NAME), _text("note", note, LONGEST_NOTE, lines=True)
        kept = dict.fromkeys(tag for given in tags if (tag := _text("tag", given, LONGEST_TAG)) is not None)
        if len(kept) > MOST_TAGS:
            raise UsageError(f"a version has at most {MOST_TAGS} tags; {len(kept)} were given")
        if cut := [tag for tag in kept if "," in tag]:
            raise UsageError(f"a tag holds no comma, which separates tags; {cut[0]!r} was given")
        return cls(name, tuple(kept), note)


@dataclass(frozen=True, slots=True)
class DescriptionChange:
    """One change of a version's description, as it is on record."""

    id: int
    """Rises with every change of any version."""
    name: str | None
    tags: Sequence[str]
    note: str | None
    by: str
    at: datetime

    @property
    def description(self) -> Description:
        """Description of the version from this change on."""
        return Description(self.name, tuple(self.tags), self.note)


def _text(what: str, given: str | None, longest: int, *, lines: bool = False) -> str | None:
    text = (given or "").replace("\r\n", "\n").strip()
    if len(text) > longest:
        raise UsageError(f"a {what} has at most {longest} characters; {len(text)} were given")
    if not all(character.isprintable() or (lines and character in "\n\t") for character in text):
        raise UsageError(f"the {what} {text[:40]!r} holds characters that cannot be seen")
    return text or None

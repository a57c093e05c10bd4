"""The file of heads: the newest seal of the record, published outside of the database after each sealing.

A line is a JSON object, and lines are only added. To cut off the end of the record, or to write the chain anew, one has
to change this file too. So keep it on another volume, or copy it to a place that the database's owner cannot change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from labelloop.errors import SettingsError

FILE = Path("record") / "heads.jsonl"
"""Its place in the data folder."""
TAIL = 4_096
"""More bytes than a line has."""


@dataclass(frozen=True, slots=True)
class Published:
    """One line."""

    chain: UUID
    seq: int
    hash: bytes
    at: datetime
    restored_by: str | None = None
    """The person who said that an older backup was restored."""
    why: str | None = None
    place: int = 0
    """The place at which that backup ended: earlier lines with a higher `seq` do not count."""


def written(line: Published) -> str:
    """Return the line as it is in the file, without its end."""
    said = {"chain": str(line.chain), "seq": line.seq, "hash": line.hash.hex(), "at": line.at.isoformat()}
    if line.restored_by is not None:
        said |= {"restored_by": line.restored_by, "why": line.why or "", "place": line.place}
    return json.dumps(said)


def append(path: Path, line: Published) -> None:
    """Add the line, and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and not _ends_a_line(path):  # the process was killed in the middle of a line
            file.write(b"\n")
        file.write(written(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def size(path: Path) -> int:
    """Return the number of bytes of the file; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read(path: Path, chain: UUID, upto: int) -> Iterator[Published]:
    """Return the lines of this chain in the first `upto` bytes. A line that was not written to its end is left out."""
    if not upto:
        return
    try:
        file = path.open("rb")
    except OSError as exc:
        raise SettingsError(f"the file of heads {path} cannot be read: {exc.strerror}") from exc
    with file:
        while file.tell() < upto and (line := file.readline()):
            found = _parse(line)
            if found is not None and found.chain == chain:
                yield found


def restorations(path: Path, chain: UUID, upto: int) -> list[Published]:
    """Return the lines that say that an older backup was restored."""
    return [line for line in read(path, chain, upto) if line.restored_by is not None]


def in_force(path: Path, chain: UUID, upto: int) -> Iterator[tuple[int, bytes, str]]:
    """Return place, hash and time of each head, without those that a later restoration has made void."""
    restored = restorations(path, chain, upto)
    for line in read(path, chain, upto):
        if restored and line == restored[0]:
            restored.pop(0)
        if all(line.seq <= later.place for later in restored):
            yield line.seq, line.hash, line.at.isoformat(timespec="seconds")


def last(path: Path, chain: UUID) -> Published | None:
    """Return the last line of this chain, if it is one of the last of the file; else None."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            found = [line for line in map(_parse, file.readlines()) if line is not None and line.chain == chain]
    except FileNotFoundError:
        return None
    return found[-1] if found else None


def _parse(line: bytes) -> Published | None:
    try:
        said = json.loads(line)
        return Published(
            UUID(said["chain"]), int(said["seq"]), bytes.fromhex(said["hash"]), datetime.fromisoformat(said["at"]),
            said.get("restored_by"), said.get("why"), int(said.get("place", said["seq"])),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

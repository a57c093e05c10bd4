"""Places: where a deep look finds what it compares, as plain values. This package uses no code of the writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Places:
    database_url: str
    label_studio_url: str
    label_studio_token: str
    grace_s: float
    """Seconds for which an import without a response may still take effect."""
    models_dir: Path | None = None
    rooms: Path | None = None
    """Folder in which a new process finds the packages that load a model."""
    backend_url: str = ""
    """Address of the backend; empty if nobody has its password."""
    backend_login: tuple[str, str] = ("", "")
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The known secrets by the name of their setting."""
    logs: Sequence[Path] = ()
    """Folders of log files."""
    heads: Path | None = None
    """File of the published heads of the record."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop and its project, as one snapshot of Postgres has them."""

    name: str
    spec: Mapping[str, Any]
    labels_xml: str
    project_id: int | None
    """None if the loop has no project yet."""
    instance: UUID | None
    signing_key: bytes
    archived_at: datetime | None = None
    """None if it is at work."""


class CouldNotLookError(Exception):
    """A server did not answer, or gave an answer that cannot be read. The message says which and why."""

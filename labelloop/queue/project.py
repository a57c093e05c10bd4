"""LoopProject: where a loop is in Label Studio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.reading.ids import ProjectId


@dataclass(frozen=True, slots=True)
class LoopProject:
    """A row of projects."""

    loop: str
    label_studio_url: str
    project_id: ProjectId | None
    """None between the intent to create the project and Label Studio's reply."""
    instance: UUID
    """Our own name for this project of this Label Studio: one that was set up anew gives its ids away again."""
    signing_key: bytes
    """Signs the output's id in a task's data, which any member of the project can edit."""
    model_version: str
    """The version whose predictions Label Studio shows and ranks by."""
    bookmark: datetime | None
    """All changes in Label Studio before this time, by its own clock, are stored."""
    swept_at: datetime | None
    """When every task was last compared."""
    words: Mapping[str, str]
    """Title, description and instruction as labelloop last wrote them."""

    @property
    def id(self) -> ProjectId:
        """Label Studio's id of the project, which has to be created already."""
        assert self.project_id is not None
        return self.project_id

"""The Label Studio of the settings, as the one that resolves a loop's own addresses."""

from __future__ import annotations

from labelloop.labelstudio.connection import Connection
from labelloop.pictures.opening import LabelStudio
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import projects


class Studio:
    """Label Studio, if the settings name one; the connection is made when an address needs it."""

    def __init__(self, database: Database, settings: Settings, spec: LoopSpec) -> None:
        self._database, self._settings, self._loop = database, settings, spec.name
        self._connection: Connection | None = None

    def __enter__(self) -> LabelStudio | None:
        if not self._settings.label_studio_url or not self._settings.label_studio_token:
            return None
        with self._database.transaction() as conn:
            project = projects.get(conn, self._loop)
        return LabelStudio(
            self._settings.label_studio_url,
            self._authorization,
            None if project is None else project.project_id,
        )

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def _authorization(self) -> str:
        if self._connection is None:
            self._connection = Connection(self._settings.label_studio_url, self._settings.label_studio_token)
        return self._connection.authorization()

"""The Looker of a loop: with the settings' Label Studio, and the storages of the loop's project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labelloop.errors import LabelloopError
from labelloop.labelstudio.gateway import Gateway
from labelloop.pictures.media.look import Looker
from labelloop.pictures.studio import Studio
from labelloop.process.settings import Settings
from labelloop.spec.fetching import Private
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import projects


@contextmanager
def looker_of(database: Database, settings: Settings, spec: LoopSpec) -> Iterator[Looker]:
    """Yield the Looker. Label Studio is asked only if an address needs it."""
    with Studio(database, settings, spec) as studio:
        private = Private.read(settings.fetch_private)
        looker = Looker(private, settings.label_studio_page, studio, _storages(database, settings, spec))
        try:
            yield looker
        finally:
            looker.close()


def _storages(database: Database, settings: Settings, spec: LoopSpec) -> Callable[[], frozenset[str] | None]:
    """Return what tells the buckets of the project's storages; it asks Label Studio once."""
    asked: list[frozenset[str] | None] = []
    lock = threading.Lock()

    def storages() -> frozenset[str] | None:
        with lock:
            if not asked:
                asked.append(_asked(database, settings, spec))
            return asked[0]

    return storages


def _asked(database: Database, settings: Settings, spec: LoopSpec) -> frozenset[str] | None:
    """Return the buckets of the project's storages; None if there is no project, or no answer."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    if project is None or project.project_id is None or not settings.label_studio_token:
        return None
    try:
        gateway = Gateway(settings.label_studio_url, settings.label_studio_token)
    except LabelloopError:
        return None
    try:
        return gateway.buckets(project.project_id)
    except LabelloopError:
        return None
    finally:
        gateway.close()

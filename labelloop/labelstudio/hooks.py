"""Webhooks and ML backends that a project of Label Studio is connected to."""

from __future__ import annotations

from typing import Any

from labelloop.labelstudio.connection import READ, WRITE, Calls
from labelloop.reading.ids import ProjectId


class Hooks(Calls):
    """Calls about webhooks and ML backends."""

    def webhooks(self, project_id: ProjectId) -> list[Any]:
        with self._clear("the list of webhooks"):
            return list(self._ls.webhooks.list(project=project_id, request_options=READ))

    def create_webhook(self, project_id: ProjectId, **fields: Any) -> None:
        with self._clear("the creation of the webhook", write=True):
            self._ls.webhooks.create(project=project_id, **fields, request_options=WRITE)

    def delete_webhook(self, webhook_id: int) -> None:
        with self._clear("the deletion of a webhook", write=True):
            self._ls.webhooks.delete(webhook_id, request_options=WRITE)

    def ml_backends(self, project_id: ProjectId) -> list[Any]:
        with self._clear("the list of ML backends"):
            return list(self._ls.ml.list(project=project_id, request_options=READ))

    def create_ml_backend(self, project_id: ProjectId, **fields: Any) -> None:
        with self._clear("the connection of the ML backend", write=True):
            self._ls.ml.create(project=project_id, **fields, request_options=WRITE)

    def update_ml_backend(self, backend_id: int, **fields: Any) -> None:
        """Change an ML backend. Label Studio tries the connection first; raises Refused, status 400, if that fails."""
        with self._clear(f"the change of ML backend {backend_id}", write=True):
            self._ls.ml.update(backend_id, **fields, request_options=WRITE)

    def delete_ml_backend(self, backend_id: int) -> None:
        with self._clear(f"the removal of ML backend {backend_id}", write=True):
            self._ls.ml.delete(backend_id, request_options=WRITE)

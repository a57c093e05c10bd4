"""LabelStudioMLBase as the 2.x line publishes it: constructed with project and form, a cache by key, fit by event."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


class LabelStudioMLBase:
    INITIAL_MODEL_VERSION = "0.0.1"

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        self._cache = Path(os.environ["MODEL_DIR"]) / "cache.json"
        if label_config is not None:
            self.use_label_config(label_config)
        if not self.model_version:
            self.set("model_version", self.INITIAL_MODEL_VERSION)
        self.setup()

    def setup(self) -> None:
        """For the model to override."""

    def use_label_config(self, label_config: str) -> None:
        self.form = ElementTree.fromstring(label_config)
        self.set("label_config", label_config)

    def get(self, key: str) -> Any:
        return json.loads(self._cache.read_text()).get(key) if self._cache.exists() else None

    def set(self, key: str, value: str) -> None:
        known = json.loads(self._cache.read_text()) if self._cache.exists() else {}
        self._cache.write_text(json.dumps({**known, key: value}))

    @property
    def label_config(self) -> Any:
        return self.get("label_config")

    @property
    def model_version(self) -> Any:
        return self.get("model_version")

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **kwargs: Any) -> Any:
        """For the model to override."""

    def fit(self, event: str, data: dict[str, Any], **additional_params: Any) -> Any:
        """For the model to override."""

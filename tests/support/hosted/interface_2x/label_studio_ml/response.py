"""ModelResponse as the 2.x line publishes it: the predictions, and the version that made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class ModelResponse:
    predictions: list[Any]
    model_version: str | None = None

    def model_dump(self) -> dict[str, Any]:
        return {"model_version": self.model_version, "predictions": self.predictions}

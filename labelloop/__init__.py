"""labelloop closes the loop around Label Studio: outputs in, people's answers out, a better model back.

What a pipeline needs is here, and is light: no web server, no models, no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from labelloop.client import AsyncClient, Batch, Client, Outcome, Receipt, Status
from labelloop.errors import Busy, Conflict, InvalidOutput, LabelloopError, Undecided, Unreachable, UsageError
from labelloop.outputs.output import Output

__all__ = [
    "AsyncClient",
    "Batch",
    "Busy",
    "Client",
    "Conflict",
    "InvalidOutput",
    "LabelloopError",
    "Outcome",
    "Output",
    "Receipt",
    "Status",
    "Undecided",
    "Unreachable",
    "UsageError",
]


def __getattr__(name: str) -> Any:
    """Load `selection` or `strategies` at its first use (PEP 562): they need numpy, which the client does not."""
    if name not in ("selection", "strategies"):
        raise AttributeError(f"module 'labelloop' has no attribute {name!r}")
    try:
        return import_module(f"labelloop.{name}")
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"labelloop.{name} needs {exc.name}: pip install 'labelloop[server]'", name=exc.name
        ) from exc

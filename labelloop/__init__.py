"""labelloop closes the loop around Label Studio: outputs in, people's answers out, a better model back.

What a pipeline needs is here, and is light: no web server, no models, no numpy.
"""

from __future__ import annotations

from labelloop.client import Client, Receipt, Status
from labelloop.errors import Conflict, InvalidOutput, LabelloopError, Unreachable, UsageError
from labelloop.outputs.output import Output

__all__ = [
    "Client",
    "Conflict",
    "InvalidOutput",
    "LabelloopError",
    "Output",
    "Receipt",
    "Status",
    "Unreachable",
    "UsageError",
]

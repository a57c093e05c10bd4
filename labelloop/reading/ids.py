"""Label Studio's ids: whole numbers that are easily swapped, so each kind has a type of its own.

They become these types where Label Studio's responses are read; rows from Postgres declare them.
"""

from __future__ import annotations

from typing import NewType

ProjectId = NewType("ProjectId", int)
TaskId = NewType("TaskId", int)
AnnotationId = NewType("AnnotationId", int)
UserId = NewType("UserId", int)
"""A user of Label Studio; the same person has another id in another Label Studio."""

"""Encode: sentence vectors of texts on the CPU, by a model from a package or a folder of the user's.

Only the backend loads a model. A vector is computed once for each text and encoder, and kept in Postgres.
"""

from __future__ import annotations

from backend.encode.encoder import Encoder, encoder
from labelloop.selection.sentences import CUT

__all__ = ["CUT", "Encoder", "encoder"]

"""The deep look: the invariants of the data, checked with own SQL and an own HTTP client.

Nothing here imports the code that writes these data (import-linter checks this), so that a mistake there is found.
"""

from console.doctor.deep.looks import Status, Verdict, look_twice
from console.doctor.deep.places import CouldNotLookError, Places

__all__ = ["CouldNotLookError", "Places", "Status", "Verdict", "look_twice"]

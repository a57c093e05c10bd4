"""Groups of related answers: those that cross-validation must not part, since one of them gives away the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of
from labelloop.selection import likeness
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem

MAX_COMPARED = 10_000
"""Texts that are compared with each other, which takes 8 seconds. With more texts, only equal ones are found."""


def related(rows: Sequence[TrainingItem], field: object) -> npt.NDArray[np.int64]:
    """Return a number for each row, equal for rows that belong together: in one group, or as near-duplicates.

    `field`: the field of the data whose texts are compared. Two texts are equal if their letters and digits are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows)
    _, named = np.unique([row.group_key for row in rows], return_inverse=True)
    texts = [text_of(value_at(row.data, str(field))) for row in rows]
    alike = np.arange(n)
    if all(text is not None and not text.startswith("data:") for text in texts):
        plain = [likeness.plain(text) for text in texts if text is not None]
        if n > MAX_COMPARED:
            alike = np.unique(plain, return_inverse=True)[1]
        else:
            with one_thread:
                alike = likeness.duplicates(plain)
    # Each row links the number of its group to that of its near-duplicates; each connected component is one group.
    graph = coo_array((np.ones(n), (named, n + alike)), shape=(2 * n, 2 * n))
    return np.asarray(connected_components(graph, directed=False)[1][named], dtype=np.int64)

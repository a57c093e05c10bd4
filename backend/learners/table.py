"""Table: rows of named numbers and words to an array. What is a number and what a word is decided once, at `fit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from labelloop.reading.addresses import looks_like_address
from labelloop.reading.paths import value_at

MOST_WORDS = 250
"""Of one column: as many as gradient boosting tells apart, with a few to spare."""
LONGEST = 200
"""Of a longer word this is the beginning that counts."""
Rows = Sequence[Mapping[str, object]]


class Table(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Columns: first the numbers, then the words as positions in `words_`. NaN: missing, or a word seen only once.

    A column is of numbers where at least half of its values are (true is 1). Without `fields` it takes all that hold
    no lists or objects, except addresses (of pictures and the like) and ours, which begin with labelloop_.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = fields

    def fit(self, rows: Rows, y: object = None) -> Self:
        self.numbers_: list[str] = []
        self.words_: dict[str, list[str]] = {}
        for name in self.fields or sorted({name for row in rows for name in row if not name.startswith("labelloop_")}):
            values = [value for row in rows if (value := value_at(row, name)) is not None]
            plain = [value for value in values if isinstance(value, int | float | str)]
            if not plain or (not self.fields and len(plain) < len(values)):
                continue
            if not self.fields and 2 * sum(map(looks_like_address, plain)) > len(plain):
                continue
            words = Counter(value[:LONGEST] for value in plain if isinstance(value, str))
            if 2 * words.total() <= len(plain):
                self.numbers_.append(name)
            else:
                kept = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]
                self.words_[name] = sorted(word for word, times in kept if times > 1)
        if not self.numbers_ and not self.words_:
            raise ValueError("no field holds numbers or words")
        return self

    def transform(self, rows: Rows) -> npt.NDArray[np.float64]:
        found = np.full((len(rows), len(self.numbers_) + len(self.words_)), np.nan)
        for column, name in enumerate(self.numbers_):
            for place, row in enumerate(rows):
                if (value := value_at(row, name)) is not None:
                    found[place, column] = value
        for column, (name, words) in enumerate(self.words_.items(), len(self.numbers_)):
            known = {word: float(position) for position, word in enumerate(words)}
            for place, row in enumerate(rows):
                if (value := value_at(row, name)) is not None:
                    found[place, column] = known.get(str(value)[:LONGEST], np.nan)
        return found

    def fault(self, row: Mapping[str, object]) -> str | None:
        """Why the row cannot be read; None: it can."""
        names = [*self.numbers_, *self.words_]
        if all(value_at(row, name) is None for name in names):
            return f"it has none of the fields {', '.join(names)}"[:500]
        for name in names:
            value, wanted = value_at(row, name), "a word" if name in self.words_ else "a number"
            if value is not None and (
                not isinstance(value, int | float | str) or (isinstance(value, str) != (name in self.words_))
            ):
                return f"its field {name!r} is not {wanted} but {type(value).__name__}"
            if isinstance(value, int | float) and not abs(value) < 1e300:
                return f"its field {name!r} is no number to compute with"
        return None

"""Table: turns rows of named numbers and words into an array. `fit` decides which columns are numbers or words."""

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
"""Different words in one column: slightly fewer than gradient boosting can distinguish."""
MAX_WORD_CHARACTERS = 200
"""Characters of a word that count; the rest of a longer word is ignored."""
Rows = Sequence[Mapping[str, object]]


class Table(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Columns: first the numbers, then the words as positions in `words_`. NaN: missing, or a word that occurred once.

    A column holds numbers if at least half of its values are numbers (true is 1). Without `fields` it takes all fields
    without lists or objects, except addresses, such as those of pictures, and fields that begin with labelloop_.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = fields

    def fit(self, rows: Rows, y: object = None) -> Self:
        self.numbers_: list[str] = []
        self.words_: dict[str, list[str]] = {}
        for name in self.fields or sorted({name for row in rows for name in row if not name.startswith("labelloop_")}):
            values = [value for row in rows if (value := value_at(row, name)) is not None]
            plain = [value for value in values if isinstance(value, int | float | str)]
            if plain and (self.fields or _is_column(values, plain)):
                self._add(name, plain)
        if not self.numbers_ and not self.words_:
            raise ValueError("no field holds numbers or words")
        return self

    def _add(self, name: str, values: Sequence[int | float | str]) -> None:
        words = Counter(value[:MAX_WORD_CHARACTERS] for value in values if isinstance(value, str))
        if 2 * words.total() <= len(values):
            self.numbers_.append(name)
        else:
            kept = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]
            self.words_[name] = sorted(word for word, times in kept if times > 1)

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
                    found[place, column] = known.get(str(value)[:MAX_WORD_CHARACTERS], np.nan)
        return found

    def fault(self, row: Mapping[str, object]) -> str | None:
        """Return the reason why the row cannot be read; None if it can."""
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
                return f"its field {name!r} is not a finite number, or too large"
        return None


def _is_column(values: Sequence[object], plain: Sequence[object]) -> bool:
    """Whether a field that nobody named is a column: no value is a list or an object, and most are no addresses."""
    return len(plain) == len(values) and 2 * sum(map(looks_like_address, plain)) <= len(plain)

"""Labelled sets from files (CSV, JSON lines, Parquet), and scikit-learn's digits, which need no file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from console.simulate.labelled import EMBEDDINGS, Labelled, split_set
from labelloop.errors import UsageError
from labelloop.reading.paths import value_at
from labelloop.reading.tables import rows_of, text_of

DIGITS_DATASET = "digits"


def digits(seed: int = 0) -> Labelled:
    """Return scikit-learn's bundled handwritten digits, as in the demo."""
    from console.demo import items

    found = items.digits(seed)
    return split_set(
        DIGITS_DATASET, "images", "image", [(d, y, None) for d, y in zip(found.data, found.truth, strict=True)], seed
    )


def read(
    path: Path,
    text: str | None = None,
    label: str | None = None,
    *,
    learner: str = "text",
    embeddings: Path | None = None,
    seed: int = 0,
    encoding: str | None = None,
) -> Labelled:
    """Read the labelled set of a file; the columns are `text` and `label` unless others are named.

    A column `split` with the values train and test splits it. `embeddings` is a .npy with one row per row of the
    file; logistic regression is then trained on it, instead of the loop's learner on the text.
    """
    rows = _rows(path, encoding)
    columns = list(dict.fromkeys(name for row in rows[:1000] for name in row))
    text, label = text or "text", label or "label"
    for option, column in (("--text", text), ("--label", label)):
        if column not in columns and not any(value_at(row, column) is not None for row in rows[:1000]):
            raise UsageError(f"{option} is {column!r}; the columns of {path} are: {', '.join(columns) or 'none'}")
    vectors = None if embeddings is None else _vectors(embeddings)
    taken = [({text: text_of(value_at(row, text))}, text_of(value_at(row, label)), _split(row)) for row in rows]
    return split_set(path.stem, learner if vectors is None else EMBEDDINGS, text, taken, seed, vectors)


def _rows(path: Path, encoding: str | None) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}; name a .csv, .jsonl or .parquet, or the built-in set {DIGITS_DATASET!r}"
        )
    match path.suffix.lower():
        case ".csv" | ".tsv" | ".jsonl" | ".ndjson":
            return rows_of(path, encoding)
        case ".parquet":
            return _parquet(path)
        case other:
            raise UsageError(f"{path}: unknown file type {other or '(none)'}; there are: .csv, .tsv, .jsonl, .parquet")


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        rows: list[dict[str, Any]] = pd.read_parquet(path).to_dict("records")
    except ImportError as exc:
        raise UsageError(f"{path}: reading Parquet needs pyarrow (`pip install pyarrow`)") from exc
    except (ValueError, OSError) as exc:
        raise UsageError(f"{path} cannot be read as Parquet: {exc}") from exc
    return rows


def _split(row: Mapping[str, Any]) -> str | None:
    return text_of(row["split"]).lower() if "split" in row else None


def _vectors(path: Path) -> npt.NDArray[Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read as a .npy file of numbers: {exc}") from exc
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{path} has several arrays; save a single one with numpy.save")
    return loaded

"""The labelled sets that a benchmark reads: digits, and those of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from console.simulate import files
from console.simulate.labelled import Labelled


def labelled_sets(names: Iterable[str], data: Path | None) -> Iterator[tuple[str, Labelled]]:
    """Yield each set with its name: the built-in digits, or NAME.csv of the folder `data`. Others are skipped."""
    for name in names:
        if name == files.DIGITS_DATASET:
            yield name, files.digits()
        elif data is not None and (data / f"{name}.csv").exists():
            yield name, files.read(data / f"{name}.csv")

"""How far a command is: one bar on stderr where that is a terminal, and nothing anywhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

Tick = Callable[[str, int, int], object]


@contextmanager
def progress() -> Iterator[Tick]:
    """Yields what takes words, how much is done, and of how much (0: nobody knows). The bar goes with the `with`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda words, done, of: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(16, table_column=Column(no_wrap=True, min_width=16)),
        TaskProgressColumn(table_column=Column(no_wrap=True, min_width=4)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
    )
    # stdout stays as it is: a program may read it.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)

        def tick(words: str, done: int, of: int) -> None:
            bar.update(task, description=words, completed=done, total=of or None)

        yield tick


def counted(file: IO[bytes], lines: Iterable[bytes], tick: Tick) -> Iterator[bytes]:
    """The `lines` that are read from a file, and how many of its bytes are read; of a pipe nobody knows of how many."""
    done = of = 0
    with suppress(OSError):  # it may be no file at all
        about = os.fstat(file.fileno())
        of = about.st_size if stat.S_ISREG(about.st_mode) else 0
    for line in lines:
        done = file.tell() if of else done + len(line)
        tick("outputs are sent", done, of)
        yield line

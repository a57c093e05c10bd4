"""Progress bar of a command, on stderr; nothing is shown if stderr is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[str, int, int], object]


@contextmanager
def progress() -> Iterator[Tick]:
    """Yield a function (words, done, of) that updates the bar; `of` is 0 if the total is unknown. The bar is removed at
    the end of the `with`.
    """
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
    # stdout is not redirected: a program may read it.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)

        def tick(words: str, done: int, of: int) -> None:
            bar.update(task, description=words, completed=done, total=of or None)

        yield tick

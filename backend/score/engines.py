"""Engines process chunks in this process, in other processes of this machine (loky) or on a cluster (dask).

loky and dask are used through joblib. Chunks are given out in groups, so that only a few are in memory at a time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from labelloop.errors import SettingsError, Unreachable, UsageError
from labelloop.process import rooms

ENGINES = ("local", "loky", "dask")
AHEAD = 4
"""Chunks in a group for each process."""
SCORING_NICENESS = 10
"""Niceness of scoring processes (0 to 19); serving keeps priority."""
CHECK_EVERY_S = 1.0
"""Seconds between checks whether the parent process still runs."""
CONNECT_S = 10
"""Seconds to connect to dask's scheduler."""
K = TypeVar("K")
R = TypeVar("R")
_one_at_a_time = threading.Lock()


class Engine:
    """Processes chunks in this process, each when its result is read."""

    def map(self, function: Callable[..., R], work: Iterable[tuple[K, Sequence[Any]]]) -> Generator[tuple[K, R]]:
        """Yield (key, result) for each piece of work (key, arguments of the function), in order."""
        for what, arguments in work:
            yield what, function(*arguments)


class Joblib(Engine):
    """Processes chunks in joblib's backend. The function and its arguments must pickle."""

    def __init__(self, parallel: Any, at_once: int) -> None:
        self._parallel, self._at_once = parallel, at_once

    def map(self, function: Callable[..., R], work: Iterable[tuple[K, Sequence[Any]]]) -> Generator[tuple[K, R]]:
        from joblib import delayed

        left = iter(work)
        while group := list(islice(left, self._at_once)):
            results = self._parallel(delayed(function)(*arguments) for _, arguments in group)
            with contextlib.closing(results):
                for (what, _), result in zip(group, results, strict=True):
                    yield what, result


@contextmanager
def engine(on: str = "local", cluster: str = "", workers: int = 0) -> Iterator[Engine]:
    """Start the engine with this name; its processes end with the `with` block, and if this process is killed.

    `cluster`: address of dask's scheduler. `workers`: number of loky processes; 0 for one a core.
    """
    if on not in ENGINES:
        raise UsageError(f"no engine {on!r}; there are: {', '.join(ENGINES)}")
    if (on == "dask") != bool(cluster):
        raise UsageError("dask needs the address of its scheduler, such as tcp://host:8786; other engines take none")
    if on == "local":
        yield Engine()
    elif on == "loky":
        with _one_at_a_time, _loky(workers) as found:
            yield found
    else:
        with _dask(cluster) as found:
            yield found


def named(setting: str) -> tuple[str, str]:
    """Return engine and cluster from LABELLOOP_RESCORE_ON: an engine's name, or the address of dask's scheduler."""
    return ("dask", setting) if "://" in setting else (setting or "local", "")


@contextmanager
def _loky(workers: int) -> Iterator[Engine]:
    from joblib import Parallel, cpu_count, parallel_config
    from joblib.externals.loky import get_reusable_executor

    workers = workers or cpu_count()
    try:
        with (
            parallel_config("loky", n_jobs=workers, initializer=_serve, initargs=(os.getpid(),)),
            Parallel(return_as="generator", batch_size=1, pre_dispatch="all") as parallel,
        ):
            yield Joblib(parallel, AHEAD * workers)
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask(cluster: str) -> Iterator[Engine]:
    try:
        from distributed import Client
    except ImportError as exc:
        raise SettingsError("dask is not installed here: pip install 'labelloop[cluster]'") from exc
    from joblib import Parallel, effective_n_jobs, parallel_config

    try:
        client = Client(cluster, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as exc:
        raise Unreachable(f"no dask scheduler answers at {cluster}: {exc}") from exc
    with client:
        if not client.scheduler_info()["workers"]:
            raise Unreachable(f"the dask cluster at {cluster} has no workers")
        # A dask worker with an installed labelloop finds the services' code inside that package.
        client.register_worker_callbacks(setup=rooms.put_first)  # type: ignore[no-untyped-call]
        with (
            parallel_config("dask", client=client),
            Parallel(return_as="generator", batch_size=1, pre_dispatch="all") as parallel,
        ):
            yield Joblib(parallel, AHEAD * effective_n_jobs())


def _serve(parent: int) -> None:
    """Prepare a loky process: lower its priority, and end it with its parent, which loky itself would outlive."""
    os.nice(SCORING_NICENESS)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(CHECK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

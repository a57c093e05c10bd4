"""Engines: where chunks of work are done: in this process, in others of this machine (loky), on a cluster (dask).

joblib is the one way to both. The work is given out in groups, so that what is read ahead and what is done and not yet
fetched stays small, whatever there is in all.
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
"""Pieces of work that are given out at a time to each process."""
NICE = 10
"""Of 19: annotators and predictions come first."""
LOOK_EVERY_S = 1.0
CONNECT_S = 10
K = TypeVar("K")
R = TypeVar("R")
_one_at_a_time = threading.Lock()


class Engine:
    """Does work in this process, one piece after the other, each when its result is asked for."""

    def map(self, function: Callable[..., R], work: Iterable[tuple[K, Sequence[Any]]]) -> Generator[tuple[K, R]]:
        """From pieces of work (what it is, and what the function is called with) to results, in their order."""
        for what, arguments in work:
            yield what, function(*arguments)


class Joblib(Engine):
    """Does work where joblib's backend does it. The function and what it is called with must pickle."""

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
    """The engine of this name; what it started ends with the `with`, and with us if we are killed.

    `cluster`: address of dask's scheduler. `workers`: processes of loky; 0: one for each core.
    """
    if on not in ENGINES:
        raise UsageError(f"nothing is scored on {on!r}; there are: {', '.join(ENGINES)}")
    if (on == "dask") != bool(cluster):
        raise UsageError("dask needs the address of a cluster's scheduler, such as tcp://host:8786; no other takes one")
    if on == "local":
        yield Engine()
    elif on == "loky":
        with _one_at_a_time, _loky(workers) as found:
            yield found
    else:
        with _dask(cluster) as found:
            yield found


def named(setting: str) -> tuple[str, str]:
    """Engine and cluster, as LABELLOOP_RESCORE_ON says them: a name, or the address of dask's scheduler."""
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
        raise Unreachable(f"no scheduler of dask answers at {cluster}: {exc}") from exc
    with client:
        if not client.scheduler_info()["workers"]:
            raise Unreachable(f"the cluster of {cluster} has no workers")
        # A worker with an installed labelloop looks for our rooms inside that.
        client.register_worker_callbacks(setup=rooms.put_first)  # type: ignore[no-untyped-call]
        with (
            parallel_config("dask", client=client),
            Parallel(return_as="generator", batch_size=1, pre_dispatch="all") as parallel,
        ):
            yield Joblib(parallel, AHEAD * effective_n_jobs())


def _serve(parent: int) -> None:
    """In a process of loky: it waits for more long after its parent was killed, so this one looks after itself."""
    os.nice(NICE)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

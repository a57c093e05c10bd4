"""Engines that score waiting outputs: equal results, and processes that end with their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.score.engines import engine, named
from backend.score.prelabel import prelabel
from labelloop.errors import LabelloopError, SettingsError, Unreachable, UsageError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from tests.support.backend_factory import (
    digits_spec,
    scans,
    settings_for,
    submit,
)
from tests.support.hops.rescoring import as_before, fitted, target, version, waiting
from tests.support.sync_loop import wait_until

CHUNK = 32


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.score.prelabel.CHUNK", CHUNK)


def test_a_result_is_the_same_to_the_bit_on_every_engine(database: Database, settings: Settings) -> None:
    """Pictures: their learner multiplies matrices, where the order of a sum would show."""
    from distributed import LocalCluster

    spec = digits_spec()
    images, truths = scans()
    data = [{"image": image} for image in [*images[:159], "no picture"]]
    with database.transaction() as conn:
        submit(conn, spec, data, truths[:160])
    for n, champion in ((60, True), (120, False)):
        learner = fitted("images", data[:n], truths[:n], field="image")
        version(database, settings, spec.name, learner, champion=champion)
    before = waiting(database)

    assert prelabel(database, spec.name, settings.models_dir) == 160
    local = waiting(database)
    unread = {"pair": target(database, spec.name), "confidence": None}
    assert local["item-159"] == before["item-159"] | unread, "it cannot be read"
    champion_says = fitted("images", data[:60], truths[:60], field="image").predict(data[:-1]).proba
    assert champion_says is not None
    second, first = np.sort(champion_says, axis=1)[:, -2:].T
    assert [local[f"item-{i}"]["margin"] for i in range(159)] == pytest.approx((first - second).tolist(), abs=1e-6)

    as_before(database, before)
    assert prelabel(database, spec.name, settings.models_dir, on="loky", workers=2) == 160
    assert waiting(database) == local

    as_before(database, before)
    two = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")  # type: ignore[no-untyped-call]
    with two as cluster:
        address = cluster.scheduler_address
        assert prelabel(database, spec.name, settings.models_dir, on="dask", cluster=address) == 160
    assert waiting(database) == local


def test_a_process_of_loky_shows_no_secret_and_ends_with_its_parent() -> None:
    program = (
        "import os, time; from backend.score.engines import engine\n"
        "with engine('loky', workers=2) as found:\n"
        "    for what, pid in found.map(os.getpid, ((i, ()) for i in range(8))): print(pid, flush=True)\n"
        "    time.sleep(600)"
    )
    env = {**os.environ, "LABELLOOP_DATABASE_URL": "postgresql://u:s3cret@h/d"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env, text=True) as parent:
        assert parent.stdout is not None
        pids = {int(next(parent.stdout)) for _ in range(8)}
        children = [psutil.Process(pid) for pid in pids]
        family = [*children, *psutil.Process(parent.pid).children(recursive=True)]
        assert not any("s3cret" in word for process in family for word in process.cmdline())
        assert parent.pid not in pids
        parent.kill()
    wait_until(lambda: not any(child.is_running() for child in family), 60, "the end of the children")


def test_an_engine_that_cannot_be_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[tuple[tuple[str, str], type[LabelloopError], str]] = [
        (("ray", ""), UsageError, "no engine 'ray'; there are: local, loky, dask"),
        (("dask", ""), UsageError, "dask needs the address of its scheduler"),
        (("loky", "tcp://127.0.0.1:1"), UsageError, "other engines take none"),
        (("dask", "tcp://127.0.0.1:1"), Unreachable, "no dask scheduler answers at tcp://127.0.0.1:1"),
    ]
    monkeypatch.setattr("backend.score.engines.CONNECT_S", 0.5)
    for words, kind, said in refused:
        with pytest.raises(kind, match=said), engine(*words):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"pip install 'labelloop\[cluster\]'"), engine("dask", "tcp://h:1"):
        pass
    assert [named(word) for word in ("", "local", "loky", "tcp://h:1")] == [
        ("local", ""), ("local", ""), ("loky", ""), ("dask", "tcp://h:1")]  # fmt: skip
    with engine() as found, closing(found.map(replace, ((i, (None,)) for i in range(0)))) as results:
        assert list(results) == []

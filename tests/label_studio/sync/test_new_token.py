"""A token of Label Studio that is no good any more: another one is taken from where it stands, without a restart."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.errors import Refused
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import FILE
from labelloop.store.database import Database
from sync.worker import TOKEN, SyncJobs
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

OLD = "0" * 40


@pytest.fixture
def loop(
    database: Database, label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SyncLoop]:
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LABELLOOP_LABEL_STUDIO_URL", label_studio.url)
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.submit(2)
        loop.push()
        loop.annotate(loop.tasks()[0]["id"], "cat")
        yield loop


def revoked(loop: SyncLoop) -> SyncJobs:
    """A worker whose token Label Studio does not know any more."""
    settings = replace(loop.settings, label_studio_token=OLD)
    return SyncJobs(settings, loop.database, Gateway(settings.label_studio_url, OLD))


@pytest.mark.parametrize("kept_in", ["settings.env", "a secret's file"])
def test_a_new_token_is_taken_from_the_file_that_holds_it(
    loop: SyncLoop, label_studio: LabelStudio, tmp_path: Path, kept_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / FILE if kept_in == FILE else tmp_path / "token"
    line = f"{TOKEN}=" if kept_in == FILE else ""
    if kept_in != FILE:
        monkeypatch.setenv(TOKEN + "_FILE", str(file))
    jobs = revoked(loop)
    file.write_text(f"{line}{OLD}\n")
    with pytest.raises(Refused):
        jobs.pull("pets")
    assert loop.states()["answered"] == 0
    file.write_text(f"{line}{label_studio.token}\n")
    jobs.pull("pets")
    jobs.pull("pets")
    assert loop.states()["answered"] == 1


def test_a_token_only_in_the_environment_needs_a_restart_and_the_message_tells_so(
    loop: SyncLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(TOKEN, OLD)
    with caplog.at_level(logging.ERROR), pytest.raises(Refused):
        revoked(loop).pull("pets")
    assert "restart this worker" in caplog.text
    assert OLD not in caplog.text

"""The Label Studio project of a loop that is removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.store.database import Database
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop


@pytest.mark.alone
def test_the_project_goes_only_where_that_is_asked_for_and_only_if_it_is_ours(
    database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.submit(2)
        loop.push()
        at = f"/api/projects/{loop.project_id}/"
        env = replace(loop.settings, data_dir=Path("/nonexistent")).to_env() | {"USER": "ada"}

        def invoke(*words: str) -> Result:
            return CliRunner().invoke(main, ["loop", *words], env=env)

        invoke("archive", "pets")
        loop.web.patch(at, json={"description": "somebody else's"}).raise_for_status()
        kept = invoke("remove", "pets", "--with-project", "--yes", "pets")
        assert (kept.exit_code, "does not belong to loop 'pets'" in kept.stderr) == (1, True)
        assert loop.states() == {"in_review": 2}
        mark = f"labelloop:{loop.project.instance}"
        loop.web.patch(at, json={"description": mark}).raise_for_status()
        done = invoke("remove", "pets", "--with-project", "--yes", "pets")
        assert done.exit_code == 0, done.output
        assert "is also deleted, with its tasks and annotations" in done.stderr
        assert loop.web.get(at).status_code == 404
        assert loop.states() == {}

"""From a model version to the annotations behind it, on the real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from backend.train.train import train
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.questions import lineage
from labelloop.store.tables import runs, versions
from tests.support.backend_factory import CONFIGS, settings_for
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def cli(settings: Settings, *words: str) -> Result:
    env = settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(CONFIGS)}
    return CliRunner().invoke(main, list(words), env=env)


def version_of(database: Database, settings: Settings, loop: str, seed: int = 0) -> tuple[str, UUID]:
    """A refused version of today's answers, without a child process; and its run."""
    with database.transaction() as conn:
        run_id = runs.request(conn, loop, "a test", seed=seed)
        assert run_id is not None
        assert runs.claim(conn, loop, None) is not None
    version: str = train(database, settings.models_dir, run_id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=version)
        versions.refuse(conn, version)
    return version, run_id


def test_a_version_leads_to_every_annotation_behind_it_as_it_was_then_and_back(
    database: Database, settings: Settings, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.submit(3)
        loop.push()
        tasks = loop.tasks()
        said = {
            task["data"]["labelloop_key"]: (loop.annotate(task["id"], label), label)
            for task, label in zip(tasks, ("cat", "dog", "eel"), strict=True)
        }
        loop.pull()
        version, run_id = version_of(database, settings, "pets")
        edited, deleted, kept = said
        loop.edit(said[edited][0], "eel")
        loop.web.delete(f"/api/annotations/{said[deleted][0]}/").raise_for_status()
        loop.pull()

    with database.transaction() as conn:
        taught = {row.key: row for row in lineage.training_answers(conn, version)}
        counts = lineage.counts(conn, version)
        people = lineage.reviewers(conn, version)
    assert {key: row.label for key, row in taught.items()} == {key: label for key, (_, label) in said.items()}
    assert {key: row.stale for key, row in taught.items()} == {edited: "changed", deleted: "withdrawn", kept: None}
    assert taught[edited].now_label == "eel"
    assert (counts.answers, counts.changed, counts.withdrawn) == (3, 1, 1)
    assert people == [lineage.ReviewerShare(label_studio.email, 3)]
    for key, row in taught.items():
        (source,) = row.said
        assert (source["annotation"], source["reviewer"]) == (said[key][0], label_studio.email)
        with database.transaction() as conn:
            stored = conn.execute(
                "select result from annotation_versions where seq = %s", (source["annotation_version"],)
            ).fetchone()
        assert stored is not None
        assert stored["result"][0]["value"]["choices"] == [said[key][1]], "as it was when it taught"

    back = json.loads(cli(settings, "lineage", "--output", edited, "--loop", "pets", "--json").stdout)
    assert [(row["version"], row["run"], row["part"], row["label"], row["now_label"]) for row in back] == [
        (version, str(run_id), "train", "cat", "eel")
    ]
    mine = json.loads(cli(settings, "lineage", "--reviewer", label_studio.email, "--json").stdout)
    assert mine == [{"version": version, "stage": "refused", "taught": 3, "judged": 0}]

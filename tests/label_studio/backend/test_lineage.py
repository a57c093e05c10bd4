"""From a model version to the annotations behind it, on the real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.questions import lineage
from tests.support.backend_factory import settings_for
from tests.support.hops.lineage import cli, version_of
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


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

"""`labelloop schema` in the real Label Studio, with people at work: form, open tasks, late answers, the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from console.cli import main
from console.doctor.deepest import places
from labelloop.labeling.form_xml import same_form
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.deep_loop import looked, seal
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, region, sync_loop


class AtWork:
    """A loop in a folder, whose labels change while people answer."""

    def __init__(self, loop: SyncLoop, folder: Path) -> None:
        self.loop, self.folder = loop, folder / "loops" / loop.spec.name
        self.folder.mkdir(parents=True)
        (self.folder / "loop.yaml").write_text(YAML)
        (self.folder / "labels.xml").write_text(XML)
        loop.settings = replace(loop.settings, data_dir=folder, models_dir=folder)

    def change(self, *words: str) -> str:
        """Change labels, then push and pull as the worker does."""
        env = self.loop.settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(self.folder.parent)}
        said = CliRunner().invoke(main, ["schema", *words, "--by", "olga", "--yes"], env=env)
        assert said.exit_code == 0, said.output
        with self.loop.database.transaction() as conn:
            spec = loops.get(conn, self.loop.spec.name)
        assert spec is not None
        self.loop.spec = spec
        self.work()
        return said.output

    def work(self) -> None:
        self.loop.push()
        self.loop.pull(full=True)
        self.loop.push()

    def answers(self) -> dict[str, str | None]:
        newest = "select distinct on (output_id) output_id, label from answers order by output_id, seq desc"
        rows = self.loop.sql(f"select o.key, a.label from outputs o join ({newest}) a on a.output_id = o.id")
        return {row["key"]: row["label"] for row in rows}

    def wrong(self) -> dict[str, Any]:
        """Return what the deep look finds."""
        seal(self.loop.settings)
        return looked(places(self.loop.settings))

    def form(self) -> str:
        return str(self.loop.web.get(f"/api/projects/{self.loop.project_id}/").json()["label_config"])


def prelabel(task: dict[str, Any]) -> list[str]:
    """Return the choices that Label Studio's editor fills in: those of the newest prediction."""
    newest = max(task["predictions"], key=lambda one: one["id"])
    return [choice for one in newest["result"] for choice in one["value"]["choices"]]


@pytest.mark.timeout(600)
def test_labels_change_while_people_are_at_work_and_come_back(
    database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    ann, ben = (label_studio.sign_up(f"{who}@labels.example.org")[1] for who in ("ann", "ben"))
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        pets = AtWork(loop, tmp_path)
        keys = loop.submit(8, confidences=[0.7 - i / 100 for i in range(8)])  # the pipeline says cat
        loop.push()
        for key, label in zip(keys[:4], ("cat", "cat", "dog", "eel"), strict=True):
            loop.annotate(loop.task_of(key)["id"], label, web=ann)
        loop.pull()
        before, form, versions = pets.answers(), pets.form(), "select seq, result from annotation_versions order by seq"
        given = loop.sql(versions)
        opened = loop.next_task(ann)
        assert opened is not None
        assert prelabel(opened) == ["cat"]
        draft = {"result": region("cat"), "project": loop.project_id}
        ann.post(f"/api/tasks/{opened['id']}/drafts?project={loop.project_id}", json=draft).raise_for_status()

        pets.change("rename", "cat", "feline")
        assert same_form(loop.spec.labels_xml, pets.form())
        assert 'value="feline"' in pets.form()
        assert 'value="cat"' not in pets.form(), (
            "Label Studio takes the form although answers and drafts have the label"
        )
        assert pets.answers() == {**before, keys[0]: "feline", keys[1]: "feline"}
        served = loop.next_task(ben)
        assert served is not None
        assert prelabel(served) == ["feline"]
        loop.annotate(opened["id"], "cat", web=ann)  # from a page that was opened before
        loop.annotate(served["id"], "feline", web=ben)
        pets.work()
        late = opened["data"]["labelloop_key"]
        assert pets.answers()[late] == "feline"
        stored = loop.sql("select result from annotation_versions where task_id = %(id)s", id=opened["id"])
        assert [row["result"][0]["value"]["choices"] for row in stored] == [["cat"]], "it is kept as it was given"
        assert pets.wrong() == {}

        pets.change("split", "feline", "--into", "lion", "--into", "lynx")
        assert {label for label in pets.answers().values() if label} == {"dog", "eel"}
        again = loop.next_task(ben)
        assert again is not None
        assert prelabel(again) == []
        old = next(task for task in loop.tasks() if task["data"]["labelloop_key"] == keys[0])
        assert (old["overlap"], old["is_labeled"]) == (2, False), "one more person is asked"
        loop.annotate(old["id"], "lynx", web=ben)
        pets.work()
        assert pets.answers()[keys[0]] == "lynx"
        assert pets.wrong() == {}

        pets.change("undo")
        pets.change("undo")
        assert pets.form() == form
        assert {key: pets.answers()[key] for key in keys[1:4]} == {key: before[key] for key in keys[1:4]}
        assert loop.sql(versions)[: len(given)] == given
        assert (pets.folder / "labels.xml").read_text() == XML
        assert pets.wrong() == {}

        pets.change("merge", "dog", "eel", "--into", "other")
        assert pets.answers()[keys[2]] == pets.answers()[keys[3]] == "other"
        loop.do("update feedback set label = 'dog' where label = 'other'")
        assert set(pets.wrong()) >= {"I23"}, "somebody changed by SQL what the mapping gives"

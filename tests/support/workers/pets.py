"""A loop `pets` in a folder of its own, whose labels change by `labelloop schema`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import settings_for
from tests.support.hops.people import Said, put_to_people, say

YAML = """# Pets
feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  overlap: 2
  reviewers_may_edit: ["ann@x.example"]
"""
XML = (
    "<View>\r\n  <!-- all pets -->\r\n  <Text name='text' value='$text'/>\r\n"
    '  <Choices name="label" toName="text" choice="single-radio">\r\n'
    '    <Choice value="cat" hotkey="c"/>\r\n    <Choice value="dog" background="#fed"/>\r\n'
    '    <Choice value="eel"/>\r\n  </Choices>\r\n</View>'
)
LABELS = ("cat", "dog", "eel")
COUNTS = {
    "answers": """
        select o.key, o.state::text, a.label, a.agreement, a.reviewers from outputs o left join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1) a on true order by o.key""",
    "feedback": """
        select o.key, f.label, f.approval, f.correction, f.annotation_id, f.prelabel_kept from feedback f
        join outputs o on o.id = f.model_output_id order by o.key, f.annotation_id""",
    "outputs": """
        select key, label, confidence, probabilities, gold, result, as_given from outputs order by key""",
    "unreadable": "select annotation_version from unreadable where until is null",
    "tasks": "select o.key, t.label from tasks t join outputs o on o.id = t.output_id order by o.key",
}
GIVEN = "select seq, result, sha256 from annotation_versions order by seq"


class Pets:
    """A loop in a folder of its own, with answers of two people about each of nine outputs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder / "loops" / "pets"
        self.folder.mkdir(parents=True)
        (self.folder / "loop.yaml").write_text(YAML)
        (self.folder / "labels.xml").write_bytes(XML.encode())
        self.settings = settings_for(database.url, folder)
        spec = load(self.folder)
        made = [
            Output(f"item-{i}", {"text": f"text {i}"}, probabilities=self.shares(LABELS[i % 3]), model_version="m")
            for i in range(8)
        ]
        made.append(Output("item-8", {"text": "text 8"}, label="cat", confidence=0.4, gold="cat", model_version="m"))
        with database.transaction() as conn:
            loops.register(conn, spec)
            outputs.insert(conn, "pets", [outputs.Row.of(one, place(one, spec)) for one in made])
        self.ids = put_to_people(database, "pets")
        self.say(
            [Said(i, 1 + who, self.said(i, who), minute=i) for i in range(9) for who in (0, 1) if (i, who) != (7, 1)]
        )

    @staticmethod
    def shares(label: str) -> dict[str, float]:
        return {one: 0.5 if one == label else 0.25 for one in LABELS}

    @staticmethod
    def said(i: int, who: int) -> str:
        """Return what a person says: everybody confirms the pipeline, but about items 3 and 4 they differ."""
        return LABELS[(i + (who and i in (3, 4))) % 3]

    def say(self, given: Sequence[Said], spec: LoopSpec | None = None) -> None:
        say(self.database, spec or self.spec, self.ids, given)

    @property
    def spec(self) -> LoopSpec:
        with self.database.transaction() as conn:
            found = loops.get(conn, "pets")
        assert found is not None
        return found

    def run(self, *words: str) -> Result:
        env = self.settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(self.folder.parent)}
        return CliRunner().invoke(main, ["schema", *words], env=env)

    def change(self, *words: str) -> str:
        done = self.run(*words, "--by", "olga", "--yes")
        assert done.exit_code == 0, done.output
        return done.output

    def rows(self, statement: str) -> list[dict[str, Any]]:
        with self.database.transaction() as conn:
            return conn.execute(statement).fetchall()

    def counts(self) -> dict[str, list[dict[str, Any]]]:
        return {name: self.rows(statement) for name, statement in COUNTS.items()}

    def labels(self) -> list[str | None]:
        return [row["label"] for row in self.rows(COUNTS["answers"])]

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.folder.iterdir()}

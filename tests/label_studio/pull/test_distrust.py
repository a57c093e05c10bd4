"""A distrusted person in the real Label Studio: others are asked again, and later answers do not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from console.cli import main
from labelloop.store.database import Database
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop


def test_somebody_else_is_asked_again_and_the_person_is_not(
    database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    rob = label_studio.sign_up("rob@distrust.example.org")[1]
    with sync_loop(database, label_studio.url, label_studio.token) as loop:

        def decide(*words: str) -> str:
            said = CliRunner().invoke(main, ["people", *words, "--loop", loop.spec.name, "--by", "olga"], env=env)
            assert said.exit_code == 0, said.output
            return said.output

        def answers() -> dict[str, str | None]:
            newest = "select distinct on (output_id) output_id, label from answers order by output_id, seq desc"
            rows = loop.sql(f"select o.key, a.label from outputs o join ({newest}) a on a.output_id = o.id")
            return {row["key"]: row["label"] for row in rows}

        keys = loop.submit(3)
        loop.push()
        for key in keys[:2]:
            loop.annotate(loop.task_of(key)["id"], "eel", web=rob)
        loop.pull()
        assert answers() == dict.fromkeys(keys[:2], "eel")

        since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        assert "2 answers changed" in decide("distrust", "rob@distrust.example.org", "--since", since, "--yes")
        loop.push()
        assert loop.states() == {"in_review": 3}
        served = loop.next_task(rob)
        assert served is not None
        assert served["data"]["labelloop_key"] == keys[2], "Label Studio serves nobody the same task twice"
        loop.annotate(served["id"], "eel", web=rob)
        loop.pull()
        loop.push()
        assert loop.states() == {"in_review": 3}, "the later answer does not count either"
        assert loop.next_task(rob) is None
        for _ in keys:
            served = loop.next_task()
            assert served is not None
            loop.annotate(served["id"], "cat")
        loop.pull()
        assert loop.states() == {"answered": 3}
        assert answers() == dict.fromkeys(keys, "cat")
        assert loop.next_task() is None

        decide("trust", "rob@distrust.example.org")
        loop.push()
        assert answers() == dict.fromkeys(keys, None), "two people differ"
        assert len(loop.sql("select 1 from annotation_versions")) == 6, "nothing is deleted"

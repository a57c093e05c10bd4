"""The deep look after decisions about alerts, about people, and to forget: nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.cli import main
from console.doctor.deepest import places
from labelloop.answers.alerts import AlertState
from labelloop.store.alerts import deciding
from labelloop.store.alerts import rows as alert_rows
from labelloop.store.database import Database
from sync.answering import feedback
from sync.pull.pull import Memory
from tests.support.hops.deep_loop import LOOP, looked, seal
from tests.support.servers import LabelStudio
from tests.support.sync_loop import region, sync_loop

ANNE, BEN = "anne@decided.example.org", "ben@decided.example.org"


@pytest.mark.timeout(600)
def test_nothing_is_wrong_after_decisions_about_alerts_people_and_data(
    database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    anne, ben = (label_studio.sign_up(who)[1] for who in (ANNE, BEN))
    with sync_loop(database, label_studio.url, label_studio.token) as pets:
        pets.settings = replace(pets.settings, data_dir=tmp_path, models_dir=tmp_path)
        where, memory = places(pets.settings), Memory()

        def green(after: str) -> None:
            memory.looked_at = -1e9
            pets.pull(memory=memory)
            pets.push()
            pets.pull(full=True)
            seal(pets.settings)
            assert looked(where) == {}, after

        def run(*words: str) -> None:
            env = pets.settings.to_env() | {"USER": "olga"}
            said = CliRunner().invoke(main, [*words, "--loop", LOOP] if words[1] != "--person" else words, env=env)
            assert said.exit_code == 0, said.output

        def decide(how: Callable[..., object], ids: list[int], *more: object) -> None:
            with database.transaction() as conn:
                assert how(conn, ids, *more)

        keys = pets.submit(10)
        pets.push()
        tasks = sorted(task["id"] for task in pets.tasks())
        pets.annotate(tasks[8], "cat", web=ben)
        mine = [pets.annotate(task, "cat", web=anne) for task in tasks[:5]]
        pets.pull()
        for annotation in mine[:2]:
            pets.edit(annotation, "dog", web=ben)
        about_anne = {"result": region("eel"), "completed_by": anne.get("/api/current-user/whoami").json()["id"]}
        for task in tasks[5:7]:
            ben.post(f"/api/tasks/{task}/annotations/", json=about_anne).raise_for_status()
        ben.delete(f"/api/annotations/{mine[2]}/").raise_for_status()
        ben.delete(f"/api/annotations/{mine[3]}/").raise_for_status()
        data = {**pets.web.get(f"/api/tasks/{tasks[7]}/").json()["data"], "text": "another"}
        ben.patch(f"/api/tasks/{tasks[7]}/", json={"data": data}).raise_for_status()
        pets.annotate(tasks[7], "eel", web=anne)
        green("open alerts")

        with database.transaction() as conn:
            alerts = alert_rows.list_(conn)
        by_kind: dict[str, list[int]] = {}
        for alert in alerts:
            by_kind.setdefault(alert.kind, []).append(alert.id)
        assert sorted(map(len, by_kind.values())) == [1, 2, 2, 2], by_kind
        decide(deciding.decide, [ids[0] for ids in by_kind.values()], AlertState.ACCEPTED, "boss", "seen")
        decide(deciding.decide, [id_ for ids in by_kind.values() for id_ in ids[1:]], AlertState.REJECTED, "boss", "no")
        green("decided alerts")
        decide(deciding.reopen, [alert.id for alert in alerts])
        decide(deciding.decide, by_kind["data edited"], AlertState.REJECTED, "boss", "no")
        green("alerts that were opened again")

        since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        run("people", "distrust", BEN, "--since", since, "--yes", "--by", "olga")
        green("a person who is distrusted")
        run("people", "trust", BEN, "--by", "olga")
        green("a person who is trusted again")
        said = {"key": keys[9], "reviewer_id": ANNE, "approval": False, "correction": "eel"}
        with database.transaction() as conn:
            feedback.store(conn, pets.spec, feedback.read(json.dumps(said).encode()))
        answered = pets.sql("select key from outputs where state = 'answered' order by key limit 1")[0]["key"]
        run("forget", "--key", answered, "--yes", "--why", "asked")
        green("a forgotten output")
        run("forget", "--person", ANNE, "--yes", "--why", "asked")
        green("a forgotten person")

"""An adoption as a real process, killed by SIGKILL in the middle: the next one completes it, each answer once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from labelloop.store.database import Database
from tests.support.hops.adopted_project import House, house, their_project
from tests.support.servers import LabelStudio
from tests.support.sync_loop import region, wait_until
from tests.support.workers.sync_worker import HOLD, LOCK

PAGE = 60
N = 2 * PAGE + 20
"""Tasks on three pages."""
COMMAND = f"""
from console.cli import main
from labelloop.labelstudio import adoption
adoption.WHOLE = {PAGE}
main()
"""


@pytest.mark.timeout(600)
def test_killed_twice_every_annotation_is_stored_once(
    database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    with house(database, label_studio, tmp_path) as our:
        project = their_project(our.web)
        said = [{"result": region(("cat", "dog", "eel")[i % 3]), "ground_truth": False} for i in range(N)]
        ids = project.add([{"data": {"text": f"t{i}"}, "annotations": [said[i]] * (i % 20 > 0)} for i in range(N)])
        our.do(HOLD)
        # held at the second page, and again at the third
        for page in (2, 3):
            task = ids[(page - 1) * PAGE + 1]
            our.do(
                f"create trigger hold before insert on annotation_versions for each row when (new.task_id = {task}) "
                "execute function hold()"
            )
            with psycopg.connect(database.url, autocommit=True) as holder:
                holder.execute("select pg_advisory_lock(%s)", [LOCK])
                process = command(our, project.id)
                wait_until(lambda: stuck(our), what=f"page {page}")
                process.kill()
                process.wait()
            our.do("drop trigger hold on annotation_versions")
            wait_until(lambda: not stuck(our), what="the end of the killed process")
            assert our.sql("select count(*) as n from adopted_tasks")[0]["n"] == (page - 1) * PAGE
            [loop] = our.sql("select archived_by from loops")
            assert "not complete" in loop["archived_by"], "no worker touches half a loop"
        project.annotate(ids[0], "cat")  # somebody works meanwhile, on a page that is stored
        done = command(our, project.id)
        assert done.wait(120) == 0

        given = [one["id"] for task in project.tasks() for one in task["annotations"]]
        stored = our.sql("select annotation_id, output_id from annotation_versions")
        assert sorted(row["annotation_id"] for row in stored) == sorted(given)
        assert all(row["output_id"] for row in stored)
        assert our.sql("select count(*) as n from outputs")[0]["n"] == N
        answered = sum(i % 20 > 0 for i in range(N)) + 1
        assert our.sql("select count(*) as n from outputs where state = 'answered'")[0]["n"] == answered
        assert our.sql("select count(*) as n from feedback")[0]["n"] == answered
        assert our.sql("select count(*) as n from adopted_tasks where chosen_by_people")[0]["n"] == answered
        assert our.sql("select archived_at from loops") == [{"archived_at": None}]


def command(our: House, project: int) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")} | our.settings.to_env()
    arguments = [sys.executable, "-c", COMMAND, "adopt", "--project", str(project)]
    return subprocess.Popen(arguments, env=environ)


def stuck(our: House) -> bool:
    """Whether a process waits at the point that is held."""
    time.sleep(0.1)
    return bool(
        our.sql("select 1 from pg_locks where locktype = 'advisory' and objid = %(id)s and not granted", id=LOCK)
    )

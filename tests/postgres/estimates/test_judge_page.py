"""The example of docs/engineers/judge.md runs as it stands there: its loop, its program, and what the report prints."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from tests.support.hops.judged_outputs import Verdicts
from tests.support.network.sync_service import TOKEN, running
from tests.support.servers import a_database

PAGE = (Path(__file__).parents[3] / "docs" / "engineers" / "judge.md").read_text()
LOOP = parse("answers", re.findall(r"```yaml\n(feedback_loop:.*?)```", PAGE, re.DOTALL)[0])
[PROGRAM] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[PRINTED] = re.findall(r"```\n\$ labelloop report judge --loop answers\n(.*?)```", PAGE, re.DOTALL)
OUTPUTS, FIRST = 2_400, 143
"""Number of replies that the judge reads, and of blind answers that the page's report is about."""


@dataclass(frozen=True)
class Reply:
    id: str
    text: str


@pytest.fixture
def database(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Database]:
    """The database of a running service, in the environment of a pipeline's program."""
    with a_database(postgres_url, f"labelloop_judge_{uuid.uuid4().hex[:12]}") as url:
        migrate(url)
        with Database(url) as database, running(url, tmp_path_factory.mktemp("service")) as address:
            for name, value in {
                "LABELLOOP_SYNC_URL": address,
                "LABELLOOP_INTAKE_TOKEN": TOKEN,
                "LABELLOOP_DATABASE_URL": url,
                "LABELLOOP_DATA_DIR": str(tmp_path / "none"),
            }.items():
                monkeypatch.setenv(name, value)
            yield database


def report(*words: str) -> Result:
    return CliRunner().invoke(main, ["report", "judge", "--loop", "answers", *words])


def test_the_program_sends_verdicts_people_answer_and_the_report_is_that_of_the_page(database: Database) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, LOOP)
    truth = {f"reply-{i}": bool(passes) for i, passes in enumerate(np.random.default_rng(1).random(OUTPUTS) < 0.67)}
    errs = np.random.default_rng(2).random(OUTPUTS)
    confidence = np.random.default_rng(3).random(OUTPUTS)

    def ask_the_judge(prompt: str, text: str) -> tuple[str, float]:
        assert prompt.endswith("Answer pass or fail.")
        at = int(text.removeprefix("Reply "))
        passes = truth[f"reply-{at}"]
        right = errs[at] < (0.95 if passes else 0.9)
        return ("pass" if passes == right else "fail"), float(confidence[at])

    names: dict[str, Any] = {
        "ask_the_judge": ask_the_judge,
        "replies": [Reply(key, f"Reply {i}") for i, key in enumerate(truth)],
    }
    exec(PROGRAM, names)
    assert names["receipt"].new == OUTPUTS
    with database.transaction() as conn:
        loop.conn = conn
        ids = loop.adopt({key: "pass" if passes else "fail" for key, passes in truth.items()})
        loop.draw(ids)
        chance = [id_ for id_ in ids if loop.lane[id_] in ("holdout", "audit")]
        loop.answer(chance[:FIRST])
    assert report().stdout == PRINTED
    assert report("--check").exit_code == 1
    with database.transaction() as conn:
        loop.conn = conn
        loop.answer(chance[FIRST:])
    good = report("--check")
    assert (good.exit_code, good.stdout.split(" with form")[0]) == (0, f"Certified: judge {names['VERSION']}")

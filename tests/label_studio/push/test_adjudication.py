"""Adjudicators in the real Label Studio: their word is final, and a tab shows them what people do not settle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from backend.report.estimates.opinions import opinions_report, skipped_by_all
from console.cli import main
from console.doctor.answers import adjudicators
from console.doctor.deepest import places
from console.doctor.findings import Level
from labelloop.store.alerts import rows as alerts
from labelloop.store.database import Database
from labelloop.store.record.story import story
from labelloop.store.tables import doubts
from sync.project.adjudicating import TAB
from sync.pull.opinions import settle_opinions
from sync.push.batches import PushReport
from sync.push.second import ask
from tests.support.hops.deep_loop import LOOP, looked, seal
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row, SyncLoop, change, sync_loop

MIRA = "Mira@adjudication.example.org"


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2, adjudicators=(MIRA,)) as loop:
        loop.settings = replace(loop.settings, models_dir=tmp_path, data_dir=tmp_path)
        yield loop


def newest(loop: SyncLoop, key: str) -> tuple[str, str | None, int, bool]:
    """Return the state, and the newest answer: its label, its people, and whether an adjudicator gave it."""
    [row] = loop.sql(
        "select o.state::text, a.label, coalesce(a.reviewers, 0) as people, j.answer_seq is not null as final"
        " from outputs o left join lateral (select * from answers where output_id = o.id order by seq desc limit 1) a"
        " on true left join adjudications j on j.answer_seq = a.seq where o.key = %(key)s",
        key=key,
    )
    return row["state"], row["label"], row["people"], row["final"]


def in_the_tab(loop: SyncLoop) -> list[str]:
    """Return the keys of the tasks that the adjudicators' tab lists, as its page asks for them."""
    views: list[Row] = loop.web.get("/api/dm/views/", params={"project": loop.project_id}).raise_for_status().json()
    [tab] = [view for view in views if view["data"]["title"] == TAB]
    asked = {"view": tab["id"], "project": loop.project_id}
    found = loop.web.get("/api/tasks/", params=asked).raise_for_status().json()["tasks"]
    return sorted(task["data"]["labelloop_key"] for task in found)


def open_keys(loop: SyncLoop, web: httpx.Client, label: str) -> list[str]:
    """Answer all that the button Label All Tasks serves to this person; return the keys."""
    keys = []
    while (task := loop.next_task(web)) is not None:
        keys.append(task["data"]["labelloop_key"])
        loop.annotate(task["id"], label, web=web)
    return sorted(keys)


@pytest.mark.timeout(400)
def test_the_word_of_an_adjudicator_is_final_until_it_does_not_count_any_more(
    loop: SyncLoop, label_studio: LabelStudio
) -> None:
    anne, ben, carla = [label_studio.sign_up(f"{who}@adjudication.example.org")[1] for who in ("anne", "ben", "carla")]
    mira = label_studio.sign_up(MIRA.lower())[1]
    where = places(loop.settings)

    def green(after: str) -> None:
        loop.pull(full=True)
        loop.push()
        seal(loop.settings)
        assert looked(where) == {}, after

    differ, alone, agreed, skipped = loop.submit(4)
    loop.push()
    assert in_the_tab(loop) == []
    task = {key: loop.task_of(key)["id"] for key in (differ, alone, agreed, skipped)}
    hers = {key: loop.annotate(task[key], "cat", web=anne) for key in (differ, agreed)}
    loop.annotate(task[differ], "dog", web=ben)
    loop.annotate(task[agreed], "cat", web=ben)
    for web in (anne, ben):
        loop.annotate(task[skipped], "cat", web=web, skip=True)
    loop.pull()
    loop.push()
    assert newest(loop, differ) == ("answered", None, 2, False)
    assert in_the_tab(loop) == sorted([differ, skipped])
    with loop.database.transaction() as conn:
        assert f"everybody at work has skipped or answered it: {skipped}." in (skipped_by_all(conn, loop.spec) or "")
        assert opinions_report(conn, LOOP)["skipped"] == [skipped]
    green("people differ, and an item was skipped by all")

    # the adjudicator sees the answers of others, decides, answers first, and corrects what people agreed on
    assert len(mira.get(f"/api/tasks/{task[differ]}/").json()["annotations"]) == 2
    final = loop.annotate(task[differ], "eel", web=mira)
    loop.annotate(task[alone], "dog", web=mira)
    loop.annotate(task[skipped], "eel", web=mira)
    loop.edit(hers[agreed], "dog", web=mira)
    loop.pull()
    assert newest(loop, differ) == ("answered", "eel", 3, True)
    assert newest(loop, alone) == ("answered", "dog", 1, True)
    assert newest(loop, skipped) == ("answered", "eel", 1, True)
    assert newest(loop, agreed) == ("answered", "dog", 2, True)
    loop.push()
    assert (in_the_tab(loop), loop.push()) == ([], PushReport())
    assert [open_keys(loop, web, "cat") for web in (anne, ben, carla)] == [[], [], []], "nobody else is asked"
    with loop.database.transaction() as conn:
        assert alerts.open_counts(conn) == []
        assert [alert.state for alert in alerts.list_(conn, only_open=False)] == ["accepted"], "it is on record"
        told = [line.happened for line in story(conn, differ).lines]
    assert f"adjudicated by {MIRA.lower()}: the answer is final" in told
    green("adjudicated")

    # nothing triggers again: neither a late answer, nor an edit, nor a doubt
    loop.annotate(task[alone], "cat", web=carla)
    loop.annotate(task[differ], "dog", web=carla)
    loop.edit(hers[differ], "dog", web=anne)
    loop.pull()
    loop.push()
    assert newest(loop, differ) == ("answered", "eel", 4, True)
    assert newest(loop, alone) == ("answered", "dog", 2, True)
    ids = loop.sql("select id, key from outputs")
    for row in ids:
        loop.sql("insert into doubts values (%(id)s, 'pets', 0.9, 'pipeline', 'pipeline') returning 1", id=row["id"])
    with loop.database.transaction() as conn:
        assert doubts.most(conn, LOOP, 10) == []
    assert ask(loop.database, loop.spec, [row["id"] for row in ids]) == 0
    assert settle_opinions(loop.database, loop.spec).answers == 0
    assert [open_keys(loop, web, "cat") for web in (anne, ben)] == [[], []]
    green("late answers")

    # without it, the rest counts
    loop.web.delete(f"/api/annotations/{final}/").raise_for_status()
    mira.delete(f"/api/annotations/{final}/")
    loop.pull(full=True)
    assert newest(loop, differ)[1:] == ("dog", 3, False)
    change(loop, adjudicators=())
    assert settle_opinions(loop.database, loop.spec).answers == 3
    assert newest(loop, alone) == ("answered", None, 2, False), "two people differ"
    assert newest(loop, skipped) == ("answered", "eel", 1, False), "one person was enough when it was answered"
    loop.connect()
    assert TAB not in {view.title for view in loop.gateway.views(loop.project_id)}
    change(loop, adjudicators=(MIRA,))
    assert settle_opinions(loop.database, loop.spec).answers == 3
    assert newest(loop, alone) == ("answered", "dog", 2, True)
    green("adjudicators changed twice")

    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    env = loop.settings.to_env() | {"USER": "olga"}
    words = ["people", "distrust", MIRA, "--since", since, "--yes", "--loop", LOOP]
    said = CliRunner().invoke(main, words, env=env)
    assert said.exit_code == 0, said.output
    loop.push()
    assert newest(loop, skipped) == ("in_review", None, 0, False)
    assert newest(loop, alone)[0] == "in_review"
    green("the adjudicator is distrusted")
    assert open_keys(loop, carla, "cat") == sorted([agreed, skipped])
    finding = adjudicators(LOOP, [MIRA, "nobody@adjudication.example.org"], loop.gateway)
    assert (finding.level, "nobody@" in finding.says, "ira@" in finding.says) == (Level.HINT, True, False)

"""Tasks that are shared out among people, each with an own tab in Label Studio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from console.doctor.deepest import places
from labelloop.errors import Unreachable
from labelloop.labelstudio.answers import View
from labelloop.labelstudio.gateway import Gateway
from labelloop.reading.ids import ProjectId
from labelloop.spec.people import People
from labelloop.store.database import Database
from sync.push.assign import TASKS
from tests.support.hops.deep_loop import looked, seal
from tests.support.review.browser import a_browser
from tests.support.review.editor import logged_in
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

ROB, MIA, ZOE = (f"{name}@assign.example" for name in ("rob", "mia", "zoe"))
WHO: dict[str, tuple[str, ...]] = {ROB: ("de",), MIA: ("DE", "medical"), ZOE: (), "nobody@assign.example": ()}


class Counting(Gateway):
    """Counts what is written to tabs, and how often they are read. While `dies`, no tab can be made."""

    def __init__(self, url: str, token: str, dies: bool = False) -> None:
        super().__init__(url, token)
        self.written, self.read, self.dies = 0, 0, dies

    def views(self, project_id: ProjectId) -> list[View]:
        self.read += 1
        return super().views(project_id)

    def create_view(self, project_id: ProjectId, data: dict[str, Any]) -> int:
        if self.dies:
            raise Unreachable("killed before the first tab")
        self.written += 1
        return super().create_view(project_id, data)

    def update_view(self, view_id: int, data: dict[str, Any]) -> None:
        self.written += 1
        super().update_view(view_id, data)


@pytest.fixture
def people(label_studio: LabelStudio) -> Iterator[dict[str, httpx.Client]]:
    sessions = {address: label_studio.sign_up(address)[1] for address in (ROB, MIA, ZOE)}
    yield sessions
    for session in sessions.values():
        session.close()


def rule(loop: SyncLoop, who: dict[str, tuple[str, ...]]) -> None:
    loop.spec = loop.spec.model_copy(update={"people": People(who=who, needs=("language",))})


def assigned(loop: SyncLoop) -> dict[str, list[str]]:
    """Keys by address, the most useful first."""
    rows = loop.sql("""
        select r.email, o.key from assignments a join reviewers r on r.id = a.reviewer_id
        join outputs o on o.id = a.output_id join tasks t on t.output_id = o.id
        where a.handed_on_at is null order by t.priority desc
    """)
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["email"], []).append(row["key"])
    return found


def tabs(loop: SyncLoop) -> dict[str, View]:
    views = [view for view in loop.gateway.views(loop.project_id) if view.title.endswith(TASKS)]
    assert len({view.title for view in views}) == len(views)
    return {view.title.removesuffix(TASKS): view for view in views}


def next_displayed(loop: SyncLoop, web: httpx.Client, tab: View) -> dict[str, Any] | None:
    """As `Label Tasks As Displayed` of this tab asks for it."""
    body = {"project": loop.project_id, "selectedItems": {"all": True, "excluded": []}}
    answer = web.post(
        f"/api/dm/actions/?id=next_task&tabID={tab.id}&project={loop.project_id}",
        json={**body, "ordering": tab.data["ordering"], "filters": tab.data["filters"]},
    )
    return None if answer.status_code == 404 else answer.raise_for_status().json()


def step(loop: SyncLoop) -> None:
    loop.pull()
    loop.push()


def test_people_get_fair_shares_in_tabs_of_their_own(
    database: Database, label_studio: LabelStudio, people: dict[str, httpx.Client], tmp_path: Path
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2) as loop:
        rule(loop, WHO)
        loop.settings = replace(loop.settings, models_dir=tmp_path, data_dir=tmp_path)
        german = set(loop.submit(3, data={"text": "ein Satz", "language": "de"}))
        loop.submit(6)
        with pytest.raises(Unreachable):
            loop.push(Counting(label_studio.url, label_studio.token, dies=True))
        loop.push()  # completes the killed one

        # Loads are equal, tags are kept, and each task has two different people.
        shares = assigned(loop)
        assert {address: len(keys) for address, keys in shares.items()} == {ROB: 6, MIA: 6, ZOE: 6}
        assert not german & set(shares[ZOE])
        assert set(Counter(key for keys in shares.values() for key in keys).values()) == {2}

        # A second push writes nothing, and reads the tabs once, although adjudicators have a tab too.
        with_people = loop.spec
        loop.spec = loop.spec.model_copy(update={"adjudicators": ("judge@assign.example",)})
        loop.push()
        second = Counting(label_studio.url, label_studio.token)
        loop.push(second)
        assert (second.written, second.read) == (0, 1)
        loop.spec = with_people

        # The tab serves exactly the person's tasks, the most useful first.
        tab, served = tabs(loop), list[str]()
        assert tab.keys() == {ROB, MIA, ZOE}
        while (task := next_displayed(loop, people[ROB], tab[ROB])) is not None and len(served) < 3:
            served.append(task["data"]["labelloop_key"])
            loop.annotate(task["id"], "cat", web=people[ROB])
        assert served == shares[ROB][:3]
        step(loop)
        assert assigned(loop)[ROB] == shares[ROB][3:], "answers count as load, so nothing moves"

        # Somebody answers a task of others: it counts, and one of them is released.
        foreign = next(key for key in shares[ROB][3:] if key in shares[ZOE])
        loop.annotate(loop.task_of(foreign)["id"], "dog", web=people[MIA])
        step(loop)
        shares = assigned(loop)
        assert sum(foreign in keys for keys in shares.values()) == 1
        assert foreign not in shares[MIA]

        # Zoe does nothing for days: her tasks go to the others who can still answer them, and she gets no new ones.
        loop.do("update assignments set at = now() - interval '4 days'")
        before = set(shares[ZOE])
        step(loop)
        shares = assigned(loop)
        kept = set(shares.get(ZOE, ()))
        assert kept < before
        closed = {key: {ROB} for key in served} | {foreign: {MIA}}
        for key in kept:  # nobody else is left for these
            assert all(key in shares[one] or one in closed.get(key, ()) for one in (ROB, MIA))
        assert loop.sql("select 1 from assignments where handed_on_at is not null")

        # The deep look, which shares no code with the writers, finds nothing.
        seal(loop.settings)
        assert looked(places(loop.settings)) == {}

        # The next push mends what people changed in the tabs.
        tab = tabs(loop)
        loop.gateway.delete_view(tab[ROB].id)
        loop.gateway.update_view(tab[MIA].id, {**tab[MIA].data, "filters": {"conjunction": "and", "items": []}})
        loop.gateway.create_view(loop.project_id, {**tab[MIA].data, "title": MIA + TASKS})
        loop.push()
        mended = tabs(loop)
        assert mended[MIA].data == tab[MIA].data
        assert mended[ROB].data["filters"] == tab[ROB].data["filters"]
        stored = loop.sql("select r.email, a.tab_id from assignees a join reviewers r on r.id = a.reviewer_id")
        assert {row["email"]: row["tab_id"] for row in stored} == {one: view.id for one, view in mended.items()}

        # In the browser: the tab opens, and its button serves its first task.
        with a_browser() as browser:
            page = logged_in(browser, label_studio)
            page.goto(f"{label_studio.url}/projects/{loop.project_id}/data?tab={mended[ROB].id}")
            expect(page.get_by_text(f"Tasks: {len(shares[ROB])} / 9")).to_be_visible()
            page.get_by_label("Toggle open").click()
            page.get_by_text("Label Tasks As Displayed").click()
            expect(page.get_by_label("Submit current annotation")).to_be_visible()
            first = loop.task_of(shares[ROB][0])
            expect(page.get_by_text(first["data"]["text"]).first).to_be_visible()

        # A person who is not in the file any more releases the tasks; without the section nothing is left.
        rule(loop, {ROB: ("de",), MIA: ("de",)})
        loop.push()
        shares = assigned(loop)
        assert shares.keys() == tabs(loop).keys() == {ROB, MIA}
        loop.do("update reviewers set email = 'person-1', name = 'person-1', forgotten_at = now() where name = 'mia'")
        loop.push()
        assert assigned(loop).keys() == tabs(loop).keys() == {ROB}, "a forgotten person gets none"
        loop.spec = loop.spec.model_copy(update={"people": None})
        loop.push()
        assert (assigned(loop), tabs(loop)) == ({}, {})

"""Signposts in Label Studio: our texts are kept up to date, and texts of other people are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from labelloop.store.database import Database
from sync.project.project import ensure_project
from sync.project.signposts import FORMER_DESCRIPTIONS, FORMER_INSTRUCTIONS, INSTRUCTION, KEEP, PRESS, TAB
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Recorder, SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        ensure(loop)
        yield loop


def ensure(loop: SyncLoop) -> None:
    assert ensure_project(loop.database, loop.gateway, loop.spec, loop.settings).missing == []


def change(loop: SyncLoop, **fields: Any) -> None:
    loop.web.patch(f"/api/projects/{loop.project_id}/", json=fields).raise_for_status()


def tab(loop: SyncLoop) -> Any:
    [view] = [view for view in loop.gateway.views(loop.project_id) if view.title == TAB]
    return view


def words(loop: SyncLoop) -> tuple[str, str, str]:
    project = loop.gateway.project(loop.project_id)
    return project.title, project.description, project.instruction


def test_the_words_of_a_project_are_ours_once_and_survive_what_people_add(loop: SyncLoop) -> None:
    title, description, instruction = words(loop)
    assert (title, description) == ("pets", f"All waiting items are here. {PRESS} {KEEP}{mark(loop)}")
    assert instruction == INSTRUCTION

    added = f"{instruction}<p>A <b>torn</b> page is a skip.</p>"
    change(loop, description=f"Ask Anne. {description} Or ask Ben.", expert_instruction=added, title="Pets of March")
    ensure(loop)
    assert words(loop) == ("Pets of March", f"Ask Anne. {description} Or ask Ben.", added)
    loop.submit(300)
    ensure(loop)
    assert words(loop)[1] == f"Ask Anne. About 300 items wait. {PRESS} {KEEP}{mark(loop)} Or ask Ben."


def test_the_loop_says_its_title_description_and_instruction(loop: SyncLoop) -> None:
    loop.spec = loop.spec.model_copy(
        update={"title": "Animals", "description": "Which animal is it?", "instruction": "Tails do not count."}
    )
    ensure(loop)
    title, description, instruction = words(loop)
    assert (title, instruction) == ("Animals", f"<p>Tails do not count.</p>{INSTRUCTION}")
    assert description == f"All waiting items are here. Which animal is it? {KEEP}{mark(loop)}"
    loop.spec = loop.spec.model_copy(update={"title": "Beasts", "instruction": "<ul><li>No tails.</li></ul>"})
    ensure(loop)
    assert (words(loop)[0], words(loop)[2]) == ("Beasts", f"<ul><li>No tails.</li></ul>{INSTRUCTION}")


def test_the_instruction_explains_the_labels_and_is_written_only_when_it_changes(loop: SyncLoop) -> None:
    loop.spec = loop.spec.model_copy(
        update={"instruction": "Tails do not count.", "definitions": {"eel": 'A <b>fish</b> & "long"'}}
    )
    keys = loop.submit(2)
    loop.push()
    ensure(loop)
    said = "<p>Tails do not count.</p>" + INSTRUCTION
    eel = "<p><b>eel</b>: A &lt;b&gt;fish&lt;/b&gt; &amp; &quot;long&quot;</p><br>"
    assert words(loop)[2] == f"{said}<br><h3>Labels</h3>{eel}"
    loop.annotate(loop.task_of(keys[0])["id"], "cat")
    loop.pull()
    ensure(loop)
    cat = f"<p><b>cat</b><br><i>“item {keys[0]}”</i></p><br>"
    assert words(loop)[2] == f"{said}<br><h3>Labels</h3>{cat}{eel}"
    with closing(Recorder(loop.settings.label_studio_url, loop.settings.label_studio_token)) as gateway:
        ensure_project(loop.database, gateway, loop.spec, loop.settings)
        assert gateway.updates == [], "Label Studio keeps the text as it was sent, so nothing is sent again"
    loop.spec = loop.spec.model_copy(update={"definitions": {}})
    ensure(loop)
    assert words(loop)[2] == f"{said}<br><h3>Labels</h3>{cat}"


def test_words_that_we_wrote_formerly_become_those_of_today(loop: SyncLoop) -> None:
    change(
        loop,
        description=f"Ask Anne. {FORMER_DESCRIPTIONS[0]}{mark(loop)}",
        expert_instruction=f"{FORMER_INSTRUCTIONS[0]}<p>A torn page is a skip.</p>",
    )
    ensure(loop)
    _, description, instruction = words(loop)
    assert description == f"Ask Anne. All waiting items are here. {PRESS} {KEEP}{mark(loop)}"
    assert instruction == f"{INSTRUCTION}<p>A torn page is a skip.</p>"


def test_words_of_ours_that_people_rewrote_are_theirs_and_an_empty_instruction_is_filled(loop: SyncLoop) -> None:
    change(loop, description=f"Our own words. {mark(loop)}", expert_instruction="<p>Guess.</p>")
    ensure(loop)
    assert words(loop)[1:] == (f"Our own words. {mark(loop)}", "<p>Guess.</p>")
    change(loop, expert_instruction="")
    ensure(loop)
    assert words(loop)[2] == INSTRUCTION


def test_the_tab_of_a_project_without_tasks_shows_no_error_and_the_first_push_orders_it(loop: SyncLoop) -> None:
    def listed() -> httpx.Response:
        return loop.web.get("/api/tasks/", params={"view": tab(loop).id, "fields": "all"})

    assert listed().raise_for_status().json()["tasks"] == []
    keys = loop.submit(3, confidences=[0.7, 0.4, 0.6])
    loop.push()
    assert [t["data"]["labelloop_key"] for t in listed().json()["tasks"]] == [keys[1], keys[2], keys[0]]


def test_the_tab_lists_what_is_still_asked_most_informative_first(loop: SyncLoop) -> None:
    keys = loop.submit(5, confidences=[0.7, 0.4, 0.6, 0.3, 0.5])
    loop.push()
    loop.annotate(loop.task_of(keys[3])["id"], "cat")
    ensure(loop)
    listed = loop.web.get("/api/tasks/", params={"view": tab(loop).id, "fields": "all"}).raise_for_status().json()
    assert [task["data"]["labelloop_key"] for task in listed["tasks"]] == [keys[i] for i in (1, 4, 2, 0)]


def test_the_tab_hides_what_says_nothing_and_nothing_else(loop: SyncLoop) -> None:
    loop.submit(1, data={"text": "shown", "title": "also shown"})
    loop.push()
    there = loop.web.get("/api/dm/columns", params={"project": loop.project_id}).raise_for_status().json()["columns"]
    hidden = {name.removeprefix("tasks:").removeprefix("data.") for name in tab(loop).data["hiddenColumns"]["explore"]}
    assert hidden <= {column["id"] for column in there}
    assert {column["id"] for column in there if column["id"] != "data"} - hidden == {
        *("id", "text", "title", "labelloop_label", "labelloop_why", "labelloop_statistic"),
        *("predictions_score", "total_annotations", "annotators"),
    }


def test_a_tab_that_is_gone_is_made_again_and_one_too_many_is_removed(loop: SyncLoop) -> None:
    first = tab(loop)
    loop.gateway.create_view(loop.project_id, first.data)
    loop.gateway.create_view(loop.project_id, {**first.data, "title": "Anne's"})
    ensure(loop)
    assert [view.title for view in loop.gateway.views(loop.project_id)] == [TAB, "Anne's"]
    assert tab(loop) == first
    loop.gateway.delete_view(first.id)
    ensure(loop)
    assert tab(loop).data == first.data


def test_the_order_and_the_filter_of_the_tab_are_kept_and_its_columns_are_peoples(loop: SyncLoop) -> None:
    loop.submit(1)
    loop.push()
    first = tab(loop)
    columns = {"explore": ["tasks:id"], "labeling": []}
    changed = {**first.data, "hiddenColumns": columns, "columnsWidth": {"tasks:id": 50}}
    loop.gateway.update_view(
        first.id, {**changed, "ordering": ["-tasks:id"], "filters": {"conjunction": "or", "items": []}}
    )
    assert tab(loop).data["ordering"] == ["-tasks:id"]
    ensure(loop)
    assert tab(loop).data == changed

    bare = {name: value for name, value in first.data.items() if name not in ("hiddenColumns", "columnsWidth")}
    loop.gateway.update_view(first.id, bare)  # as the product made it formerly
    ensure(loop)
    assert tab(loop) == first


def mark(loop: SyncLoop) -> str:
    return f"labelloop:{loop.project.instance}"

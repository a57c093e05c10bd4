"""Blind tasks in a real Label Studio: nothing is preselected, and no later prelabel fills it in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from backend.report.estimates.judge import judge_report
from backend.serve.champions import Serving
from backend.serve.predict import Predictor
from labelloop.labeling.form import BEST
from labelloop.queue import blind
from labelloop.queue.lanes import Lane
from labelloop.queue.order import Ranked
from labelloop.queue.why import UNSURE
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from sync.push.drafts import draw_blind
from tests.support.hops.promoting import promote, say
from tests.support.review.editor import SUBMIT, labeling, submitted
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [cat, dog, eel]
  actions: [{fields: [approval, correction, comment, why]}]
  holdout: 0.0
  audit: 0.0
  prelabel: {min_margin: 0.0}
  queue: {window: 12, diversity: 0.0, blind: 0.5, audit: 0.0, holdout: 0.0, gold: 0.0}
"""


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("pets", YAML)) as loop:
        yield loop


def submit(loop: SyncLoop, n: int, **fields: Any) -> list[str]:
    """Submit outputs with confidences that fall from 0.7, whose keys are the same in each run: hashes of them draw."""
    return [loop.submit(1, confidences=[0.7 - 0.4 * i / n], key=f"k{i}", **fields)[0] for i in range(n)]


def test_a_blind_task_shows_no_model_s_answer_and_a_promotion_does_not_fill_it_in(loop: SyncLoop) -> None:
    keys = submit(loop, 12)
    drawn = {key for key in keys if blind.is_drawn(loop.spec, key, 0.5)}
    assert drawn == {"k0", "k4", "k7", "k8", "k10"}, "as the hash draws"
    loop.push()

    def shown() -> dict[str, bool]:
        found = {}
        for task in loop.tasks():
            data, key = task["data"], task["data"]["labelloop_key"]
            [newest] = [one for one in task["predictions"] if one["model_version"] == loop.project.model_version]
            found[key] = bool(newest["result"])
            assert bool(data["labelloop_label"]) == (key not in drawn)
            assert ("cat" in data["labelloop_why"]) == (key not in drawn), "the reason names the model's answer"
        return found

    assert shown() == {key: key not in drawn for key in keys}
    rows = loop.sql("select o.key, b.* from blind_tasks b join outputs o on o.id = b.output_id")
    assert {row["key"] for row in rows} == drawn
    assert {(row["share"], row["shown_before"]) for row in rows} == {(0.5, False)}

    promote(loop)
    say(loop, dict.fromkeys(keys, 0.5))
    loop.push()
    assert loop.project.model_version == "c" * 12, "the project shows the champion's predictions"
    assert shown() == {key: key not in drawn for key in keys}

    # The ML backend, as Label Studio asks it for a task.
    serving = Serving(loop.spec.name, loop.spec, None, None, None)
    tasks = loop.tasks()
    predicted = Predictor(loop.database).answer(serving, tasks)
    for task, one in zip(tasks, predicted, strict=True):
        assert bool(one["result"]) == (task["data"]["labelloop_key"] not in drawn)

    # An answer: nothing was preselected, so nothing was kept. A share of 0 afterwards leaves the draws as they are.
    loop.spec = loop.spec.model_copy(update={"queue": loop.spec.queue.model_copy(update={"blind": 0.0})})
    key = min(drawn)
    task_id, value = loop.task_of(key)["id"], {"choices": ["dog"]}
    body = {"result": [{"from_name": "correction", "to_name": "text", "type": "choices", "value": value}]}
    loop.web.post(f"/api/tasks/{task_id}/annotations/?project={loop.project_id}", json=body).raise_for_status()
    loop.pull()
    [row] = loop.sql("select f.prelabel_kept, f.label from feedback f join outputs o on o.id = f.model_output_id")
    assert (row["prelabel_kept"], row["label"]) == (None, "dog")
    assert shown() == {one: one not in drawn for one in keys}


def test_a_task_that_was_shown_with_a_prelabel_does_not_count_as_blind_later(loop: SyncLoop) -> None:
    loop.spec = loop.spec.model_copy(update={"queue": loop.spec.queue.model_copy(update={"blind": 0.0})})
    loop.submit(1)
    loop.push()
    [task] = loop.tasks()
    assert task["predictions"][0]["result"]
    [row] = loop.sql("select id, key from outputs")
    spec = loop.spec.model_copy(update={"queue": loop.spec.queue.model_copy(update={"blind": 1.0})})
    for _ in range(2):
        with loop.database.transaction() as conn:
            assert draw_blind(conn, spec, [Ranked(row["id"], row["key"], Lane.RULE, 0.5)]) == {row["id"]}
    assert [row["shown_before"] for row in loop.sql("select shown_before from blind_tasks")] == [True]


def test_answers_to_the_held_out_tasks_of_a_judge_are_blind_and_are_evidence(
    database: Database, label_studio: LabelStudio
) -> None:
    text = YAML.replace("labels: [cat, dog, eel]", "labels: [cat, dog, eel]\n  judge: {positive: cat}")
    text = text.replace("blind: 0.5, ", "").replace("holdout: 0.0", "holdout: 0.5")
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("pets", text)) as loop:
        submit(loop, 8, model_version="judge-1")
        loop.push()
        for task in loop.tasks():
            value = {"choices": ["dog" if task["id"] % 2 else "cat"]}
            body = {"result": [{"from_name": "correction", "to_name": "text", "type": "choices", "value": value}]}
            path = f"/api/tasks/{task['id']}/annotations/?project={loop.project_id}"
            loop.web.post(path, json=body).raise_for_status()
        loop.pull()
        with database.transaction() as conn:
            found = judge_report(conn, "pets")
        held = loop.sql("select count(*) as n from outputs where lane = 'holdout'")[0]["n"]
    assert found["answers"] == held == 6, "as the hash of the key draws"
    assert found["left_out"] == {"gold": 0, "ranked": 8 - held, "unclear": 0, "not_blind": 0}
    assert (found["judge"], found["status"]) == ("judge-1", "not certified")


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("many", [False, True], ids=["three labels", "twelve labels"])
def test_in_the_editor_a_blind_task_begins_with_an_empty_form_in_the_order_of_the_labels(
    browser: Browser, database: Database, label_studio: LabelStudio, share: float, many: bool
) -> None:
    labels = ["cat", "dog", "eel", *("abcdefghi" if many else "")]
    text = YAML.replace("[cat, dog, eel]", f"[{', '.join(labels)}]").replace("blind: 0.5", f"blind: {share}")
    text = text.replace("[approval, correction, comment, why]", "[correction, comment, why]")
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("pets", text)) as loop:
        shares = {"eel": 0.6, "dog": 0.3, "cat": 0.1}
        loop.submit(1, confidences=[0.6], probabilities=shares)
        loop.push()
        with labeling(browser, loop, label_studio) as page:
            large = ".labelloop-many .lsf-choice:not(.labelloop-rest *)" if many else ".lsf-choice"
            expect(page.locator(large)).to_have_count((BEST if share else 3) if many else 3)
            names = [choice.locator("input").get_attribute("name") for choice in page.locator(large).all()]
            if not share:
                expect(page.locator("input:checked").first).to_be_visible()
                assert {one.get_attribute("name") for one in page.locator("input:checked").all()} == {"eel"}
                assert names == (["eel", "dog", "cat"] if many else labels)
                expect(page.get_by_text("The model hesitates")).to_be_visible()
                return
            expect(page.get_by_text(UNSURE)).to_be_visible()
            assert names == labels[: len(names)], "the order of the form, and not of a model"
            expect(page.locator("input:checked")).to_have_count(0)
            with submitted(page) as result:
                page.keyboard.press("2")
                expect(page.locator("input:checked")).not_to_have_count(0)
                page.keyboard.press(SUBMIT)
            assert [region["value"] for region in result] == [{"choices": ["dog"]}]

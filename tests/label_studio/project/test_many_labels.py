"""77 labels in Label Studio's own editor: how many keys or clicks another answer than the filled-in one takes."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from labelloop.labeling.form import BEST, REST_KEYS, generate_form
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.project.project import ensure_project
from tests.support.review.editor import SUBMIT, labeling, submit, submitted
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop, wait_until

TICKETS = Path(__file__).parents[3] / "labeling_configs/tickets"
THINGS = ("card", "transfer", "top_up", "cash_withdrawal", "refund", "exchange_rate", "passcode")
FATES = (
    *("arrival", "declined", "fee_charged", "limit", "not_working", "pending", "lost_or_stolen", "cancel"),
    *("by_bank_transfer", "verify_source_of_funds", "not_updated_after_cheque_deposit"),
)
LABELS = [f"{thing}_{fate}" for thing in THINGS for fate in FATES]
GUESS, *OTHERS = (LABELS[i] for i in (40, 3, 22, 70, 11))
SHARES = dict(zip((GUESS, *OTHERS), (0.5, 0.2, 0.15, 0.1, 0.05), strict=True))


def tickets(labels: list[str]) -> LoopSpec:
    """The shipped loop of texts, which asks for approval too, with other labels and nothing left to chance."""
    return load(TICKETS).model_copy(update={"holdout": 0.0, "audit": 0.0}).with_labels(labels)


CHOSEN = "names => [...new Set([...document.querySelectorAll('input:checked')].map(one => one.name))].join() === names"


def chosen(page: Page, label: str) -> None:
    """Wait for this label, and no other, to be ticked."""
    page.wait_for_function(CHOSEN, arg=label)


def keys(page: Page) -> dict[str, str]:
    """The keys that the editor shows, by label; of the large choices and of the list."""
    found: dict[str, str] = page.locator(".lsf-choice").evaluate_all(
        """choices => choices.map(choice => [choice.querySelector('input').name, choice.querySelector('sup')])
            .filter(([_, key]) => key).map(([name, key]) => [key.textContent.slice(1, -1), name])
            .reduce((all, [key, name]) => ({...all, [key]: name}), {})"""
    )
    return found


def pressable(key: str) -> str:
    """A key as the editor writes it, as the browser's driver does."""
    return key.replace("shift+", "Shift+")


def shown_whole(page: Page, label: str) -> bool:
    """Whether a ticked choice of this label is inside the page and inside the box that scrolls."""
    return bool(
        page.locator(f"input[name='{label}']:checked").evaluate_all(
            """inputs => inputs.some(input => {
                const at = input.getBoundingClientRect()
                const seen = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2)
                return seen !== null && input.closest('.lsf-choice').contains(seen)
            })"""
        )
    )


def test_each_of_77_labels_is_two_keys_or_two_clicks_away_and_a_chosen_label_stays_on_the_page(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=tickets(LABELS)) as loop:
        loop.submit(1, probabilities=SHARES, label=None)
        loop.push()
        with labeling(browser, loop, label_studio) as page:
            large = page.locator(".labelloop-many .lsf-choice:not(.labelloop-rest *)")
            expect(large).to_have_count(BEST)  # the editor reads the task's own choices a moment later
            assert [choice.locator("input").get_attribute("name") for choice in large.all()] == [GUESS, *OTHERS]
            chosen(page, GUESS)
            by_key = keys(page)
            assert [by_key[str(key)] for key in range(1, BEST + 1)] == [GUESS, *OTHERS]
            for key, label in by_key.items():
                if label != GUESS:
                    page.keyboard.press(pressable(key))
                    chosen(page, label)
                    assert shown_whole(page, label), label
            pressed = set(by_key.values())
            assert len(pressed) >= len(REST_KEYS) == 54, "with Submit that is two keys for them"
            for label in (label for label in LABELS if label not in pressed):
                page.locator(f".labelloop-rest input[name='{label}']").click()
                chosen(page, label)
                assert shown_whole(page, label), label
                page.locator(".labelloop-rest").evaluate("box => box.scrollTop = 0")
                assert shown_whole(page, label), f"{label} after scrolling"


def test_what_it_takes_to_give_each_kind_of_answer(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    """Every stroke is counted: the keys that a person presses, and the clicks. Each way is a task of one stream."""
    other = "passcode_cancel"
    routes: dict[str, tuple[list[str], str]] = {
        "as it is": ([SUBMIT], GUESS),
        "of the best": (["3", SUBMIT], OTHERS[1]),
        "by a letter": (["w", SUBMIT], LABELS[6]),
        "by a click": ([], other),
        "by search": (["/", *"sscode_ca", "Enter", "Tab", SUBMIT], other),
    }
    with sync_loop(database, label_studio.url, label_studio.token, of=tickets(LABELS)) as loop:
        loop.submit(len(routes) + 1, probabilities=SHARES, label=None)
        loop.push()
        with labeling(browser, loop, label_studio) as page:
            item = page.locator(".labelloop-item")
            for way, (strokes, label) in routes.items():
                expect(page.get_by_text(f"{GUESS}[1]").filter(visible=True)).to_have_count(1)
                chosen(page, GUESS)
                text = item.inner_text()
                with submitted(page) as result:
                    for stroke in strokes:
                        page.keyboard.press(stroke)
                    if not strokes:
                        page.locator(f".labelloop-rest input[name='{label}']").click()
                        submit(page)
                expect(item).not_to_have_text(text)
                assert [region["value"] for region in result] == [{"choices": [label]}], way
        wait_until(lambda: loop.pull() and len(loop.sql("select 1 from answers")) == len(routes), what="the answers")
        said = loop.sql("select approval, correction from feedback order by created_at")
        expected = [(True, None) if label == GUESS else (False, label) for _, label in routes.values()]
        assert [(row["approval"], row["correction"]) for row in said] == expected


def test_an_enter_too_many_in_the_search_gives_no_other_answer(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=tickets(LABELS)) as loop:
        loop.submit(1, probabilities=SHARES, label=None)
        loop.push()
        with labeling(browser, loop, label_studio) as page:
            expect(page.get_by_text(f"{GUESS}[1]").filter(visible=True)).to_have_count(1)
            page.keyboard.press("/")
            page.keyboard.type("passcode_ca")
            page.keyboard.press("Enter")
            chosen(page, "passcode_cancel")
            page.keyboard.press(SUBMIT)
            ticked = {choice.get_attribute("name") for choice in page.locator("input:checked").all()}
            assert ticked <= {"passcode_cancel"}, "the choice itself or none; an empty answer cannot be submitted"


def test_a_loop_with_answers_keeps_the_controls_of_its_former_form_and_label_studio_takes_a_new_label(
    database: Database, label_studio: LabelStudio
) -> None:
    spec = tickets(LABELS)
    former = generate_form(LABELS, spec.actions[0].fields, spec.show, former=True)
    with sync_loop(
        database, label_studio.url, label_studio.token, of=spec.model_copy(update={"labels_xml": former})
    ) as loop:
        [key] = loop.submit(1, probabilities=SHARES, label=None)
        loop.push()
        said = [
            {"from_name": "verdict", "to_name": "text", "type": "choices", "value": {"choices": ["reject"]}},
            {"from_name": "quick", "to_name": "text", "type": "choices", "value": {"choices": [OTHERS[0]]}},
        ]
        task = loop.task_of(key)
        loop.web.post(f"/api/tasks/{task['id']}/annotations/", json={"result": said}).raise_for_status()
        loop.pull()
        assert [row["correction"] for row in loop.sql("select correction from feedback")] == [OTHERS[0]]

        with database.transaction() as conn:
            loops.register(conn, tickets([*LABELS, "something else"]))
            now = loops.get(conn, loop.spec.name)
        assert now is not None
        assert now.config.quick is not None
        assert "something else" in now.config.labels
        ensure_project(database, loop.gateway, now, loop.settings)
        assert "something else" in loop.gateway.project(loop.project_id).labels_xml

        with database.transaction() as conn:
            loops.register(conn, spec.model_copy(update={"name": "fresh", "labels_xml": former}))
            loops.register(conn, spec.model_copy(update={"name": "fresh"}))
            fresh = loops.get(conn, "fresh")
        assert fresh is not None
        assert fresh.labels_xml == spec.labels_xml, "without answers nothing is lost with a control"

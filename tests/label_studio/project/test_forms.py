"""Forms as people keep them, on the real Label Studio: taken, told apart, and one bad output beside good ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from labelloop.labeling import kinds, results
from labelloop.outputs import fitting
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.spec.folder import load, parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import outputs as output_store
from sync.project.project import ensure_project
from sync.push.batches import PushReport
from tests.support.house import house
from tests.support.review.browser import a_browser
from tests.support.review.editor import logged_in
from tests.support.servers import LabelStudio
from tests.support.sync_loop import YAML, Recorder, SyncLoop, sync_loop, wait_until

LOOPS = Path(__file__).parents[3] / "labeling_configs"
PLAIN = YAML.replace("  labels: [cat, dog, eel]\n", "")
PICTURE = "data:image/png;base64,iVBORw0KGgo="
FIELD = {"digits": "image", "tickets": "text"}


def saved(folder: Path, loop: str, way: str) -> LoopSpec:
    """A shipped loop with its labels.xml as some editor saves it; with the generated form where it has none."""
    here = folder / loop
    here.mkdir()
    (here / "loop.yaml").write_bytes((LOOPS / loop / "loop.yaml").read_bytes())
    if (xml := LOOPS / loop / "labels.xml").exists():
        text = xml.read_text().strip()
        windows = f'\ufeff<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.replace("\n", "\r\n")
        written = {"shipped": xml.read_text(), "as Windows writes it": windows}
        (here / "labels.xml").write_bytes(written[way].encode())
    return load(here)


def hand_in(loop: SyncLoop, given: list[Output], unchecked: Sequence[Output] = ()) -> None:
    """As intake does. `unchecked` are outputs as an earlier intake took them."""
    config, labels = loop.spec.config, loop.spec.labels
    checked = [*(fitting.check(fitting.shown(one, config), config, labels) for one in given), *unchecked]
    with loop.database.transaction() as conn:
        output_store.insert(conn, loop.spec.name, [output_store.Row.of(o, lanes.place(o, loop.spec)) for o in checked])


@pytest.mark.parametrize(
    ("loop", "way"), [("tickets", "shipped"), ("digits", "shipped"), ("digits", "as Windows writes it")]
)
def test_with_a_shipped_loop_the_doctor_finds_nothing_and_one_bad_output_keeps_no_good_one_back(
    database: Database, label_studio: LabelStudio, tmp_path: Path, loop: str, way: str
) -> None:
    spec = saved(tmp_path, loop, way)
    with house(database, label_studio.url, label_studio.token, tmp_path, of=spec) as home:
        taken = [Output(key=f"good-{i}", data={FIELD[loop]: PICTURE}, label="7", confidence=0.4) for i in range(3)]
        bad = Output(key="bad", data={FIELD[loop]: {"no": "text"}}, label="7", confidence=0.4)
        hand_in(home.loop, taken, unchecked=[bad])
        home.repair(next(f for f in home.examine() if f.check == "project"))
        assert home.loop.states() == {"in_review": 3, "quarantined": 1}
        [row] = home.loop.sql("select state_reason from outputs where key = 'bad'")
        assert "expects the following types" in row["state_reason"]
        assert {finding.check for finding in home.ill().values()} == {"refused outputs"}
        with closing(Recorder(label_studio.url, label_studio.token)) as gateway:
            for _ in range(2):
                ensure_project(database, gateway, spec, home.settings)
            assert gateway.updates == [], "what stands as the spec says is not sent again"


AB = '<Choice value="a"/><Choice value="b"/>'
LANGUAGES = [
    f'<Choice value="{label}"/>'
    for label in ("می\u200cخواهم", "prix\u00a0élevé", "👨\u200d👩\u200d👧", "\u200fשלום\u200e")
]
NESTED = (
    '<Choices name="label" toName="text" choice="multiple" allowNested="true">'
    '<Choice value="A"><Choice value="A1"/><Choice value="A2"/></Choice><Choice value="B"/></Choices>'
)
CASES = {
    "joiners and other letters that languages need": (
        f'<Text name="text" value="$text"/><Choices name="label" toName="text">{"".join(LANGUAGES)}</Choices>',
        {"text": "one"},
        [choice.split('"')[1] for choice in LANGUAGES],
    ),
    "a field with a dash and one with an umlaut": (
        f'<Text name="t" value="$my-text"/><Header value="$größe"/><Choices name="label" toName="t">{AB}</Choices>',
        {"my-text": "one", "größe": "XL"},
        ["a", "b"],
    ),
    "a control about two things": (
        '<Image name="i1" value="$i1"/><Image name="i2" value="$i2"/><Rating name="r" toName="i1,i2"/>',
        {"i1": PICTURE, "i2": PICTURE},
        ["3", "4"],
    ),
    "nested choices": (
        f'<Text name="text" value="$text"/>{NESTED}',
        {"text": "one"},
        ['["A / A1"]', '["A / A2","B"]'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_labels_and_fields_come_through_to_label_studio_and_back(
    database: Database, label_studio: LabelStudio, case: str
) -> None:
    inside, data, labels = CASES[case]
    spec = parse("forms", PLAIN.replace("least_confidence", "random"), f"<View>{inside}</View>\n")
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        given = {f"item-{i}": label for i, label in enumerate(labels)}
        hand_in(loop, [Output(key=key, data=data, label=label, confidence=0.4) for key, label in given.items()])
        assert loop.push() == PushReport(pushed=len(labels))
        for key, label in given.items():
            task = loop.task_of(key)
            [prediction] = task["predictions"]
            assert results.read(spec.config, prediction["result"], None).label == label
            said = [{**region, "value": _written(region["value"])} for region in prediction["result"]]
            loop.web.post(f"/api/tasks/{task['id']}/annotations/", json={"result": said}).raise_for_status()
        loop.pull()
        answers = {
            row["key"]: row["label"]
            for row in loop.sql("select o.key, a.label from answers a join outputs o on o.id = a.output_id")
        }
        assert answers == given
        assert loop.push().quarantined == 0


def _written(value: dict[str, Any]) -> dict[str, Any]:
    """As the editor writes what it was shown: nothing stands below the control's own name."""
    return {name: part for name, part in value.items() if not isinstance(part, dict)}


def test_the_editor_shows_renamed_fields_and_nested_prelabels_and_writes_what_is_read_back(
    database: Database, label_studio: LabelStudio
) -> None:
    choices = NESTED.replace('"A1"', '"می\u200cخواهم"').replace('"B"', '"👨\u200d👩\u200d👧"')
    form = f'<View><Text name="text" value="$my-text"/><Header value="$größe"/>{choices}</View>'
    spec = parse("shown", PLAIN.replace("least_confidence", "random"), form)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop, a_browser() as browser:
        label, data = ["A / می\u200cخواهم", "👨\u200d👩\u200d👧"], {"my-text": "What is this?", "größe": "Very large"}
        hand_in(loop, [Output(key="one", data=data, label=label, confidence=0.4)])
        loop.push()
        page = logged_in(browser, label_studio)
        page.goto(f"{label_studio.url}/projects/{loop.project_id}/data?task={loop.task_of('one')['id']}")
        for shown in data.values():
            page.get_by_text(shown, exact=True).first.wait_for()
        expect(page.locator("input:checked")).not_to_have_count(0)
        page.get_by_label("Submit current annotation").click()
        wait_until(lambda: loop.pull() and loop.sql("select 1 from answers"), what="the answer")
        [answer] = loop.sql("select label from answers")
        assert answer["label"] == kinds.labels.write_labels(label)

"""Regions of images in Label Studio's own editor: people draw them, and the answer in Postgres is what they drew.

The editor also opens our prelabels, as regions that a person can move.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext

from labelloop.labeling import kinds
from labelloop.labeling.geometry import masks, shapes, similar
from labelloop.labeling.geometry.shapes import Region
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import outputs as output_store
from tests.support.data.regions import SPLIT, editor_results, form
from tests.support.review.browser import a_browser
from tests.support.review.canvas import Canvas, Place, corners, picture, ring, rotated, spot, stroke, way
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

PATIENCE_MS = 60_000
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  learner: {name: none}
  queue: {strategy: random, window: 50, audit: 0.0, holdout: 0.0}
"""
WIDTH, HEIGHT = 800, 500


def loop_of(name: str, xml: str) -> LoopSpec:
    return parse(name, YAML, xml)


@pytest.fixture(scope="module")
def at_work(label_studio: LabelStudio) -> Iterator[BrowserContext]:
    """A browser in which an annotator is logged in."""
    session = label_studio.sign_up("eve@regions.example.org")[1]
    with a_browser() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": one.name, "value": str(one.value), "url": label_studio.url} for one in session.cookies.jar]
        )
        yield context
        context.close()


def submit(loop: SyncLoop, key: str, label: Any, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    text = None if label is None else kinds.canonical(loop.spec.config.answer, label)
    output = Output(key=key, data={"image": picture(*size)}, confidence=0.5, label=text)
    with loop.database.transaction() as conn:
        output_store.insert(conn, loop.spec.name, [output_store.Row.of(output, lanes.place(output, loop.spec))])


def answer_of(loop: SyncLoop, key: str) -> Any:
    """The answer that is in Postgres after a pull."""
    loop.pull()
    rows = loop.sql(
        "select a.label, f.approval, f.prelabel_kept from answers a join outputs o on o.id = a.output_id"
        " join feedback f on f.model_output_id = o.id where o.loop = %(loop)s and o.key = %(key)s",
        loop=loop.spec.name,
        key=key,
    )
    assert len(rows) == 1, loop.sql("select reason from unreadable")
    return rows[0]


DRAWN: dict[str, tuple[str, Callable[[Canvas], None]]] = {
    "rectangle": ("RectangleLabels", rotated),
    "polygon": ("PolygonLabels", corners),
    "ellipse": ("EllipseLabels", ring),
    "keypoint": ("KeyPointLabels", spot),
    "brush": ("BrushLabels", stroke),
    "bitmask": ("BitmaskLabels", stroke),
    "vector": ("VectorLabels", way),
}


@pytest.mark.parametrize("name", DRAWN)
def test_what_people_draw_is_the_answer(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext, name: str
) -> None:
    """Each shape is drawn with a mouse; the entries have the parts of those in tests/support/data."""
    tag, act = DRAWN[name]
    kept = editor_results()[name][0]
    with sync_loop(database, label_studio.url, label_studio.token, of=loop_of(name, form(tag).xml)) as loop:
        submit(loop, name, None)
        loop.push()
        with at_work.new_page() as page:
            canvas = Canvas(page, loop, name, (WIDTH, HEIGHT))
            act(canvas)
            [entry] = canvas.posted()
        assert entry.keys() == kept.keys()
        assert entry["value"].keys() == kept["value"].keys()
        [found] = json.loads(answer_of(loop, name)["label"])
    assert found["label"] in ("car", "sign")
    match name:
        case "rectangle":
            assert found["box"][2:] == pytest.approx([40, 40], abs=3)
            assert found["rotation"] == pytest.approx(50, abs=20)
            assert found["size"] == [WIDTH, HEIGHT]
        case "polygon":
            drawn = {"polygon": [[20, 20], [60, 25], [50, 70], [25, 60]]}
            assert similar.similarity(shapes.read({"polygon": found["polygon"]}), drawn) > 0.95
        case "ellipse":
            assert found["ellipse"] == pytest.approx([50, 50, 15, 20], abs=3)
        case "keypoint":
            assert found["point"] == pytest.approx([33, 44], abs=1)
        case "vector":
            places = dict.fromkeys((round(x, -1), round(y, -1)) for x, y in found["line"])
            assert list(places) == [(20, 20), (50, 30), (70, 70)]
        case _:
            mask = masks.of_runs(*found["mask"])
            left, top, right, bottom = masks.box_of(mask)
            assert (left, top) == pytest.approx((20, 20), abs=6)
            assert (right, bottom) == pytest.approx((60, 70), abs=6)
            assert 0.01 < masks.pixels_of(mask) / (WIDTH * HEIGHT) < 0.2


MASK = masks.of_outline(np.array([[30, 30], [70, 30], [50, 80]], dtype=float), WIDTH, HEIGHT)
PRELABELS: dict[str, tuple[str, Region, tuple[Place, Place] | None, Region]] = {
    "box": ("RectangleLabels", {"box": [20, 20, 30, 30]}, ((35, 35), (55, 45)), {"box": [40, 30, 30, 30]}),
    "turned": (
        "RectangleLabels",
        {"box": [30, 20, 30, 30], "rotation": 20, "size": [WIDTH, HEIGHT]},
        ((42, 38), (52, 48)),
        {"box": [40, 30, 30, 30], "rotation": 20, "size": [WIDTH, HEIGHT]},
    ),
    "polygon": (
        "PolygonLabels",
        {"polygon": [[20, 20], [50, 20], [35, 50]]},
        ((50, 20), (70, 30)),
        {"polygon": [[20, 20], [70, 30], [35, 50]]},
    ),
    "ellipse": ("EllipseLabels", {"ellipse": [40, 40, 10, 15]}, ((40, 40), (55, 50)), {"ellipse": [55, 50, 10, 15]}),
    "point": ("KeyPointLabels", {"point": [33.3333, 66.6667]}, ((33.3333, 66.6667), (45, 50)), {"point": [45, 50]}),
    "mask": ("BrushLabels", {"mask": [WIDTH, HEIGHT, masks.runs_of(MASK)]}, None, {}),
    "bitmask": ("BitmaskLabels", {"mask": [WIDTH, HEIGHT, masks.runs_of(MASK)]}, None, {}),
    "line": ("VectorLabels", {"line": [[20, 20], [50, 30], [70, 70]], "size": [WIDTH, HEIGHT]}, None, {}),
}
"""By name: the tag, the region of the prelabel, a drag, and the region that the drag makes of it."""


@pytest.mark.parametrize("name", PRELABELS)
def test_prelabels_open_as_regions_that_a_person_keeps_or_moves(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext, name: str
) -> None:
    tag, region, drag, wanted = PRELABELS[name]
    with (
        sync_loop(database, label_studio.url, label_studio.token, of=loop_of(name, form(tag).xml)) as loop,
        at_work.new_page() as page,
    ):
        answer = [{**region, "label": "sign"}]
        submit(loop, "kept", answer)
        submit(loop, "moved", answer)
        loop.push()
        result = Canvas(page, loop, "kept", (WIDTH, HEIGHT)).posted()
        assert [entry["origin"] for entry in result] == ["prediction"]
        text = kinds.canonical(loop.spec.config.answer, answer)
        assert answer_of(loop, "kept") == {"label": text, "approval": True, "prelabel_kept": True}
        if drag is None:
            return
        canvas = Canvas(page, loop, "moved", (WIDTH, HEIGHT))
        canvas.select(MIDDLES.get(name, drag[0]))
        canvas.move(*drag)
        [entry] = canvas.posted()  # its origin says nothing: the editor leaves it at "prediction" for a moved polygon
        assert entry["id"] == result[0]["id"]
        moved = answer_of(loop, "moved")
        assert (moved["approval"], moved["prelabel_kept"]) == (False, False)
        [there] = json.loads(moved["label"])
        assert there.pop("label") == "sign"
        assert similar.similarity(shapes.read(there), wanted) > 0.8


MIDDLES: dict[str, Place] = {"polygon": (35, 28)}
"""Places where a click selects a region, if that is not where the drag begins."""


def test_labels_beside_shapes_and_answers_about_a_region_come_back(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext
) -> None:
    answer = [
        {"box": [20, 20, 30, 30], "label": label, "with": {"transcription": "B 1", "quality": "bad"}}
        for label in ("car", "sign")
    ] + [{"polygon": [[60, 60], [70, 60], [65, 75]]}]
    spec = parse("split", YAML.replace("feedback_loop:", "feedback_loop:\n  answer: [label]"), SPLIT)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        submit(loop, "kept", answer)
        loop.push()
        result = Canvas(at_work.new_page(), loop, "kept", (WIDTH, HEIGHT)).posted()
        assert {entry["origin"] for entry in result} == {"prediction"}
        text = kinds.canonical(spec.config.answer, answer)
        assert answer_of(loop, "kept") == {"label": text, "approval": True, "prelabel_kept": True}


def test_a_brushed_person_on_a_picture_of_twelve_million_pixels_is_an_answer(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext
) -> None:
    with sync_loop(
        database, label_studio.url, label_studio.token, of=loop_of("large", form("BrushLabels").xml)
    ) as loop:
        submit(loop, "person", None, (4000, 3000))
        loop.push()
        canvas = Canvas(at_work.new_page(), loop, "person", (4000, 3000))
        canvas.label("1")
        canvas.draw((50, 10), (50, 90), (35, 40), (65, 40), (30, 85), (70, 85))
        [entry] = canvas.posted()
        assert (entry["original_width"], entry["original_height"]) == (4000, 3000)
        [region] = json.loads(answer_of(loop, "person")["label"])
        assert region["mask"][:2] == [4000, 3000]
        assert shapes.read({"mask": region["mask"]}) == {"mask": region["mask"]}
        assert masks.pixels_of(masks.of_runs(*region["mask"])) > 100_000

"""Forms, answers and results about regions of images: what Label Studio's editor wrote, and what people may mark.

editor_regions.json holds results as the editor of 1.23.2 posted them after somebody drew the regions with a mouse.
tests/label_studio/project/test_regions_in_a_browser.py draws such regions again.

editor_brush_4000x3000.rle holds the bytes of one brush stroke on a picture of that size.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.geometry import masks
from labelloop.labeling.geometry.shapes import Region

FOLDER = Path(__file__).parent
TAG_OF = {
    "box": "Rectangle",
    "polygon": "Polygon",
    "ellipse": "Ellipse",
    "point": "KeyPoint",
    "line": "Vector",
    "mask": "Brush",
}
LABELS = '<Label value="car"/><Label value="sign"/>'
SPLIT = f"""<View><Image name="image" value="$image"/>
<Labels name="label" toName="image" choice="multiple">{LABELS}</Labels>
<Rectangle name="bbox" toName="image"/><Polygon name="poly" toName="image"/><Ellipse name="ring" toName="image"/>
<KeyPoint name="spot" toName="image"/><Vector name="way" toName="image"/><Brush name="brush" toName="image"/>
<TextArea name="transcription" toName="image" perRegion="true" maxSubmissions="1" displayMode="region-list"/>
<Choices name="quality" toName="image" perRegion="true"><Choice value="good"/><Choice value="bad"/></Choices></View>"""
PAGES = f"""<View><RectangleLabels name="label" toName="pdf">{LABELS}</RectangleLabels>
<Image name="pdf" valueList="$pages"/></View>"""


def form(tag: str, extra: str = "") -> LabelingConfig:
    """The form of one tag with labels over an image; with `extra` controls."""
    xml = f'<{tag} name="label" toName="image">{LABELS}</{tag}>' if tag.endswith("Labels") else ""
    xml = xml or f'<{tag} name="label" toName="image"/>'
    return LabelingConfig.parse(f'<View>{xml}<Image name="image" value="$image"/>{extra}</View>')


def editor_results() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "editor_regions.json").read_bytes())
    return found


def large_brush() -> dict[str, Any]:
    """One entry of a result: a stroke of the editor's brush on a picture of 4000 x 3000 pixels."""
    rle = list((FOLDER / "editor_brush_4000x3000.rle").read_bytes())
    return {
        "id": "6Tmmx7WpGS", "from_name": "label", "to_name": "image", "type": "brushlabels", "origin": "manual",
        "original_width": 4000, "original_height": 3000, "image_rotation": 0,
        "value": {"format": "rle", "rle": rle, "brushlabels": ["car"]},
    }  # fmt: skip


percent = st.floats(0, 100)
places = st.tuples(percent, percent).map(list)
sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000)).map(list)


@st.composite
def boxes(draw: st.DrawFn) -> Region:
    left, top = draw(st.floats(0, 90)), draw(st.floats(0, 90))
    width, height = draw(st.floats(0.01, 100 - left)), draw(st.floats(0.01, 100 - top))
    turn = {"rotation": draw(st.floats(-360, 360)), "size": draw(sizes)} if draw(st.booleans()) else {}
    if turn:  # the centre of a turned box may leave the image
        left, top, width, height = 45 + left / 10, 45 + top / 10, width / 100, height / 100
        turn["size"] = [400, 300]
    return {"box": [left, top, width, height], **turn}


@st.composite
def ellipses(draw: st.DrawFn) -> Region:
    x, y = draw(percent), draw(percent)
    turn = {"rotation": draw(st.floats(-360, 360)), "size": draw(sizes)} if draw(st.booleans()) else {}
    return {"ellipse": [x, y, draw(st.floats(0.01, 50)), draw(st.floats(0.01, 50))], **turn}


@st.composite
def polygons(draw: st.DrawFn) -> Region:
    corners = draw(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=8, unique=True))
    (x, y), (u, v) = corners[0], corners[1]
    if all((u - x) * (b - y) == (v - y) * (a - x) for a, b in corners):  # all on a line
        corners = [(0, 0), (700, 0), (0, 700)]
    return {"polygon": [[a / 10, b / 10] for a, b in corners]}


@st.composite
def mask_regions(draw: st.DrawFn) -> Region:
    width, height = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    total = width * height
    changes = draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=12, unique=True))
    mask = masks.of_changes(width, height, np.array(changes))
    return {"mask": [width, height, masks.runs_of(mask)]}


@st.composite
def lines(draw: st.DrawFn) -> Region:
    points: list[list[float]] = draw(st.lists(places, min_size=2, max_size=6))
    curves = [point + draw(places) + draw(places) if draw(st.booleans()) else point for point in points]
    before = [None, *(draw(st.integers(0, i)) for i in range(len(points) - 1))]
    return {"line": curves, "from": before, "closed": draw(st.booleans()), "size": draw(sizes)}


points = places.map(lambda place: {"point": place})
SHAPES: dict[str, st.SearchStrategy[Region]] = {
    "box": boxes(),
    "polygon": polygons(),
    "ellipse": ellipses(),
    "point": points,
    "line": lines(),
    "mask": mask_regions(),
}


def labelled(shape: str) -> st.SearchStrategy[list[Region]]:
    """Answers of regions of one shape, each with a label and perhaps on a later page."""
    one = st.tuples(SHAPES[shape], st.sampled_from(["car", "sign"]), st.integers(0, 2))
    return st.lists(one.map(lambda found: {**found[0], "label": found[1], "page": found[2]}), max_size=4)

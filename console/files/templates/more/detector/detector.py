"""A detector that learns from people's boxes: bright parts of a picture are objects, and their shape tells the label.

It runs with label-studio-ml 1.x and with the 2.x interface, beside numpy, scipy, scikit-learn and Pillow. `fit` learns
which grey level parts objects from the background, and which label a bright part has, or that it is no object.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from label_studio_ml.model import LabelStudioMLBase
from PIL import Image
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

Box = tuple[float, float, float, float]
"""Left edge, top edge, width and height, in percent of the picture."""
LEVELS = range(40, 240, 10)
"""Grey levels that `fit` tries, 0 to 255."""
NO_OBJECT = ""
STATE = Path(os.environ["MODEL_DIR"]) / "detector.json"
"""All that was learned. The files in MODEL_DIR are the version."""


class Detector(LabelStudioMLBase):  # type: ignore[misc]
    forest: RandomForestClassifier | None = None

    def fit(self, _: Any, data: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Learn from `data["tasks"]`, which labelloop gives to both lines. The first argument differs between them."""
        assert data is not None
        answered = [(grey(task), people_boxes(task)) for task in data["tasks"]]
        level = max(LEVELS, key=lambda level: f1(answered, level))
        rows, labels = [], []
        for picture, boxes in answered:
            for box, row in parts(picture, level):
                rows.append(row)
                labels.append(next((label for other, label in boxes if iou(box, other) >= 0.5), NO_OBJECT))
        STATE.write_text(json.dumps({"level": level, "rows": rows, "labels": labels}))

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        state = json.loads(STATE.read_text())
        if self.forest is None:
            self.forest = RandomForestClassifier(100, random_state=0).fit(state["rows"], state["labels"])
        return [self.prediction(grey(task), state["level"]) for task in tasks]

    def prediction(self, picture: np.ndarray[Any, Any], level: float) -> dict[str, Any]:
        """Return the boxes with their own scores. The score of the whole is the lowest of them."""
        control = next(one for one in ElementTree.fromstring(self.label_config).iter() if one.get("toName"))
        where = {"from_name": control.get("name"), "to_name": control.get("toName"), "type": "rectanglelabels"}
        regions, scores, found = [], [1.0], list(parts(picture, level))
        assert self.forest is not None
        proba = self.forest.predict_proba([row for _, row in found]) if found else []
        for ((x, y, width, height), _), shares in zip(found, proba, strict=True):
            label, score = self.forest.classes_[shares.argmax()], float(shares.max())
            scores.append(score)
            if label != NO_OBJECT:
                value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
                regions.append({**where, "value": value, "score": score})
        return {"result": regions, "score": min(scores)}


def grey(task: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return a smoothed picture of grey levels, 0 to 255, shape (height, width), from a `data:` URI."""
    raw = base64.b64decode(task["data"]["image"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(raw)).convert("L"), dtype=float)
    return np.asarray(ndimage.gaussian_filter(picture, 1.0))


def parts(picture: np.ndarray[Any, Any], level: float) -> Iterator[tuple[Box, list[float]]]:
    """Yield the box of each bright part, and its features: size, proportions, brightness, and a 3 x 3 outline."""
    height, width = picture.shape
    numbered, _ = ndimage.label(picture > level)
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), 1):
        part = numbered[rows, columns] == number
        if min(part.shape) < 3:
            continue
        x, y = columns.start / width * 100, rows.start / height * 100
        box = (x, y, part.shape[1] / width * 100, part.shape[0] / height * 100)
        outline = [third.mean() for row in np.array_split(part, 3) for third in np.array_split(row, 3, axis=1)]
        bright = picture[rows, columns][part].mean() / 255
        features = [part.size / picture.size, part.shape[0] / part.shape[1], bright, part.mean(), *outline]
        yield box, [round(float(feature), 4) for feature in features]


def people_boxes(task: dict[str, Any]) -> list[tuple[Box, str]]:
    values = [region["value"] for region in task["annotations"][0]["result"]]
    return [((v["x"], v["y"], v["width"], v["height"]), v["rectanglelabels"][0]) for v in values]


def f1(answered: list[tuple[np.ndarray[Any, Any], list[tuple[Box, str]]]], level: float) -> float:
    """Return F1 of the bright parts at this level, whatever their labels, at IoU 0.5."""
    found = [([box for box, _ in parts(picture, level)], boxes) for picture, boxes in answered]
    hits = sum(any(iou(box, other) >= 0.5 for box in ours) for ours, boxes in found for other, _ in boxes)
    return 2 * hits / max(1, sum(len(ours) + len(boxes) for ours, boxes in found))


def iou(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, across) * max(0.0, down)
    return both / (one[2] * one[3] + other[2] * other[3] - both)

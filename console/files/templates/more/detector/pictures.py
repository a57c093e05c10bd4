"""Make pictures of discs, squares and triangles with dust and noise, and the outputs of a simple detector for them.

    python pictures.py 200 outputs.ndjson answers.ndjson

`outputs.ndjson` is what a pipeline submits. `answers.ndjson` has the true boxes by key, to play the annotators.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

WIDTH, HEIGHT = 120, 90
LABELS = ("disc", "square", "triangle")
CORNERS = {"disc": 30, "square": 4, "triangle": 3}


def picture(seed: int) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Return a grey picture with one to four shapes, and their true boxes."""
    rng = np.random.default_rng(seed)
    background = rng.uniform(20, 60) + np.linspace(0, rng.uniform(0, 25), WIDTH)
    drawn = Image.fromarray(np.tile(background, (HEIGHT, 1)).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(drawn), []
    for cell in rng.permutation(6)[: rng.integers(1, 5)]:
        radius = rng.uniform(7, 16)
        centre = (40 * (cell % 3) + rng.uniform(radius + 1, 39 - radius), 45 * (cell // 3) + rng.uniform(17, 28))
        label, bright = str(rng.choice(LABELS)), int(rng.integers(110, 230))
        corners = polygon(centre, radius, CORNERS[label], rng.uniform(0, 360))
        draw.polygon(corners, fill=bright)
        (x, y), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
        boxes.append({"box": in_percent(x, y, right - x + 1, bottom - y + 1), "label": label})
    for _ in range(rng.integers(1, 6)):  # dust
        centre = (rng.uniform(6, WIDTH - 6), rng.uniform(6, HEIGHT - 6))
        draw.polygon(polygon(centre, rng.uniform(1.5, 6), 30, 0), fill=int(rng.integers(110, 255)))
    noisy = np.asarray(drawn) + rng.normal(0, 12, (HEIGHT, WIDTH))
    return Image.fromarray((np.clip(noisy, 0, 255) // 16 * 16).astype(np.uint8)), boxes


def polygon(centre: tuple[float, float], radius: float, corners: int, turned: float) -> list[tuple[int, int]]:
    """Return the corners in pixels of a polygon with equal sides; `turned` in degrees."""
    angles = np.radians(turned + np.arange(corners) * 360 / corners)
    return [(round(centre[0] + radius * np.cos(a)), round(centre[1] + radius * np.sin(a))) for a in angles]


def detected(image: Image.Image) -> tuple[list[dict[str, Any]], list[float]]:
    """Return the boxes of a detector that knows little, and its confidences: every bright part is a square."""
    smooth = ndimage.gaussian_filter(np.asarray(image, dtype=float), 1.0)
    numbered, _ = ndimage.label(smooth > 160)
    boxes, confidences = [], []
    for rows, columns in ndimage.find_objects(numbered):
        width, height = columns.stop - columns.start, rows.stop - rows.start
        boxes.append({"box": in_percent(columns.start, rows.start, width, height), "label": "square"})
        confidences.append(round(min(0.75, 0.3 + width * height / 1000), 2))
    return boxes, confidences


def in_percent(x: float, y: float, width: float, height: float) -> list[float]:
    parts = (x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT)
    return [round(float(part) * 100, 4) for part in parts]


def output(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return an output as a pipeline submits it, and the true boxes."""
    image, truth = picture(seed)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    boxes, confidences = detected(image)
    evidence = {"boxes": confidences}
    sure = min(confidences, default=0.0)
    made = {"key": f"shapes/{seed}", "data": {"image": uri}, "label": boxes, "evidence": evidence, "confidence": sure}
    return {**made, "model_version": "bright-1"}, truth


def main(number: str, outputs: str, answers: str) -> None:
    with open(outputs, "w") as outputs_file, open(answers, "w") as answers_file:
        for seed in range(int(number)):
            made, truth = output(seed)
            outputs_file.write(json.dumps(made) + "\n")
            answers_file.write(json.dumps({"key": made["key"], "label": truth}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

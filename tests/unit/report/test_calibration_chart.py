"""The chart of a run's calibration: one scale for both axes, and no point is cut off."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from backend.review.charts import SVG, calibration

BINS = [{"n": 9, "confidence": 0.55, "accuracy": 0.5}, {"n": 30, "confidence": 0.97, "accuracy": 1.0}]


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_the_chart_is_a_square_that_a_phone_can_show_too(size: str) -> None:
    drawn = calibration({"champion": {"bins": BINS}, "challenger": None})
    [found] = re.findall(rf'<div class="chart {size}">(.*?)</div>', drawn, re.DOTALL)
    chart = ElementTree.fromstring(found)
    [diagonal] = [
        points
        for path in chart.iter(f"{{{SVG}}}path")
        if path.get("stroke-dasharray") and len(points := _points(path.get("d") or "")) == 2
        if points[0][0] < points[1][0] and points[0][1] > points[1][1] and "clip-path" in path.attrib
    ]
    (left, bottom), (right, top) = diagonal
    assert right - left == pytest.approx(bottom - top, rel=0.01)
    width, height = (float(n) for n in (chart.get("viewBox") or "").split()[2:])
    assert bottom - top > 0.65 * height, "the square fills the height"
    assert right <= width
    lines = [path for path in chart.iter(f"{{{SVG}}}path") if path.get("stroke") == "#d97706"]
    assert lines
    assert not any("clip-path" in line.attrib for line in lines), "a point at 100 % is whole"


def _points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)]

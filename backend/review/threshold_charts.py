"""Chart of the threshold page: the share of the outputs that would pass, against how many of them are incorrect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.review.charts import CHALLENGER, CHAMPION, INK, drawn, legend


def curves(report: Mapping[str, Any]) -> dict[str, str]:
    """Draw the curve of each label, by its name, and that of all labels as ""; "" where there is too little to draw."""
    promise = report["promise"]["error"]
    return {curve["label"] or "": _curve(curve, promise) for curve in report["curves"]}


def _curve(curve: Mapping[str, Any], promise: float) -> str:
    points = [point for point in curve["points"] if point["error"] is not None]
    kept = {"points": points, "promise": promise, "share": curve["share"]}
    return drawn("threshold", _draw, kept if len(points) > 1 else None)


def _draw(axes: Any, found: dict[str, Any]) -> None:
    points = found["points"]
    x = [100 * point["share"] for point in points]
    y, low, high = ([100 * point[name] for point in points] for name in ("error", "low", "high"))
    axes.fill_between(x, low, high, color=CHALLENGER, alpha=0.25, linewidth=0, label="95 % CI")
    axes.plot(x, y, color=CHALLENGER, linewidth=1.5, marker="o", markersize=4, label="incorrect answers")
    axes.axhline(100 * found["promise"], color=CHAMPION, linewidth=1.5, linestyle="--", label="the promise")
    if found["share"] is not None:
        axes.axvline(100 * found["share"], color=INK, linewidth=1, linestyle=":")
        axes.annotate(
            "passes now", (100 * found["share"], 1), (-4, -4), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="right", va="top", fontsize=9, color=INK,
        )  # fmt: skip
    top = max(3 * 100 * found["promise"], *(value for value in y))
    axes.set(xlim=(0, 100), ylim=(0, min(100, 1.1 * top)))
    axes.set_xlabel("passes unseen, % of what the trigger does not send")
    axes.set_ylabel("incorrect, %")
    legend(axes)

"""The chart of a loop's progress: versions, and the curve through them continued with its band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.report.parts import Report
from backend.report.words import metric
from backend.review import charts
from backend.review.charts import CHALLENGER, CHAMPION


def drawn(report: Report) -> Mapping[str, str]:
    """Draw the versions and the forecast; "" with no version."""
    versions = [{key: row[key] for key in ("trained_on", "accuracy", "low", "high")} for row in report["versions"]]
    data = {"versions": versions, "forecast": report["forecast"], "metric": report["metric"]} if versions else None
    return {"progress": charts.drawn("progress", _progress, data)}


def _progress(axes: Any, data: dict[str, Any]) -> None:
    versions = [row for row in data["versions"] if row["accuracy"] is not None]
    x = [row["trained_on"] for row in versions]
    ends = [
        [100 * (row[end] if row[end] is not None else row["accuracy"]) for row in versions] for end in ("low", "high")
    ]
    axes.vlines(x, *ends, color=CHALLENGER, linewidth=1.5, zorder=1)
    measured = [100 * row["accuracy"] for row in versions]
    axes.scatter(x, measured, color=CHALLENGER, s=40, zorder=2, label="versions, 95 % CI")
    if data["forecast"]:
        at = [row["trained_on"] for row in data["forecast"]]
        value, low, high = ([100 * row[key] for row in data["forecast"]] for key in ("accuracy", "low", "high"))
        axes.plot(at, value, color=CHAMPION, linewidth=1.5, linestyle="--", label="continued")
        axes.fill_between(at, low, high, color=CHAMPION, alpha=0.25, linewidth=0, label="95 % of later versions")
    axes.set_xlabel("training answers")
    axes.set_ylabel(f"{metric(data).lower()}, %")
    charts.legend(axes)

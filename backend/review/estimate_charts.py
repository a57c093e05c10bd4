"""Charts of estimates: error rates by week, and the rates of a judge."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from backend.review import charts

MODELS = (("pipeline", charts.CHAMPION, "o", -0.6), ("champion", charts.CHALLENGER, "s", 0.6))
"""Name, colour, marker, and by how many days it stands beside its week."""


def of_accuracy(report: Mapping[str, Any]) -> Mapping[str, str]:
    """Draw the error rate of each model by week; "" with fewer than two weeks that have an estimate."""
    weeks = [
        {"week": row["part"], **{name: _ends(row[name]) for name, *_ in MODELS}}
        for row in report["by"]["week"]
        if any(_ends(row[name]) for name, *_ in MODELS)
    ]
    return {"weeks": charts.drawn("error_by_week", _by_week, weeks if len(weeks) > 1 else None)}


def of_judge(report: Mapping[str, Any]) -> Mapping[str, str]:
    """Draw TPR and TNR with their intervals and the floor; "" if neither is known."""
    rows = [
        {
            "label": label,
            "name": name,
            **_ends(report[name]),
            "bound": report[name]["bound"],
            "certified": report["looks"][part]["certified"],
        }
        for name, part, label in (("tpr", "positive", report["positive"]), ("tnr", "negative", report["other"]))
        if _ends(report[name])
    ]
    data = {"floor": report["floor"], "rows": rows} if rows else None
    return {"rates": charts.drawn("judge_rates", _rates, data)}


def _ends(rate: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return value, low and high of a rate; empty if it is not known."""
    if rate is None or rate["value"] is None:
        return {}
    return {name: rate[name] for name in ("value", "low", "high")}


def _by_week(axes: Any, weeks: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, colour, marker, beside in MODELS:
        known = [(date.fromisoformat(row["week"]).toordinal() + beside, row[name]) for row in weeks if row[name]]
        if not known:
            continue
        at = [x for x, _ in known]
        low, value, high = ([100 * one[end] for _, one in known] for end in ("low", "value", "high"))
        axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.vlines(at, low, high, color=colour, linewidth=1.5)
        axes.plot(at, value, color=colour, linewidth=1, marker=marker, markersize=5, label=name)
    axes.set_ylim(0, max(10.0, min(100.0, axes.get_ylim()[1])))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda day, _: f"{date.fromordinal(int(day)):%-d %b}" if day >= 1 else "")
    axes.set(xlabel="week (from Monday, UTC)", ylabel="incorrect labels, %")
    axes.legend(frameon=False, labelcolor=charts.INK, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)


def _rates(axes: Any, data: dict[str, Any]) -> None:
    rows = data["rows"]
    for place, row in enumerate(rows):
        colour = charts.CHALLENGER if row["certified"] else charts.CHAMPION
        axes.hlines(place, 100 * row["low"], 100 * row["high"], color=colour, linewidth=3)
        axes.scatter([100 * row["value"]], [place], color=colour, marker="o", s=60)
        axes.scatter([100 * row["bound"]], [place], color=colour, marker="|", s=240, linewidths=2)
    axes.axvline(100 * data["floor"], color=charts.INK, linewidth=1, linestyle=":")
    narrow = axes.figure.get_figwidth() <= charts.SIZES["narrow"][0]
    axes.set_yticks(range(len(rows)), [f"{row['label'][:16]}\n({row['name'].upper()})" for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    low = min(data["floor"], *(row["low"] for row in rows))
    axes.set_xlim(max(0.0, 100 * low - 5), 101)
    words = "%: line 95 % CI, bar the bound, dots the floor"
    axes.set_xlabel(words if narrow else f"found by the judge, {words}")

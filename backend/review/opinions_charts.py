"""Charts of the page about opinions: how many answers items took, and how good each person's answers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.report.parts import Report
from backend.review import charts

MOST_PEOPLE = 12
"""People in the chart; the table has all of them."""
LONGEST_NAME = {"wide": 26, "narrow": 14}
"""Characters that fit left of the chart; a longer name is cut in its middle, and the table has all of it."""


def opinions_charts(report: Report) -> Mapping[str, str]:
    """Return the charts "numbers" and "quality"; "" where there is nothing to draw."""
    numbers = [{"answers": row["answers"], "share": row["share"]} for row in report["numbers"]]
    known = [person for person in report["people"] if person["quality"]["value"] is not None]
    people = [{"name": person["name"], **person["quality"]} for person in known[:MOST_PEOPLE]]
    return {
        "numbers": charts.drawn("opinions", _numbers, numbers),
        "quality": charts.drawn("quality", _quality, people),
    }


def _short(name: str, longest: int) -> str:
    """Cut the middle out of a long name, because names of one team often begin alike."""
    end = (longest - 3) // 2
    return name if len(name) <= longest else f"{name[: longest - 3 - end]}...{name[-end:]}"


def _numbers(axes: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.bar([row["answers"] for row in rows], [100 * row["share"] for row in rows], width=0.6, color=charts.CHAMPION)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.set(xlabel="answers an item", ylabel="items, %")


def _quality(axes: Any, people: list[dict[str, Any]]) -> None:
    place = list(range(len(people), 0, -1))
    for at, person in zip(place, people, strict=True):
        axes.plot([100 * person["low"], 100 * person["high"]], [at, at], color=charts.CHALLENGER, linewidth=2)
    axes.plot([100 * person["value"] for person in people], place, "o", color=charts.CHALLENGER, clip_on=False)
    size = "wide" if axes.figure.get_figwidth() > charts.SIZES["narrow"][0] else "narrow"
    axes.set_yticks(place, [_short(person["name"], LONGEST_NAME[size]) for person in people])
    axes.set_ylim(0.4, len(people) + 0.6)
    axes.set_xlim(0, 100)
    axes.set(xlabel="correct, % (95 % interval)")

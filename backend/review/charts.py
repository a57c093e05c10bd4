"""Charts of the review pages: drawn by matplotlib into SVG that takes its colour from the page, dark or light.

The page's Content-Security-Policy allows no style inside it, so every style becomes an attribute, and text stays text.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from io import StringIO
from typing import Any
from xml.etree import ElementTree

from backend.report.words import duration, metric

SIZES = {"wide": (13.4, 3.4), "narrow": (4.8, 3.6)}
"""Inches. Each chart is drawn for a laptop and for a phone, as wide as the page and with readable text. The style sheet
shows one of the two.
"""
LOW_IN = 1.5
"""Height of a chart with two rows."""
SQUARE_IN = 5.0
"""Height of a chart whose two axes have one scale: a square stands in it."""
LEFT_IN, SIDES_LEFT_IN = {"wide": 0.85, "narrow": 0.85}, {"wide": 2.4, "narrow": 1.4}
TOP_IN = {"wide": 0.35, "narrow": 0.75}
"""Space for the legend: one row, or three."""
CHAMPION, CHALLENGER = "#d97706", "#3b82f6"
"""Both have a contrast of at least 3 on white and on the page's dark background."""
BY_DAY = {
    "intake": ("outputs", "for_people"),
    "answers": ("answers", "held_out"),
    "accuracy": ("accuracy", "low", "high", "held_out"),
    "times": ("person_median_s", "person_p90_s", "task_median_s"),
}
"""Columns of a day that each chart shows."""
MOST_NUMBERED = 20
"""Up to this many days, the number of answers is printed beside the accuracy."""
INK = "#123456"
"""Placeholder for the colour of the page's text, replaced when the SVG is made."""
SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
Draw = Callable[[Any, Any], None]
"""Draws the data of a chart on its axes."""
_drawing = threading.Lock()


def learning_curve(curve: Sequence[Mapping[str, Any]]) -> str:
    """Draw the accuracy of each version over its number of training answers; "" if none was measured."""
    return _cached("curve", [p for p in curve if p.get("accuracy") is not None])


def by_day(days: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Draw intake, answers, accuracy and response time by day; a chart is "" with data of fewer than two days."""
    return {kind: _days(kind, days, columns) for kind, columns in BY_DAY.items()}


def _days(kind: str, days: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    measured = [row for row in days if any(row[c] is not None for c in columns)]
    kept = [{c: row[c] for c in ("day", "metric", *columns)} for row in measured]
    return _cached(kind, kept if len(kept) > 1 else None)


def calibration(found: Mapping[str, Any] | None) -> str:
    """Draw accuracy over confidence for both models; "" if neither has bins."""
    bins = {side: ((found or {}).get(side) or {}).get("bins") or [] for side in ("champion", "challenger")}
    return _cached("calibration", bins if any(bins.values()) else None)


def side_by_side(report: Mapping[str, Any]) -> str:
    """Draw the accuracy of champion and challenger with their intervals; "" if one was not measured."""
    sides = [report["champion"], report["challenger"]]
    known = all(side and side.get("accuracy") is not None and side.get("low") is not None for side in sides)
    kept = ("name", "accuracy", "low", "high")
    drawn = [{"metric": report.get("metric"), **{key: side[key] for key in kept}} for side in sides] if known else None
    return _cached("sides", drawn)


def _cached(kind: str, data: object) -> str:
    return drawn(kind, _KINDS[kind], data)


def drawn(kind: str, draw: Draw, data: object) -> str:
    """Draw a chart, once for each content; "" if there is no data. `kind` is its name."""
    if not data:
        return ""
    found = [(size, _draw(kind, draw, size, json.dumps(data, default=str))) for size in SIZES]
    return "".join(f'<div class="chart {size}">{svg}</div>' for size, svg in found)


@lru_cache(maxsize=128)
def _draw(kind: str, draw: Draw, size: str, data: str) -> str:
    """Draw the SVG once for each content, so that a page costs nothing when it is opened again."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height = SIZES[size]
    height = LOW_IN if kind == "sides" else SQUARE_IN if kind == "calibration" else height
    # "none": text stays text. Without a salt the ids are random.
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "labelloop", "font.size": 11}
    with _drawing, matplotlib.rc_context(style):  # settings and font cache belong to the process
        # Margins are given in inches, because matplotlib would draw everything twice to find them.
        wide_left = kind in ("sides", "quality")  # names stand left of these
        left, top = (SIDES_LEFT_IN if wide_left else LEFT_IN)[size], 0.1 if wide_left else TOP_IN[size]
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((left / width, 0.6 / height, 1 - (left + 0.3) / width, 1 - (0.6 + top) / height))
        draw(axes, json.loads(data))
        _plain(axes)
        file = StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _for_the_page(file.getvalue(), f"{kind}-{size}")


def _curve(axes: Any, points: list[dict[str, Any]]) -> None:
    x = [p["trained_on"] for p in points]
    y = [100 * p["accuracy"] for p in points]
    low, high = ([100 * (p[end] if p[end] is not None else p["accuracy"]) for p in points] for end in ("low", "high"))
    axes.plot(x, y, color=CHALLENGER, linewidth=1, zorder=1)
    axes.vlines(x, low, high, color=CHALLENGER, linewidth=1.5, zorder=1)
    for promoted, marker, words in ((True, "o", "promoted"), (False, "X", "not promoted")):
        chosen = [i for i, p in enumerate(points) if (p["stage"] in ("champion", "retired")) is promoted]
        colour = CHAMPION if promoted else CHALLENGER
        axes.scatter([x[i] for i in chosen], [y[i] for i in chosen], marker=marker, color=colour, s=40, label=words)
    axes.set_xlabel("training answers")
    axes.set_ylabel(f"{metric(points[-1]).lower()} on the hold-out set, %")
    legend(axes)


def _calibration(axes: Any, bins: dict[str, list[dict[str, Any]]]) -> None:
    axes.plot([0, 100], [0, 100], color=INK, linewidth=0.8, linestyle=":", label="confidence = accuracy")
    for side, colour, marker in (("champion", CHAMPION, "o"), ("challenger", CHALLENGER, "s")):
        # A bin without items has no accuracy.
        seen = [b for b in bins[side] if b["n"] and b["confidence"] is not None and b["accuracy"] is not None]
        if seen:
            confidence, accuracy = [100 * b["confidence"] for b in seen], [100 * b["accuracy"] for b in seen]
            axes.plot(confidence, accuracy, color=colour, marker=marker, linewidth=1, label=side, clip_on=False)
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence, %", ylabel="accuracy, %")
    axes.set_aspect("equal", anchor="W")
    legend(axes)


def _sides(axes: Any, sides: list[dict[str, Any]]) -> None:
    for row, (side, colour, marker) in enumerate(zip(sides, (CHAMPION, CHALLENGER), "os", strict=True)):
        axes.hlines(row, 100 * side["low"], 100 * side["high"], color=colour, linewidth=3)
        axes.scatter([100 * side["accuracy"]], [row], color=colour, marker=marker, s=60)
    between, end = (" ", ", with 95 % CI") if axes.figure.get_figwidth() > SIZES["narrow"][0] else ("\n", "")
    names = [f"{who}{between}{side['name']}" for who, side in zip(("champion", "challenger"), sides, strict=True)]
    axes.set_yticks([0, 1], names)
    axes.set_ylim(1.6, -0.6)
    axes.set_xlabel(f"{metric(sides[0]).lower()} on the hold-out set, %{end}")


def _intake(axes: Any, days: list[dict[str, Any]]) -> None:
    at, all_ = _points(days, "outputs")
    _bars(axes, at, all_, 0.8, CHAMPION, "received")
    at, some = _points(days, "for_people")
    _bars(axes, at, some, 0.4, CHALLENGER, "of these for people")
    _by_day(axes, "outputs a day", whole=True)


def _answers(axes: Any, days: list[dict[str, Any]]) -> None:
    _bars(axes, *_points(days, "answers"), 0.8, CHALLENGER, "outputs answered")
    at, some = _points(days, "held_out")
    _bars(axes, at, some, 0.4, CHAMPION, "of these held out")
    _by_day(axes, "outputs a day", whole=True)


def _accuracy(axes: Any, days: list[dict[str, Any]]) -> None:
    (at, y), (_, low), (_, high) = (_points(days, name, 100) for name in ("accuracy", "low", "high"))
    ends = [end for pair in zip(low, high, strict=True) for end in (*pair, float("nan"))]
    axes.plot([day for day in at for _ in range(3)], ends, color=CHALLENGER, linewidth=1.5, label="95 % CI")
    line = _with_gaps(at, y)
    name = f"{metric(days[-1]).lower()} of the shown labels"
    axes.plot(*line, color=CHALLENGER, linewidth=1, marker="o", markersize=5, label=name)
    _, n = _points(days, "held_out")
    if len(at) <= MOST_NUMBERED:
        for x, top, count in zip(at, high, n, strict=True):
            axes.annotate(
                f"{count:g}", (x, top), (0, 4), textcoords="offset points", ha="center", fontsize=8, color=INK
            )
    axes.set_ylim(0, 108)
    _by_day(axes, "%; above: held-out answers" if len(at) <= MOST_NUMBERED else "%")


def _times(axes: Any, days: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import NullLocator

    named = {
        "person_median_s": ("a person, median", CHALLENGER, "o"),
        "person_p90_s": ("a person, 90 % within", CHALLENGER, "^"),
        "task_median_s": ("task to answer, median", CHAMPION, "s"),
    }
    for name, (words, colour, marker) in named.items():
        at, y = _points(days, name)
        if at:
            style = "--" if marker == "^" else "-"
            line = _with_gaps(at, y)
            axes.plot(*line, color=colour, linewidth=1, linestyle=style, marker=marker, markersize=5, label=words)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda seconds, _: duration(seconds))
    axes.yaxis.set_minor_locator(NullLocator())
    _by_day(axes, "time (log scale)")


def _bars(axes: Any, at: list[int], heights: list[float], width: float, colour: str, words: str) -> None:
    """Draw all bars as one path, ten times as fast as rectangles. A day without data has no bar."""
    x = [edge for day in at for edge in (day - width / 2, day - width / 2, day + width / 2, day + width / 2)]
    y = [edge for height in heights for edge in (0.0, height, height, 0.0)]
    axes.fill(x, y, color=colour, linewidth=0, label=words)
    axes.set_ylim(0, max([*heights, axes.get_ylim()[1] / 1.05]) * 1.05)


def _points(days: list[dict[str, Any]], column: str, times: float = 1) -> tuple[list[int], list[float]]:
    """Return day numbers and values of the days that have a value."""
    have = [
        (date.fromisoformat(row["day"]).toordinal(), times * row[column]) for row in days if row[column] is not None
    ]
    return [at for at, _ in have], [value for _, value in have]


def _with_gaps(at: list[int], values: list[float]) -> tuple[list[float], list[float]]:
    """Add a gap wherever a day is missing, so that no line is drawn across it."""
    x: list[float] = []
    y: list[float] = []
    for day, value in zip(at, values, strict=True):
        if x and day - x[-1] > 1:
            x.append(x[-1] + 1)
            y.append(float("nan"))
        x.append(day)
        y.append(value)
    return x, y


def _by_day(axes: Any, unit: str, *, whole: bool = False) -> None:
    """Label the axes of a chart by day. `whole`: the y axis shows whole numbers."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.dataLim.intervalx
    axes.set_xlim(round(low) - 0.6, round(high) + 0.6)  # whole days, so that no edge of a bar is one more
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(lambda day, _: f"{date.fromordinal(int(day)):%-d %b}" if day >= 1 else "")
    if whole:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set(xlabel="day (UTC)", ylabel=unit)
    legend(axes)


def legend(axes: Any) -> None:
    """Put the legend above the chart, where it covers no point."""
    columns = 3 if axes.figure.get_figwidth() > SIZES["narrow"][0] else 1
    axes.legend(frameon=False, labelcolor=INK, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)


_KINDS: Mapping[str, Draw] = {
    "curve": _curve, "calibration": _calibration, "sides": _sides,
    "intake": _intake, "answers": _answers, "accuracy": _accuracy, "times": _times,
}  # fmt: skip


def _plain(axes: Any) -> None:
    """Show two axes in the colour of the text, and a faint grid."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(INK)
    axes.tick_params(colors=INK, which="both")
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.5)
    axes.set_axisbelow(True)


def _for_the_page(svg: str, kind: str) -> str:
    """Turn styles into attributes, make ids unique to this chart, and remove the size. Text takes the page's colour."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(svg)
    for name in ("metadata", "defs"):
        for child in root.findall(f"{{{SVG}}}{name}"):
            if name == "metadata" or child.find(f"{{{SVG}}}style") is not None:
                root.remove(child)
    for element in root.iter():
        for declaration in element.attrib.pop("style", "").split(";"):
            name, _, value = (part.strip() for part in declaration.partition(":"))
            if name == "font":  # "10px 'DejaVu Sans', ..": the size is ours, the face is the page's
                element.set("font-size", next(word for word in value.split() if word.endswith("px")))
            elif name:
                element.set(name, value)
        if XLINK in element.attrib:
            element.set("href", f"#{kind}-{element.attrib.pop(XLINK).lstrip('#')}")
        if clip := element.get("clip-path"):
            element.set("clip-path", clip.replace("url(#", f"url(#{kind}-"))
        if given := element.get("id"):
            element.set("id", f"{kind}-{given}")
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("aria-hidden", "true")  # the table beside it has the same numbers
    root.set("focusable", "false")
    return ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor")

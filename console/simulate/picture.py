"""The learning curves as a PNG, and the table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from labelloop import strategies

COLOURS = ("#1f5fbf", "#e08a1e", "#2e8b57", "#a0409c", "#c0392b", "#17858f", "#8a6d1f", "#5b5bd6")
GREY = "#707070"
FEW_BATCHES = 4
"""If a goal is reached within this many batches, a note suggests a smaller --batch."""


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw each strategy's mean metric and its interval against labels, and lines at shares of the metric with all
    labels.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    colours = iter(COLOURS * (1 + len(report["strategies"]) // len(COLOURS)))
    widths = iter(np.linspace(3.5, 1.5, len(report["strategies"])))  # so that both of two equal curves are visible
    for name, found in report["strategies"].items():
        dull = found["strategy"] == strategies.RANDOM
        colour = GREY if dull else next(colours)
        x = [point["labels"] for point in found["curve"]]
        if found["curve"][0]["low"] is not None:
            low, high = ([point[end] for point in found["curve"]] for end in ("low", "high"))
            axes.fill_between(x, np.maximum(low, 0), np.minimum(high, 1), color=colour, alpha=0.15, linewidth=0)
        mean = [point["mean"] for point in found["curve"]]
        axes.plot(x, mean, "--" if dull else "-", color=colour, linewidth=next(widths), label=name)
    with_all_labels = report["full"]["score"]
    for share, words in (
        (1.0, f"{with_all_labels:.3f}: all\n{report['data']['pool']:,} labels"),
        (0.95, "95 %"),
        (0.9, "90 %"),
    ):
        axes.axhline(share * with_all_labels, color="#404040", linewidth=0.8, linestyle=":")
        place: dict[str, Any] = {"xy": (1.01, share * with_all_labels), "xycoords": ("axes fraction", "data")}
        axes.annotate(words, **place, va="bottom" if share == 1 else "center", fontsize=8, color="#404040")
    seeds = report["settings"]["seeds"]
    spread = f"mean of {seeds} seeds, 95 % interval" if seeds > 1 else "one seed"
    axes.set(
        xlabel="labels",
        ylabel=f"{report['data']['score']} on {report['data']['test']:,} test items",
        title=f"{report['data']['name']}: {spread}",
    )
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def table(report: Mapping[str, Any]) -> Table:
    """Return the table with one row per strategy: labels needed (median and range over seeds) and the final metric."""
    data, settings, full = report["data"], report["settings"], report["full"]
    budget = settings["budget"]
    shown = Table(
        title=(
            f"{data['name']}: labels needed for a share of the {data['score']} with all {data['pool']:,} labels "
            f"({full['score']:.3f}), median and range of {settings['seeds']} seeds"
        ),
        title_justify="left",
        header_style="bold",
        box=None,
    )
    shares = list(next(iter(report["strategies"].values()))["labels_for"])
    shown.add_column("strategy")
    for share in shares:
        shown.add_column(f"{float(share):.0%}".replace("%", " %"), justify="right")
        shown.add_column("ratio to random", justify="right")
    shown.add_column(f"{data['score']} with {budget:,}", justify="right")
    for name, found in report["strategies"].items():
        cells = []
        for share in shares:
            need = found["labels_for"][share]
            cells.append(needed_words(need["median"], need["low"], need["high"], budget))
            cells.append("-" if need["against_random"] is None else f"{need['against_random']:.2f}")
        end = found["curve"][-1]
        spread = "" if end["low"] is None else f" ± {end['mean'] - end['low']:.3f}"
        shown.add_row(name, *cells, f"{end['mean']:.3f}{spread}")
    return shown


def needed_words(median: float | None, low: float | None, high: float | None, budget: int) -> str:
    """Return a text such as "450 (400 to 500)", or "not within 1,000" if the goal was not reached."""
    if low is None:
        return f"not within {budget:,}"
    most = f"more than {budget:,}" if high is None else f"{high:,.0f}"
    middle = f"not within {budget:,}" if median is None else f"{median:,.0f}"
    return middle if low == high else f"{middle} ({low:,.0f} to {most})"


def notes(report: Mapping[str, Any]) -> list[str]:
    """Return notes on the table: rows left out, contradictory labels, and a batch that is too coarse."""
    found = [f"left out: {n:,} rows, {why}" for why, n in report["data"]["left_out"].items()]
    if n := report["data"].get("contradicted", 0):
        found.append(f"{n:,} items have two or more labels in the file; no model can be correct on all of their rows")
    batch = report["settings"]["batch"]
    medians = [one["median"] for each in report["strategies"].values() for one in each["labels_for"].values()]
    if any(median is not None and median <= FEW_BATCHES * batch for median in medians):
        found.append(f"labels are counted in batches of {batch}: a smaller --batch shows finer differences")
    return found

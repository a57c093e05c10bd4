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

FAR = 3
"""Budgets beyond which the continued curve is a very rough guess."""


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
    cold = report["cold_start"]["median"]
    axes.axvspan(0, cold, color="#404040", alpha=0.08, linewidth=0)
    where: dict[str, Any] = {"xy": (cold / 2, 0.03), "xycoords": ("data", "axes fraction"), "rotation": 90}
    axes.annotate(f"random start: {cold:,.0f} labels", **where, ha="center", va="bottom", fontsize=8, color="#404040")
    axes.set_xlim(left=0)
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
    spread = f"mean of {seeds} seeds, {report['settings']['spread']}" if seeds > 1 else "one seed"
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
            f"({full['score']:.3f}), median and range of {settings['seeds']} seeds; {data['score']}: mean and "
            f"{settings['spread']}"
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
            cells.append(_ratio(need, report["strategies"].get(strategies.RANDOM), share, budget))
        end = found["curve"][-1]
        shown.add_row(name, *cells, spread_words(end))
    return shown


def differences(report: Mapping[str, Any]) -> Table | None:
    """Return the table of paired differences to random; None if random is not among the strategies, or alone."""
    settings = report["settings"]
    found = {name: one["difference_to_random"] for name, one in report["strategies"].items()
             if one["difference_to_random"] is not None}  # fmt: skip
    if not found:
        return None
    spread = f"mean and {settings['spread']} of {settings['seeds']} seeds" if settings["seeds"] > 1 else "one seed"
    shown = Table(
        title=(
            f"{report['data']['score']} minus that of random: same first batches, same test set of "
            f"{report['data']['test']:,} items; {spread}"
        ),
        title_justify="left",
        header_style="bold",
        box=None,
    )
    shown.add_column("strategy")
    for head in (f"with {settings['budget']:,} labels", "mean over all batches after the first"):
        shown.add_column(head, justify="right")
    for name, one in found.items():
        shown.add_row(name, spread_words(one["end"], "+"), spread_words(one["average"], "+"))
    return shown


def spread_words(spread: Mapping[str, float | None], sign: str = "") -> str:
    """Return a text such as "0.912 (0.901 to 0.923)"; `sign` is "+" for differences."""
    if spread["low"] is None or spread["high"] is None:
        return f"{spread['mean']:{sign}.3f}"
    return f"{spread['mean']:{sign}.3f} ({spread['low']:{sign}.3f} to {spread['high']:{sign}.3f})"


def _ratio(need: Mapping[str, Any], of_random: Mapping[str, Any] | None, share: str, budget: int) -> str:
    """Return the ratio to random, or its bound if only random did not reach the goal."""
    if need["against_random"] is not None:
        return f"{need['against_random']:.2f}"
    if of_random is None or need["median"] is None or of_random["labels_for"][share]["median"] is not None:
        return "-"
    return f"below {need['median'] / budget:.2f}"


def needed_words(median: float | None, low: float | None, high: float | None, budget: int) -> str:
    """Return a text such as "450 (400 to 500)", or "not within 1,000" if the goal was not reached."""
    if low is None:
        return f"not within {budget:,}"
    most = f"more than {budget:,}" if high is None else f"{high:,.0f}"
    middle = f"not within {budget:,}" if median is None else f"{median:,.0f}"
    return middle if low == high else f"{middle} ({low:,.0f} to {most})"


def notes(report: Mapping[str, Any]) -> list[str]:
    """Return notes on the table: rows left out, contradictory labels, the cold start, a budget that is too small, and a
    batch that is too coarse.
    """
    found = [f"left out: {n:,} rows, {why}" for why, n in report["data"]["left_out"].items()]
    if n := report["data"].get("contradicted", 0):
        found.append(f"{n:,} items have two or more labels in the file; no model can be correct on all of their rows")
    found += [_cold_start(report), *_too_small(report)]
    batch = report["settings"]["batch"]
    medians = [one["median"] for each in report["strategies"].values() for one in each["labels_for"].values()]
    if any(median is not None and median <= FEW_BATCHES * batch for median in medians):
        found.append(f"labels are counted in batches of {batch}: a smaller --batch shows finer differences")
    return found


def _cold_start(report: Mapping[str, Any]) -> str:
    cold, batch = report["cold_start"], report["settings"]["batch"]
    labels = f"{cold['median']:,.0f}" + (f" ({cold['low']:,} to {cold['high']:,})" * (cold["low"] < cold["high"]))
    more = "" if cold["high"] <= batch else "; a first batch of one label was followed by more random ones"
    return (
        f"cold start: the first {labels} labels are random and the same for every strategy{more}. "
        f"{report['data']['score']} with them: {spread_words(cold['score'])}"
    )


def _too_small(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each goal that a strategy did not reach within the budget."""
    budget, found = report["settings"]["budget"], []
    for name, one in report["strategies"].items():
        for share, need in one["labels_for"].items():
            if need["median"] is not None:
                continue
            goal = f"{name}: the budget of {budget:,} labels is too small for {float(share):.0%}".replace("%", " %")
            about = need["about"]
            if about is None:
                found.append(f"{goal}, and the curve does not tell how many would do")
                continue
            several = about["low"] is not None and about["low"] < about["high"]
            seeds = f", {about['low']:,} to {about['high']:,} by single seeds" if several else ""
            guess = "a rough guess" if about["labels"] <= FAR * budget else "a very rough guess, far beyond the curve"
            found.append(f"{goal}: about {about['labels']:,} would do{seeds} ({guess})")
    return found

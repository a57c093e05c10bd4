"""The demo's curve as a PNG, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table


def draw(rounds: Sequence[Mapping[str, Any]], start: float, path: Path, title: str) -> None:
    """Draw test accuracy against answers: the champion, each challenger, and the random order's mean and range."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    x = [r["answers"] for r in rounds]
    figure, axes = pyplot.subplots(figsize=(8, 4.8), dpi=120)
    low, high = [_number(r["random_low"]) for r in rounds], [_number(r["random_high"]) for r in rounds]
    axes.fill_between(x, low, high, color="#b0b0b0", alpha=0.35, linewidth=0)
    axes.plot(
        x, [_number(r["random_test_accuracy"]) for r in rounds], "--", color="#707070", label="random order (replay)"
    )
    axes.plot(
        x,
        [_number(r["challenger_test_accuracy"]) for r in rounds],
        "o",
        color="#e08a1e",
        label="challenger of the round",
    )
    served = [start] + [r["test_accuracy"] for r in rounds]
    axes.step([0, *x], served, where="post", color="#1f5fbf", linewidth=2.2, label="champion (served)")
    judged = [(a, r) for a, r in zip(x, rounds, strict=True) if r["accuracy"] is not None]
    axes.errorbar(
        [a for a, _ in judged],
        [r["accuracy"] for _, r in judged],
        yerr=[
            [r["accuracy"] - r["low"] for _, r in judged],
            [r["high"] - r["accuracy"] for _, r in judged],
        ],
        fmt="none",
        ecolor="#1f5fbf",
        alpha=0.35,
        capsize=3,
        label="champion on the hold-out set, 95 % CI",
    )
    for r in rounds:
        if r["promoted"]:
            axes.annotate(
                "promoted",
                (r["answers"], r["test_accuracy"]),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color="#1f5fbf",
            )
    axes.set(xlabel="answers", ylabel="accuracy", title=title)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def table(rounds: Sequence[Mapping[str, Any]], people: str) -> Table:
    """Return the table with one row per round."""
    shown = Table(title=f"The loop, round by round ({people})", title_justify="left", header_style="bold", box=None)
    for name in (
        "answers",
        "champion",
        "hold-out set, 95 % CI",
        "test set",
        "challenger, test set",
        "random order, test set",
        "verdict",
    ):
        shown.add_column(name, justify="left" if name in ("champion", "verdict") else "right")
    for r in rounds:
        holdout = "-" if r["accuracy"] is None else f"{r['accuracy']:.2f} ({r['low']:.2f} to {r['high']:.2f})"
        shown.add_row(
            str(r["answers"]),
            str(r["champion"]),
            holdout,
            f"{r['test_accuracy']:.3f}",
            _share(r["challenger_test_accuracy"]),
            _share(r["random_test_accuracy"]),
            "promoted" if r["promoted"] else "refused",
        )
    return shown


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _number(value: float | None) -> float:
    """Return NaN for None, so that nothing is drawn."""
    return float("nan") if value is None else value

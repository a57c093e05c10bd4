"""Identity of a run: what it was taught, by which code and packages, so that `replay` can say what differs."""

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

PACKAGES = ("numpy", "scipy", "scikit-learn", "skops", "pillow", "modAL-python", "python-crfsuite", "model2vec")
"""What shapes a fit; those that are installed are named."""


def identity(taught: Sequence[TrainingItem], seed: int, threads: int) -> dict[str, Any]:
    """As `retrain_runs.scores` keeps it. `taught` in the order in which it was taught."""
    return {
        "data_sha256": data_sha256(taught),
        "code": code(),
        "python": platform.python_version(),
        "packages": packages(),
        "seed": seed,
        "threads": threads,
    }


def data_sha256(taught: Sequence[TrainingItem]) -> str:
    """Of one line of canonical JSON for each row: key, group_key, answer_seq, label, weight, data."""
    digest = hashlib.sha256()
    for row in taught:
        line = [row.key, row.group_key, row.answer_seq, row.label, row.weight, row.data]
        digest.update(json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs of two identities, in words."""
    words = {"data_sha256": "what was taught", "code": "the code", "python": "Python", "seed": "the seed"}
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
    """Version of the package, revision of the checkout where there is one, and 12 digits of the sources' SHA-256."""
    digest = hashlib.sha256()
    parts = (Path(__file__).parents[1], Path(labelloop.__file__).parent)
    files = {
        file.relative_to(package.parent).as_posix(): file
        for package in parts
        for file in package.rglob("*.py")
        if "_rooms" not in file.relative_to(package).parts  # where a wheel has the rooms
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
    """What HEAD of a checkout names, read from its files: the image has no git."""
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

"""A hosted model's folder: what it keeps on disk, packed into a version and unpacked to serve; and its code's hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.errors import Failed

MAX_BYTES = 256 << 20
"""Bytes of all files that a model may keep."""
MAX_FILES = 10_000
_FOLDER_PLACEHOLDER = "labelloop-model-dir:/"
"""Replaces the folder's path in the result of `fit`, since the folder differs each time."""
Files = Mapping[str, npt.NDArray[np.uint8]]


def pack(folder: Path) -> Files:
    """Every file's bytes by its path, sorted. Raises Failed where there is anything else, too many or too much."""
    found: dict[str, npt.NDArray[np.uint8]] = {}
    size = 0
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        if file.is_symlink() or not file.is_file():
            raise Failed(f"the model has left {name!r}, which is no ordinary file, in its folder")
        size += file.stat().st_size
        if size > MAX_BYTES or len(found) >= MAX_FILES:
            raise Failed(
                f"the model has left more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB in its folder, "
                "which are the most that a version keeps"
            )
        found[name] = np.frombuffer(file.read_bytes(), np.uint8)
    return found


def unpack(files: Files, folder: Path) -> None:
    """Raises Failed for a path that leads out of the folder."""
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise Failed(f"the version holds a file {name!r}, which lies outside its folder: refused")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(np.asarray(content, np.uint8).tobytes())


def without_place(value: Any, folder: Path) -> Any:
    """JSON, with the folder's path taken out of its texts."""
    return _replace(value, str(folder), _FOLDER_PLACEHOLDER)


def with_place(value: Any, folder: Path) -> Any:
    """The inverse, for another folder."""
    return _replace(value, _FOLDER_PLACEHOLDER, str(folder))


def code_sha256(folder: Path) -> str:
    """Return the SHA-256 of a folder's Python files, without environments and folders named .* or _*. Raises Failed."""
    if not folder.is_dir():
        raise Failed(f"there is no folder {str(folder)!r}: learner.params.folder is where the model's code is")
    digest = hashlib.sha256()
    for file in _files(folder, code=True):
        if file.suffix == ".py":
            for part in (file.relative_to(folder).as_posix().encode(), file.read_bytes()):
                digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def _files(folder: Path, code: bool = False) -> Iterator[Path]:
    """Yield everything in the folder that is not a folder itself, in an order that is the same on every machine."""
    for place, folders, files in os.walk(folder):
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        folders[:] = sorted(set(folders) - set(linked))
        if code:
            folders[:] = [f for f in folders if f[0] not in "._" and not (Path(place) / f / "pyvenv.cfg").exists()]
        yield from (Path(place) / name for name in sorted([*files, *linked]))


def _replace(value: Any, old: str, new: str) -> Any:
    match value:
        case str():
            return value.replace(old, new)
        case list():
            return [_replace(one, old, new) for one in value]
        case dict():
            return {key: _replace(one, old, new) for key, one in value.items()}
    return value

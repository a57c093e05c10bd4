"""Prose: every sentence of the repository that a person reads, with its file and line, without running any of the code.

Prose is docstrings, attribute docstrings, comments, messages and help texts, the words of HTML templates, Markdown
outside code, and the names of tests. Tests keep their string literals to themselves: most are data. SQL is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.prose.pages import of_hash, of_html, of_markdown, of_script
from tests.support.prose.python import Found, of_python
from tests.support.prose.sentences import Passage

ROOT = Path(__file__).parents[3]
SKIPPED = {"__pycache__", "build", "dist", "secrets", "tls", "english.md"}
"""Files and folders by name; english.md quotes bad sentences."""
HISTORY = "store/migrations/versions"
"""The folder of the migrations, whose texts never change."""
HASH_COMMENTS = {".sh", ".yml", ".yaml", ".toml", ".conf", ".in", ".example", ".Dockerfile"}
HASH_NAMES = {"Dockerfile", "Makefile", ".gitignore", ".dockerignore", "run"}


def files(root: Path = ROOT) -> Iterator[Path]:
    """All files that `passages` can read, in order of their paths."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_ours(Path(folder, name)))
        for name in sorted(names):
            path = Path(folder, name)
            if reader_of(path) is not None and name not in SKIPPED:
                yield path


def _is_ours(folder: Path) -> bool:
    if folder.name in SKIPPED or folder.name.endswith(".egg-info") or folder.as_posix().endswith(HISTORY):
        return False
    return not folder.name.startswith(".") or folder.name == ".ci"


def passages(path: Path, root: Path = ROOT) -> list[Passage]:
    """The prose of a file; nothing for a file of a kind that holds none."""
    reader = reader_of(path)
    if reader is None:
        return []
    name = path.resolve().relative_to(root).as_posix() if path.resolve().is_relative_to(root) else str(path)
    return [Passage(name, line, text, kind) for line, text, kind in reader(path.read_text(), name)]


def reader_of(path: Path) -> Callable[[str, str], Found] | None:
    """The reader for files of this kind, which takes a file's text and its path; None if they hold no prose."""
    if path.suffix == ".py":
        return of_python
    if path.suffix == ".md":
        return of_markdown
    if path.suffix == ".html":
        return of_html
    if path.suffix in {".js", ".css"}:
        return of_script
    if path.suffix in HASH_COMMENTS or path.name in HASH_NAMES:
        return of_hash
    return None

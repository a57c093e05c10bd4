"""The layout of the repository: who may import tests, and how long a file and a folder may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.prose.files import ROOT

FOLDERS = ("labelloop", "sync", "backend", "console", "tests", "benchmarks")
LINES = 300
"""Lines of a Python file at most; a longer one holds a second noun."""
ENTRIES = 22
"""Files and folders in one folder at most."""


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports; `from a import b` counts as both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_tests_import_from_other_tests_only_what_lies_in_support() -> None:
    wrong = {
        relative(path): names
        for path in python_files("tests")
        if (
            names := {
                name for name in imported(path) if name.startswith("tests.") and not name.startswith("tests.support")
            }
        )
    }
    assert not wrong


def test_no_code_outside_the_tests_imports_them() -> None:
    others = [folder for folder in FOLDERS if folder != "tests"]
    wrong = {
        relative(path)
        for path in python_files(*others, "tools", "docs")
        if any(name.split(".")[0] == "tests" for name in imported(path))
    }
    assert not wrong


def test_no_file_is_longer_than_300_lines() -> None:
    long = {relative(path) for path in python_files(*FOLDERS) if len(path.read_text().splitlines()) > LINES}
    assert long == set()


def test_no_folder_has_more_than_22_entries() -> None:
    folders = {path.parent for path in python_files(*FOLDERS)}
    full = {relative(folder) for folder in folders if len(entries(folder)) > ENTRIES}
    assert full == set()


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != "__pycache__" and not path.name.startswith(".")]

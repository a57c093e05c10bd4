"""Environments with the two lines of label-studio-ml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosted.environments import line_1x, line_2x
from tests.support.hosted.lines import Line


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    folder = tmp_path_factory.mktemp("environments")
    made = {"1x": Line("1x", line_1x(folder / "1x")), "2x": Line("2x", line_2x(folder / "2x"))}
    yield made
    for line in made.values():
        line.shared.close()


@pytest.fixture(params=["1x", "2x"])
def line(lines: dict[str, Line], request: pytest.FixtureRequest) -> Line:
    return lines[request.param]


@pytest.fixture
def modern(lines: dict[str, Line]) -> Line:
    return lines["2x"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which private folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder

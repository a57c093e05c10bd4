"""The tools of tools/: a release is cut once and for a newer version, and a commit's subject has its form."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.commit_subject import problem
from tools.release import WRITTEN, Refused, check_can_be_cut, cut, release

ROOT = Path(__file__).parents[3]
TODAY = dt.date(2026, 11, 29)
CHANGES = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A way in.\n\n## [0.1.0] - 2026-01-01\n\n- The first.\n"


def git(tree: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project of its own in git, built as ours is."""
    for name in ("NAME", "EMAIL"):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", "a@example.org")
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", "a@example.org")
    project = '[project]\nname = "looped"\nversion = "0.1.0"\n[build-system]\nrequires = ["hatchling"]\n'
    (tmp_path / "pyproject.toml").write_text(project + 'build-backend = "hatchling.build"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "compose").mkdir()
    shutil.copy(ROOT / "compose/env.example", tmp_path / "compose")
    (tmp_path / "looped").mkdir()
    (tmp_path / "looped/__init__.py").touch()
    (tmp_path / ".gitignore").write_text("dist/\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "all: begin")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path


def test_a_release_writes_the_version_cuts_the_changelog_builds_the_wheel_and_tags(tree: Path) -> None:
    release(tree, "0.2.0", TODAY)
    assert [wheel.name for wheel in (tree / "dist").iterdir()] == ["looped-0.2.0-py2.py3-none-any.whl"]
    assert 'version = "0.2.0"' in (tree / "pyproject.toml").read_text()
    assert "LABELLOOP_TAG=0.2.0" in (tree / "compose/env.example").read_text()
    assert git(tree, "describe").strip() == "v0.2.0"
    assert problem(git(tree, "log", "-1", "--format=%s")) is None
    assert git(tree, "status", "--porcelain") == ""
    with pytest.raises(Refused, match=r"nothing under \[Unreleased\]"):
        release(tree, "0.3.0", TODAY)


def test_the_changelog_keeps_an_empty_section_for_the_next_changes() -> None:
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-11-29\n\n### Added\n\n- A way in." in cut(CHANGES, "0.2.0", TODAY)


def test_our_changelog_can_be_cut() -> None:
    assert "## [99.0.0] - 2026-11-29\n" in cut((ROOT / "CHANGELOG.md").read_text(), "99.0.0", TODAY)
    assert all((ROOT / name).is_file() for name in WRITTEN)


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_a_version_that_is_not_newer_is_refused(tree: Path, version: str) -> None:
    with pytest.raises(Refused, match=r"not newer than 0\.1\.0"):
        check_can_be_cut(tree, version)


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0rc1", ""])
def test_a_version_has_three_numbers(tree: Path, version: str) -> None:
    with pytest.raises(Refused, match="is no version"):
        check_can_be_cut(tree, version)


def test_a_tree_with_changes_is_refused(tree: Path) -> None:
    (tree / "new.txt").touch()
    with pytest.raises(Refused, match=r"new\.txt"):
        check_can_be_cut(tree, "0.2.0")


@pytest.mark.slow
def test_a_wheel_whose_test_fails_leaves_all_as_it_was(tree: Path) -> None:
    tests = tree / "tests/end_to_end"
    tests.mkdir(parents=True)
    (tests / "test_wheel.py").write_text("def test_it(): assert False\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "tests: fail")
    with pytest.raises(subprocess.CalledProcessError):
        release(tree, "0.2.0", TODAY)
    assert git(tree, "diff", "--stat") == ""
    assert git(tree, "tag").split() == ["v0.1.0"]
    assert (tree / "CHANGELOG.md").read_text() == CHANGES


@pytest.mark.parametrize("subject", ["sync: adopt tasks that Label Studio has", "a noun: do it", "Merge branch 'x'"])
def test_a_good_subject_passes(subject: str) -> None:
    assert problem(f"{subject}\n\nWhy.\n") is None


@pytest.mark.parametrize(
    ("subject", "named"),
    [("sync: " + "a" * 70, "76 characters"), ("Fix it", "room or noun"), ("sync: do it.", "period")],
)
def test_a_bad_subject_is_named(subject: str, named: str) -> None:
    assert re.search(named, problem(subject) or "")

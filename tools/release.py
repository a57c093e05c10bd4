"""Cut a release: write the version, date the changelog, build and test the wheel, commit and tag.

`make release VERSION=0.2.0` calls it. Nothing is sent anywhere. If a step fails, the files are restored and there is
neither a commit nor a tag.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHEEL_TESTS = "tests/end_to_end/*wheel*"
WRITTEN = ("pyproject.toml", "CHANGELOG.md", "compose/env.example")


class Refused(Exception):
    """The release cannot be cut; nothing was changed."""


def release(root: Path, version: str, today: dt.date, *, tested: bool = True) -> None:
    """Cut `version` in the checkout at `root`. `tested=False` leaves out the wheel's tests."""
    check_can_be_cut(root, version)
    before = {name: (root / name).read_text() for name in WRITTEN}
    tag = f"LABELLOOP_TAG={version}"
    after = {
        "pyproject.toml": _replaced(r'^version = ".*"', f'version = "{version}"', before["pyproject.toml"]),
        "CHANGELOG.md": cut(before["CHANGELOG.md"], version, today),
        "compose/env.example": _replaced(r"^LABELLOOP_TAG=.*", tag, before["compose/env.example"]),
    }
    try:
        for name, text in after.items():
            (root / name).write_text(text)
        shutil.rmtree(root / "dist", ignore_errors=True)
        _run(root, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist")
        if tested and (tests := sorted(map(str, root.glob(WHEEL_TESTS)))):
            _run(root, sys.executable, "-m", "pytest", "-q", *tests)
        _run(root, "git", "commit", "-q", "-m", f"release: cut {version}", "--", *WRITTEN)
    except (subprocess.CalledProcessError, KeyboardInterrupt):
        for name, text in before.items():
            (root / name).write_text(text)
        raise
    _run(root, "git", "tag", "-a", "-m", f"labelloop {version}", f"v{version}")


def check_can_be_cut(root: Path, version: str) -> None:
    """Refuse a version that is not newer than all others, and a tree with changes that are not committed."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"{version!r} is no version: it must read like 1.2.3")
    released = [_numbers(tag) for tag in _run(root, "git", "tag", "--list", "v*.*.*").split()]
    if released and _numbers(version) <= max(released):
        raise Refused(f"{version} is not newer than {'.'.join(map(str, max(released)))}, which is released")
    written = re.search(r'^version = "(.*)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    if written and _numbers(version) < _numbers(written[1]):
        raise Refused(f"{version} is older than {written[1]}, the version in pyproject.toml")
    if changed := _run(root, "git", "status", "--porcelain"):
        raise Refused(f"the tree has changes that are not committed:\n{changed}")


def cut(changelog: str, version: str, today: dt.date) -> str:
    """Return the changelog with its Unreleased section under the version and date, and an empty one above it."""
    found = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise Refused("CHANGELOG.md has nothing under [Unreleased]")
    return changelog.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {today}\n", 1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _replaced(pattern: str, new: str, text: str) -> str:
    changed, times = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
    if not times:
        raise Refused(f"no line matches {pattern}")
    return changed


def _run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)  # what the tests of the wheel found, for instance
        raise subprocess.CalledProcessError(done.returncode, command)
    return done.stdout


def main() -> None:
    """Read the version from the command line. Exit status: 0 success, 1 failure, 2 usage error."""
    if len(sys.argv) != 2 or not sys.argv[1]:
        print("usage: make release VERSION=1.2.3", file=sys.stderr)
        sys.exit(2)
    version = sys.argv[1]
    try:
        release(ROOT, version, dt.datetime.now(dt.UTC).date())
    except (Refused, subprocess.CalledProcessError) as exc:
        sys.exit(f"not released: {exc}")
    (wheel,) = (ROOT / "dist").glob("*.whl")
    print(f"{wheel.relative_to(ROOT)} is built and tested, v{version} is tagged. Next: git push --follow-tags")


if __name__ == "__main__":
    main()

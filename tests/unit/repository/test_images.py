"""The promises of the Dockerfile: it copies existing files, installs tested versions, and ends as an ordinary user."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOCKS = ("locks/runtime.lock", "locks/requirements.lock")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_images_copy_only_what_is_there_and_what_the_ignore_file_lets_in() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    first, *let_in = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    for source in copied:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, line.removeprefix("!")) for line in let_in if line.startswith("!"))
    assert not any("secret" in line or ".env" in line for line in let_in)


def test_both_images_end_as_an_ordinary_user() -> None:
    stages = {re.split(r"\s+", stage)[2]: stage for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]}
    for target in ("labelloop", "label-studio"):
        (user,) = re.findall(r"^USER (\S+)$", stages[target], re.MULTILINE)
        assert user == "10001:10001"


def test_the_image_gets_the_versions_that_the_tests_ran_with_and_no_tool_of_ours() -> None:
    ours, tested = (set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS)
    assert ours < tested
    assert not {line for line in ours if re.match("pytest|mypy==|ruff|circus|playwright", line)}

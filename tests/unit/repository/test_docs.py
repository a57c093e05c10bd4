"""The pages say what is true: links lead somewhere, commands and their options exist, examples can be read."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from backend.review.loop_pages import PAGES as REPORTS
from console.cli import main as cli
from labelloop.spec.folder import parse

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fences(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as the usual hosting sites make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@each_page
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    text = page.read_text()
    shown = [*fences(page, "sh"), *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)]
    for line in (line.partition("#")[0] for block in shown for line in block.replace("\\\n", " ").splitlines()):
        for name, rest in re.findall(r"(?:^|\s)labelloop ([a-z]+)((?: [^|&]*)?)", line):
            command = cli.commands.get(name)
            assert command is not None, f"no command `labelloop {name}`"
            word = next(iter(rest.split()), "")
            alone = isinstance(command, click.Group) and command.invoke_without_command and word.startswith("--")
            if isinstance(command, click.Group) and word and not alone:  # such as `token list`
                assert word in command.commands, f"no command `labelloop {name} {word}`"
                command = command.commands[word]
            known = {option for param in command.params for option in param.opts} | {"--help"}
            options = {word.partition("=")[0] for word in shlex.split(rest) if word.startswith("--")}
            assert options <= known, f"`labelloop {name}` has no {options - known}"


def test_every_command_and_every_make_target_is_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for name, command in cli.commands.items():
        assert re.search(rf"`(?:labelloop )?{name}\b|labelloop {name}\b", text), f"`labelloop {name}` is on no page"
        assert command.get_short_help_str(), f"`labelloop {name}` has no help"
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "help"} <= targets
    assert set(re.findall(r"`?make ([a-z]+)(?=[`\s,.)]|$)", "\n".join(_code(page) for page in PAGES))) <= targets


def test_every_command_stands_in_the_table_of_the_readme() -> None:
    table = "\n".join(re.findall(r"^\| (`.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert set(cli.commands) - set(re.findall(r"`([a-z]+)\b", table)) == set()


def _code(page: Path) -> str:
    return "\n".join([*fences(page, "sh"), *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text())])


@each_page
def test_every_example_can_be_read(page: Path) -> None:
    for source in fences(page, "python"):
        ast.parse(source)
    for spec in fences(page, "yaml"):
        parse("example", spec)


@each_page
def test_a_page_is_short_enough_to_be_read(page: Path) -> None:
    limit = 1500 if page.name in ("schema.md", "CHANGELOG.md") else 160  # made, or growing with each version
    assert len(page.read_text().splitlines()) <= limit


def test_every_command_has_options_with_help_that_says_something() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        for param in command.params:
            if isinstance(param, click.Option) and param.name != "help":
                assert param.help or param.show_default, f"`labelloop {name} {param.opts[0]}` has no help"


def test_every_place_that_contributing_names_exists() -> None:
    tables = re.findall(r"^\|.*\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    places = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", "\n".join(tables))
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_page_below_a_loop_is_in_the_table_of_routes() -> None:
    page = (ROOT / "docs/engineers/review.md").read_text()
    [row] = re.findall(r"^\| `loops/LOOP/PAGE` \|(.*)$", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(REPORTS)

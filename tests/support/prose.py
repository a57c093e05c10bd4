"""Prose: every sentence of the repository that a person reads, with its file and line, without running any of the code.

Prose is docstrings, attribute docstrings, comments, messages and help texts, the words of HTML templates, Markdown
outside code, and the names of tests. Tests keep their string literals to themselves: most are data. SQL is left alone.
"""

from __future__ import annotations

import ast
import html
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKIPPED_FOLDERS = {"__pycache__", "build", "dist", "secrets", "tls", "versions"}
"""Folders that are not read; `versions` holds the migrations, which are history."""
SKIPPED_FILES = {"docs/english.md"}
"""The page that quotes bad sentences."""
HASH_COMMENTS = {".sh", ".yml", ".yaml", ".toml", ".conf", ".in", ".example", ".Dockerfile"}
HASH_NAMES = {"Dockerfile", "Makefile", ".gitignore", ".dockerignore", "run"}
DIRECTIVE = re.compile(
    r"\s*(noqa|type:|fmt:|pragma|ruff:|mypy:|isort:|shellcheck|syntax=|!|-\*-|https?://\S+$|--hash)", re.IGNORECASE
)
SQL = re.compile(
    r"\s*(with|select|insert into|update|delete from|create|alter|drop|lock|truncate|explain|begin|grant|revoke|from|"
    r"where|and|or|join|left join|order by|group by|on|set|notify|listen|values|returning)\b.*"
    r"(%\(|%s|=|\*|\(|\bfrom\b|\bset\b|\btable\b|\bindex\b|\brole\b|\bdatabase\b)",
    re.DOTALL,
)
DATABASE_CALLS = {"execute", "executemany", "stream", "SQL", "copy", "_all", "_one", "fetchall", "fetchone", "scalar"}
BLOCKS = set(
    "p div li ul ol h1 h2 h3 h4 h5 h6 td th tr table caption thead tbody section main nav header footer form label "
    "button summary details dl dt dd title option select fieldset legend pre br hr head body svg text figure figcaption"
    .split()
)  # fmt: skip
SPOKEN_ATTRIBUTES = {"title", "alt", "aria-label", "placeholder"}


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of prose. Blank lines divide its paragraphs; `{}` stands for a value that is filled in."""

    path: str
    line: int
    """Line of its first character, from 1."""
    text: str
    kind: str
    """One of: module, class, function, predicate (a function that returns a bool), attribute, constant (the docstring
    of a number), comment, message, page, heading, test."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    path: str
    line: int
    sentences: tuple[tuple[int, str], ...]
    """Line and words of each, in order. Inline code and links are one word."""
    kind: str
    first: bool
    """Whether it opens its passage."""


def files(root: Path = ROOT) -> Iterator[Path]:
    """All files that `passages` can read, in order of their paths."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED_FOLDERS and (not name.startswith(".") or name == ".ci") and ".egg-info" not in name
        )
        for name in sorted(names):
            path = Path(folder, name)
            if reader_of(path) is not None and path.relative_to(root).as_posix() not in SKIPPED_FILES:
                yield path


def passages(path: Path, root: Path = ROOT) -> list[Passage]:
    """The prose of a file; nothing for a file of a kind that holds none."""
    reader = reader_of(path)
    if reader is None:
        return []
    name = path.resolve().relative_to(root).as_posix() if path.resolve().is_relative_to(root) else str(path)
    return [Passage(name, line, text, kind) for line, text, kind in reader(path.read_text(), name)]


def paragraphs(passage: Passage) -> Iterator[Paragraph]:
    """The paragraphs of a passage, divided into sentences. A list item is a paragraph of its own."""
    text, first = _plain(passage.text), True
    for start, piece in _paragraphs(text):
        line = passage.line + text[:start].count("\n")
        found = []
        for offset, sentence in _sentences(piece):
            words = " ".join(sentence.split())
            if re.search(r"[^\W\d_]", words):
                found.append((line + piece[:offset].count("\n"), words))
        if found:
            yield Paragraph(passage.path, found[0][0], tuple(found), passage.kind, first)
            first = False


Found = Iterator[tuple[int, str, str]]
"""Line, text, kind."""


def reader_of(path: Path) -> Callable[[str, str], Found] | None:
    """The reader for files of this kind, which takes a file's text and its path; None if they hold no prose."""
    if path.suffix == ".py":
        return _python
    if path.suffix == ".md":
        return _markdown
    if path.suffix == ".html":
        return _html
    if path.suffix in {".js", ".css"}:
        return _script
    if path.suffix in HASH_COMMENTS or path.name in HASH_NAMES:
        return _hash
    return None


def _plain(text: str) -> str:
    """Inline code, links and sources as one word or none; the number of lines stays."""
    text = re.sub(r"``?[^`]+``?", lambda match: "X" + _lines(match), text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\s*\((?:[^()]*(?:doi:|arXiv:|\b(?:19|20)\d\d\b|https?://)[^()]*)\)", _lines, text)
    return re.sub(r"\*{1,2}(?=\S)([^*\n]+)(?<=\S)\*{1,2}", r"\1", text)


def _lines(match: re.Match[str]) -> str:
    """The line ends of a match that is removed, so that later lines keep their numbers."""
    return "\n" * match[0].count("\n")


TABULAR = re.compile(r"^\s*\S.*?\S {2,}\S|[│├└─▶]", re.MULTILINE)
"""A line in columns, as in a list of names and what they mean, or of a drawing."""

SHORT = 80
"""Characters: a line that ends earlier without a full stop was not wrapped, it ended."""


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    start, before = 0, ""
    for match in re.finditer(r"[^\n\x00\x08]*(?:[\n\x00\x08]|$)", text):
        line = match[0]
        if _begins(before, line):
            yield start, text[start : match.start()]
            start = match.start()
        before = line if line.endswith("\n") else ""
        if line.endswith(("\x00", "\x08")):
            yield start, text[start : match.end() - 1]
            start = match.end()
    yield start, text[start:]


def _begins(before: str, line: str) -> bool:
    """Whether a line begins a paragraph: a blank one, a list item, a row of a table, or what follows a short line."""
    if not line.strip() or re.match(r"\s*(?:[-*]|\d+\.) |\s{8,}\S", line):
        return True
    if TABULAR.search(line) or TABULAR.search(before):
        return True
    return (
        len(before) < SHORT and re.search(r"[\w)]\s*$", before) is not None and re.match(r"\s*[A-Z]", line) is not None
    )


ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|vs|cf|approx|no|Statist|J|Proc|Conf|Trans|Int|sec|p|pp|St|Dr)|\b[A-Z])\.$"
)


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for match in re.finditer(r"[.!?][\"')\]”’]*\s+(?=[\"'(\[“‘<]*[A-Z0-9{])", text):
        if ABBREVIATION.search(text[start : match.start() + 1]):
            continue
        yield _stripped(start, text[start : match.end()])
        start = match.end()
    yield _stripped(start, text[start:])


def _stripped(start: int, text: str) -> tuple[int, str]:
    return start + len(text) - len(text.lstrip()), text.strip()


def is_prose(text: str, words: int = 3) -> bool:
    """Whether a literal reads as words: most of them letters, not SQL, not data."""
    tokens = text.split()
    plain = [
        token
        for token in tokens
        if re.fullmatch(r"[\"'(]*[A-Za-z]+(?:['’-][A-Za-z]+)*[.,;:!?)\"']*|\{\}[.,;:)]*", token)
    ]
    letters = [token for token in plain if "{" not in token]
    return len(tokens) >= words and len(letters) >= 2 and len(plain) >= 0.6 * len(tokens) and not SQL.match(text)


def _python(source: str, name: str) -> Found:
    spans: list[tuple[int, int, int, int]] = []
    documented: set[int] = set()
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), name.startswith("tests/"))]
    while stack:
        node, silent = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.lineno, node.name.removeprefix("test_").replace("_", " "), "test"
            for before, statement in zip([None, *node.body], node.body, strict=False):
                if isinstance(statement, ast.Expr) and (text := _literal(statement.value)) is not None:
                    documented.add(id(statement.value))
                    yield statement.lineno, text, _kind(node) if before is None else _documents(before)
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            text = _literal(node)
            if text is not None:
                spans.append((node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0))
                if not silent and id(node) not in documented and is_prose(text):
                    yield node.lineno, text, "message"
            if isinstance(node, ast.JoinedStr):
                stack += [(part, silent) for part in node.values if not isinstance(part, ast.Constant)]
            continue
        elif isinstance(node, ast.Call):
            silent = silent or getattr(node.func, "attr", getattr(node.func, "id", "")) in DATABASE_CALLS
        elif isinstance(node, ast.keyword) and node.arg == "help" and not silent:
            text = _literal(node.value)
            if text is not None and not is_prose(text):  # however short: what is prose is read below
                yield node.value.lineno, text, "message"
        stack += [(child, silent) for child in ast.iter_child_nodes(node)]
    yield from _grouped(list(_comments(source, spans)))


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Module):
        return "module"
    if isinstance(node, ast.ClassDef):
        return "class"
    returns = getattr(node, "returns", None)
    return "predicate" if returns is not None and "bool" in ast.unparse(returns) else "function"


def _documents(statement: ast.stmt) -> str:
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    numbers = [part for part in ast.walk(value) if isinstance(part, ast.Constant)] if value is not None else []
    simple = isinstance(value, ast.Constant | ast.BinOp | ast.UnaryOp)
    is_number = simple and all(
        isinstance(one.value, int | float) and not isinstance(one.value, bool) for one in numbers
    )
    return "constant" if is_number and numbers else "attribute"


def _literal(node: ast.AST) -> str | None:
    """The words of a string or an f-string, with `{}` for each value; None for another node."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def _comments(source: str, strings: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, str]]:
    """The comments of a Python source, given where its strings are: line, column in bytes and the same of the end."""
    on_line: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for first, start, last, end in strings:
        for line in range(first, last + 1):
            on_line[line].append((start if line == first else 0, end if line == last else 1 << 30))
    for number, text in enumerate(source.splitlines(), 1):
        if "#" not in text:
            continue
        for match in re.finditer(b"#", line_bytes := text.encode()):
            if not any(start <= match.start() < end for start, end in on_line[number]):
                alone = not line_bytes[: match.start()].strip()
                yield number, match.start() if alone else -1, line_bytes[match.start() :].decode()
                break


def _grouped(comments: list[tuple[int, int, str]]) -> Found:
    """Comments of (line, column, text) as passages: neighbours of one column are one text; column -1 stands alone."""
    start, text, last = 0, "", (0, -2)
    for line, column, string in comments:
        parts = [part for part in re.split(r"(?:^|\s)#+", string) if part.strip() and not DIRECTIVE.match(part)]
        words = " ".join(parts)
        if column >= 0 and last == (line - 1, column) and text:
            text += "\n" + words
        else:
            if text.strip():
                yield start, text, "comment"
            start, text = line, words
        last = (line, column)
    if text.strip():
        yield start, text, "comment"


def _hash(source: str, name: str) -> Found:
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        match = re.search(r"(?:^|(?<=\s))#", line)
        if match is None or line.startswith("#!"):
            continue
        before = line[: match.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            found.append((number, match.start() if not before.strip() else -1, line[match.start() :]))
    yield from _grouped(found)
    if name.endswith(".sh"):
        for number, line in enumerate(source.splitlines(), 1):
            for text in re.findall(r"\becho \"([^\"]+)\"|:\?([^}]+)\}", line):
                yield number, "".join(text), "message"


def _script(source: str, name: str) -> Found:
    for match in re.finditer(r"/\*(.*?)\*/|(?:(?:^|(?<=\s))//[^\n]*\n?[ \t]*)+", source, re.DOTALL | re.MULTILINE):
        text = match[1] if match[1] is not None else re.sub(r"(?m)^\s*//", "", match[0])
        yield source[: match.start()].count("\n") + 1, text, "comment"
    for match in re.finditer(r"\"([^\"\n]+)\"|'([^'\n]+)'|`([^`]+)`", source):
        text = re.sub(r"\$\{[^}]*\}", "{}", match[1] or match[2] or match[3])
        if is_prose(text):
            yield source[: match.start()].count("\n") + 1, text, "message"


def _markdown(source: str, name: str) -> Found:
    fence, start, block = "", 1, ""
    for number, line in enumerate([*source.splitlines(), ""], 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if fence or mark:
            if block.strip():
                yield start, block, "page"
            block, start = "", number + 1
            if mark and not fence:
                fence = mark[1]
            elif fence and line.strip().startswith(fence):
                fence = ""
            continue
        if line.startswith(("|", "#")) or not line.strip() or re.match(r"\s*<", line):
            if block.strip():
                yield start, block, "page"
            block, start = "", number + 1
            if line.startswith("#"):
                yield number, line.strip("# "), "heading"
            elif line.startswith("|") and not re.fullmatch(r"[|:\- ]+", line):
                for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")):
                    yield number, cell, "page"
            continue
        block += line.removeprefix(">") + "\n"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[int, str, str]] = []
        self.text, self.line, self.silent, self.heading = "", 1, 0, False

    def close(self) -> None:
        super().close()
        self.end()

    def end(self) -> None:
        if self.text.strip():
            self.found.append((self.line, html.unescape(self.text), "heading" if self.heading else "page"))
        self.text = ""

    def add(self, text: str, lines_before: int = 0) -> None:
        if self.silent:
            return
        if not self.text.strip():
            stripped = text.lstrip()
            self.line = self.getpos()[0] + lines_before + text[: len(text) - len(stripped)].count("\n")
            text = stripped
        self.text += text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in SPOKEN_ATTRIBUTES and value:
                self.found.append((self.getpos()[0], value, "page"))
        if tag in {"script", "style"}:
            self.silent += 1
        if tag in BLOCKS:
            self.end()
            self.heading = tag in {"h1", "h2", "h3", "h4", "th", "title", "dt", "label", "option", "button"}
        if tag == "code":
            self.add("`")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self.silent -= 1
        if tag in BLOCKS:
            self.end()
            self.heading = False
        if tag == "code":
            self.add("`")

    def handle_data(self, data: str) -> None:
        before = 0
        for place, piece in enumerate(data.split("\x00")):
            if place:
                self.end()
            self.add(piece, before)
            before += piece.count("\n")

    def handle_entityref(self, name: str) -> None:
        self.add(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.add(f"&#{name};")


def _html(source: str, name: str) -> Found:
    for match in re.finditer(r"\{#(.*?)#\}|<!--(.*?)-->", source, re.DOTALL):
        yield source[: match.start()].count("\n") + 1, match[1] or match[2], "comment"
    for match in re.finditer(r"\{\{.*?\}\}|\{%.*?%\}", source, re.DOTALL):
        for text in re.findall(r"'([^'\n]*)'", match[0]):
            if is_prose(text):
                yield source[: match.start()].count("\n") + 1, text, "message"
    text = re.sub(r"\{#.*?#\}|<!--.*?-->", _lines, source, flags=re.DOTALL)
    text = re.sub(r"\{%-?\s*(else|elif)\b.*?%\}", lambda match: "\x00" + _lines(match), text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}", _lines, text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", lambda match: "{}" + _lines(match), text, flags=re.DOTALL)
    page = _Page()
    page.feed(text)
    page.close()
    yield from page.found

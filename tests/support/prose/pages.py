"""The prose of files that are no Python: Markdown, HTML templates, scripts, and the comments of configuration files."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from tests.support.prose.python import Found, grouped
from tests.support.prose.sentences import is_prose, lines

BLOCKS = set(
    "p div li ul ol h1 h2 h3 h4 h5 h6 td th tr table caption thead tbody section main nav header footer form label "
    "button summary details dl dt dd title option select fieldset legend pre br hr head body svg text figure figcaption"
    .split()
)  # fmt: skip
"""Elements that begin and end a passage."""
SPOKEN_ATTRIBUTES = {"title", "alt", "aria-label", "placeholder"}


def of_hash(source: str, name: str) -> Found:
    """The `#` comments of a file, and the messages of a shell script."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        match = re.search(r"(?:^|(?<=\s))#", line)
        if match is None or line.startswith("#!"):
            continue
        before = line[: match.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            found.append((number, match.start() if not before.strip() else -1, line[match.start() :]))
    yield from grouped(found)
    if name.endswith(".sh"):
        for number, line in enumerate(source.splitlines(), 1):
            for text in re.findall(r"\becho \"([^\"]+)\"|:\?([^}]+)\}", line):
                yield number, "".join(text), "message"


def of_script(source: str, name: str) -> Found:
    """The comments and messages of JavaScript, and the comments of CSS."""
    for match in re.finditer(r"/\*(.*?)\*/|(?:(?:^|(?<=\s))//[^\n]*\n?[ \t]*)+", source, re.DOTALL | re.MULTILINE):
        text = match[1] if match[1] is not None else re.sub(r"(?m)^\s*//", "", match[0])
        yield source[: match.start()].count("\n") + 1, text, "comment"
    for match in re.finditer(r"\"([^\"\n]+)\"|'([^'\n]+)'|`([^`]+)`", source):
        text = re.sub(r"\$\{[^}]*\}", "{}", match[1] or match[2] or match[3])
        if is_prose(text):
            yield source[: match.start()].count("\n") + 1, text, "message"


def of_markdown(source: str, name: str) -> Found:
    """Headings, paragraphs and table cells, without fenced code."""
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


def of_html(source: str, name: str) -> Found:
    """Texts and spoken attributes of a Jinja template, its comments, and messages inside its expressions."""
    for match in re.finditer(r"\{#(.*?)#\}|<!--(.*?)-->", source, re.DOTALL):
        yield source[: match.start()].count("\n") + 1, match[1] or match[2], "comment"
    for match in re.finditer(r"\{\{.*?\}\}|\{%.*?%\}", source, re.DOTALL):
        for text in re.findall(r"'([^'\n]*)'", match[0]):
            if is_prose(text):
                yield source[: match.start()].count("\n") + 1, text, "message"
    text = re.sub(r"\{#.*?#\}|<!--.*?-->", lines, source, flags=re.DOTALL)
    text = re.sub(r"\{%-?\s*(else|elif)\b.*?%\}", lambda match: "\x00" + lines(match), text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}", lines, text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", lambda match: "{}" + lines(match), text, flags=re.DOTALL)
    page = _Page()
    page.feed(text)
    page.close()
    yield from page.found


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

"""Sphinx's settings for the site that `make docs` builds: the pages of docs/ and those of the top level, by reader."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "labelloop"
author = "The labelloop maintainers"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md"]
exclude_patterns = [".*", "build"]
root_doc = "docs/index"
html_theme = "furo"
html_title = "labelloop"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
myst_heading_anchors = 6  # so many levels of headings can be linked to


def with_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Give the index a menu: one entry a link, one group a heading. The page itself stays plain Markdown."""
    if name != root_doc:
        return
    sections = re.split(r"^(?=## )", source[0], flags=re.MULTILINE)
    source[0] = "\n".join(section + _menu(section) for section in sections)


def _menu(section: str) -> str:
    pages = re.findall(r"\]\(([^):#]+)\.md\)", section)
    caption = re.match(r"## (.+)", section)
    head = f":caption: {caption[1]}\n" if caption else ""
    return "\n```{toctree}\n:hidden:\n" + head + "\n" + "\n".join(pages) + "\n```\n"


def open_at_the_index(app: Sphinx, failure: Exception | None) -> None:
    """Let the site's address itself lead to the index, which lies in a folder as in the repository."""
    if failure is None:
        target = f"{root_doc}.html"
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}"><a href="{target}">{project}</a>\n'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Sphinx) -> None:
    app.connect("source-read", with_contents)
    app.connect("build-finished", open_at_the_index)

"""`make docs` builds the documentation site: every page, an index by reader, search, and no dead link."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(site: Path, pages: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "docs", f"SITE={site}", f"PAGES={pages}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site_and_in_the_menu(site: Path) -> None:
    menu = (site / "docs/index.html").read_text()
    for page in (ROOT / "docs").glob("*/*.md"):
        built = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / "docs" / built).is_file()
        assert f'class="reference internal" href="{built}"' in menu


def test_the_menu_has_a_group_for_each_reader(site: Path) -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
    groups = re.findall(r'class="caption-text">([^<]+)<', (site / "docs/index.html").read_text())
    assert list(dict.fromkeys(groups)) == headings


def test_the_site_can_be_searched(site: Path) -> None:
    assert (site / "search.html").is_file()
    assert "challenger" in (site / "searchindex.js").read_text()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.search(r'<(?:script|img|link)\b[^>]+(?:src|href)="(?:https?:)?//', page.read_text()), page.name


def test_a_dead_link_or_heading_and_a_page_outside_the_index_stop_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "pages/docs/house"
    docs.mkdir(parents=True)
    shutil.copy(ROOT / "docs/conf.py", docs.parent)
    (docs.parent / "index.md").write_text("# Index\n\n## House\n\n[a](house/a.md)\n")
    (docs / "a.md").write_text("# A\n\n[page](nowhere.md) [heading](../index.md#nothing)\n")
    (docs / "b.md").write_text("# B\n")
    done = build(tmp_path / "site", tmp_path / "pages")
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr
    assert "nothing" in done.stderr
    assert re.search(r"b\.md.*toctree", done.stderr)

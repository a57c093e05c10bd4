"""versions, runs, compare and card on the command line: what the review pages show, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.report.card import card, card_html
from backend.report.loops import loop_report
from backend.report.runs import run_report
from backend.report.versions import comparison, version_report
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from tests.support.backend_factory import CONFIGS, settings_for
from tests.support.review.review_factory import judged_loop

Run = Callable[..., Result]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def run(settings: Settings) -> Run:
    env = settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(CONFIGS), "COLUMNS": "400"}
    return lambda *words: CliRunner().invoke(main, list(words), env=env)


def asked(run: Run, *words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_command_line_says_what_the_pages_say(database: Database, settings: Settings, run: Run) -> None:
    assert settings.models_dir is not None
    first, second = judged_loop(database, settings.models_dir)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set error = 'no [bold] and no [/end] :smile:' where id = %s", (first,))
        loop, report = loop_report(conn, "digits"), run_report(conn, second)
        a, b = report["champion"]["name"], report["challenger"]["name"]
        version, both = version_report(conn, a), comparison(conn, a, b)
    assert asked(run, "runs") == loop["runs"]
    assert asked(run, "runs", str(second)[:8]) == report
    assert asked(run, "versions", a[:6]) == version
    assert asked(run, "compare", a, b) == both
    listed = asked(run, "versions")
    assert [{key: row[key] for key in line} for row, line in zip(listed, loop["versions"], strict=True)] == loop[
        "versions"
    ]
    assert [(row["by"], row["stale"]) for row in listed] == [(None, 0), ("gate", 0)]

    said = run("runs", str(second)[:8]).stdout
    assert said.startswith(report["verdict"]), "the verdict first"
    assert report["reasons"][0] in said
    assert "label 8" in said
    assert f"{100 * report['gain']['value']:+.1f} points" in said
    assert run("compare", a, b).stdout.startswith(both["said"])
    for words in (["runs"], ["versions"], ["versions", a]):
        assert a in run(*words).stdout
    assert str(first)[:8] in run("runs").stdout
    assert "no [bold] and no [/end] :smile:" in run("runs").stdout, "text of others is text"


def test_a_run_without_a_verdict_has_no_expected_loss_anywhere(
    database: Database, settings: Settings, run: Run, tmp_path: Path
) -> None:
    assert settings.models_dir is not None
    _, second = judged_loop(database, settings.models_dir)
    html = tmp_path / "card.html"
    with database.transaction() as conn:
        version = run_report(conn, second)["challenger"]["version"]

    def shown() -> str:
        asked(run, "card", version, "--html", str(html))
        return run("runs", str(second)).stdout + run("card", version).stdout + html.read_text()

    assert shown().count("points by promoting it") >= 2
    with database.transaction() as conn:
        conn.execute(
            "update retrain_runs set scores = scores || '{\"loss\": null}', reasons = '{}' where id = %s", (second,)
        )
    assert "by promoting it" not in shown()
    assert asked(run, "runs", str(second))["loss"] is None


def test_a_card_says_what_a_version_is_worth(database: Database, settings: Settings, run: Run, tmp_path: Path) -> None:
    assert settings.models_dir is not None
    _, second = judged_loop(database, settings.models_dir)
    with database.transaction() as conn:
        report = run_report(conn, second)
    version = report["challenger"]["version"]
    made = asked(run, "card", version[:8], "--html", str(tmp_path / "card.html"))
    assert made == json.loads(json.dumps(card(database, version, settings.models_dir), allow_nan=False))
    assert (tmp_path / "card.html").read_text() == card_html(made)
    nowhere = run("card", version, "--html", str(tmp_path / "nowhere" / "card.html"))
    assert nowhere.exit_code == 2
    assert "card.html cannot be written: No such file or directory" in nowhere.stderr

    assert made["model"]["params"]["field"] == "image"
    assert made["model"]["file"] == {"checked": True, "trouble": None}
    assert (made["data"]["answers"], made["data"]["held_out"]) == (report["taught"], report["held_out"])
    assert sum(row["taught"] for row in made["data"]["labels"]) == report["taught"]
    assert sum(row["held_out"] for row in made["data"]["labels"]) == report["held_out"]
    assert (made["identity"]["run"], made["identity"]["cut"]) == (str(second), report["cut"])
    assert made["identity"]["packages"] == report["identity"]["packages"]
    assert made["metrics"]["against"] == report["champion"]["name"]
    unseen = f"a gain below {100 * report['detectable']:.1f} points"
    assert unseen in str(made["limits"])
    assert "source is 'scanner 2'" in str(made["limits"])
    shown = run("card", version).stdout
    assert unseen in shown
    assert "field image" in shown
    assert "bytes, unchanged" in shown
    assert "checked, trouble" not in shown

    file = settings.models_dir / f"{version}.skops"
    file.write_bytes(file.read_bytes() + b"x")
    assert made["limits"][0] != asked(run, "card", version)["limits"][0]
    assert "damaged or was changed" in asked(run, "card", version)["limits"][0]
    assert card(database, version)["model"]["file"] == {"checked": False, "trouble": None}

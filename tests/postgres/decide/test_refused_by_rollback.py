"""A person who returns to an earlier champion refuses what the return leaves: the gate never undoes it by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.decide.promote import promote, rollback
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import verdicts
from tests.support.backend_factory import settings_for
from tests.support.hops.judged_texts import answer_more, champion_of, judged, row_of, texts_loop


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def refuser_of(database: Database, version: str) -> str | None:
    with database.transaction() as conn:
        return verdicts.refused_by(conn, "texts", version)


@pytest.mark.parametrize("promotion", ["auto", "shadow"])
def test_a_run_that_makes_the_version_again_asks_until_a_person_promotes_it(
    database: Database, settings: Settings, promotion: str
) -> None:
    texts_loop(database, promotion=promotion)
    folder = settings.models_dir
    first = judged(database, settings)
    if promotion == "shadow":
        promote(database, "texts", first.made, "ann", "good", models_dir=folder)
    assert champion_of(database) == first.version_id
    back = rollback(database, "texts", "otto", "squares look odd", models_dir=folder)
    assert list(back.refused) == [first.made[:12]]
    again = judged(database, settings)
    assert (again.version_id, again.status) == (first.version_id, "asking")
    assert again.reasons[0].endswith("if a person decides so, because otto has refused the same version")
    assert champion_of(database) is None

    promote(database, "texts", first.made, "ann", "they are right", models_dir=folder)
    assert row_of(database, again).status == "promoted"
    assert (champion_of(database), refuser_of(database, first.made)) == (first.version_id, None)


def test_a_return_over_several_steps_refuses_all_that_it_leaves_and_a_return_to_one_lifts_that(
    database: Database, settings: Settings
) -> None:
    texts_loop(database)
    folder = settings.models_dir
    made = []
    for end in (60, 80, 100):
        answer_more(database, 60, end)
        run = judged(database, settings)
        made.append(run.made)
        if champion_of(database) != run.made:
            promote(database, "texts", run.made, "ann", "newer", models_dir=folder)
    a, b, c = made
    back = rollback(database, "texts", "otto", "odd", to=a, models_dir=folder)
    assert list(back.refused) == [b[:12], c[:12]]
    assert [refuser_of(database, version) for version in made] == [None, "otto", "otto"]
    forward = rollback(database, "texts", "mira", "c was right", to=c, models_dir=folder)
    assert list(forward.refused) == []
    assert [refuser_of(database, version) for version in made] == [None, "otto", None]
    earlier = promote(database, "texts", a, "mira", "a after all", models_dir=folder)
    assert list(earlier.refused) == [c[:12]], "a promotion of an earlier champion is a return too"
    assert [refuser_of(database, version) for version in made] == [None, "otto", "mira"]


def test_the_command_says_what_the_next_run_may_do(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts_loop(database)
    made = judged(database, settings).made
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", settings.database_url)
    done = CliRunner().invoke(main, ["rollback", "--loop", "texts", "--by", "otto", "--why", "odd", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["refused"] == [made[:12]]
    assert done.stderr == f"A run that makes {made[:12]} again asks a person, and promotes nothing by itself.\n"

"""Lineage: from a version to the answers that it learned from, to the people behind them, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import errors

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.questions import lineage, uses
from labelloop.store.tables import versions
from labelloop.versions.version import Stage
from tests.support.backend_factory import answer, digits_loop, new_champion, settings_for, submit, texts_spec
from tests.support.hops.lineage import cli, version_of
from tests.support.hops.teaching_desk import TeachingDesk


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def texts(database: Database, labels: list[str]) -> list[UUID]:
    """A loop of texts whose first outputs are answered so; ids of the outputs."""
    spec = texts_spec(holdout=0.0)
    with database.transaction() as conn:
        ids = list(submit(conn, spec, [{"text": f"{label} {i}"} for i, label in enumerate(labels)], labels).values())
        answer(conn, spec.name, dict(zip(ids, labels, strict=True)))
    return ids


def test_a_version_that_two_runs_made_counts_each_answer_once(database: Database, settings: Settings) -> None:
    ids = texts(database, ["ham", "spam"] * 5)
    version, first = version_of(database, settings, "texts")
    with database.transaction() as conn:
        answer(conn, "texts", {ids[0]: None})
        answer(conn, "texts", {ids[0]: "ham"})
    again, second = version_of(database, settings, "texts")
    assert again == version, "the same data and seed"
    with database.transaction() as conn:
        counts = lineage.counts(conn, version)
        assert (counts.answers, counts.changed, counts.withdrawn) == (10, 0, 0)
        assert [run.id for run in lineage.runs_of(conn, version)] == [second, first]
        assert lineage.stale_by_version(conn, "texts") == {}
        assert len(uses.by_output(conn, "texts", "item-0")) == 1
        answer(conn, "texts", {ids[0]: None, ids[1]: "ham", ids[2]: "ham"})
        assert lineage.stale_by_version(conn, "texts") == {version: 2}, "the third says what it was taught"
        assert [(row.key, row.stale) for row in lineage.training_answers(conn, version, stale_only=True)] == [
            ("item-0", "withdrawn"),
            ("item-1", "changed"),
        ]


def test_what_judged_a_version_is_told_from_what_taught_it(database: Database, settings: Settings) -> None:
    spec = digits_loop(database)
    champion = new_champion(database, spec.name, settings.models_dir or Path())
    with database.transaction() as conn:
        rows = conn.execute("select key, holdout from outputs order by key limit 200").fetchall()
        parts = {row["key"]: uses.by_output(conn, spec.name, row["key"]) for row in rows}
        counts = lineage.counts(conn, champion)
        tally = lineage.tally(conn, champion)
    answered = {key: found[0] for key, found in parts.items() if found}
    assert {key: found.part == "holdout" for key, found in answered.items()} == {
        row["key"]: row["holdout"] for row in rows if row["key"] in answered
    }
    assert {(found.version, found.stage) for found in answered.values()} == {(champion, "champion")}
    assert sum(row.n for row in tally) == counts.answers
    assert {row.source for row in tally} == {"weak-1"}


def test_an_accepted_output_names_the_versions_that_it_trained_and_those_that_its_answer_trained(
    database: Database, settings: Settings
) -> None:
    desk = TeachingDesk(database, settings.models_dir or Path())
    desk.certified()
    first = desk.run()
    row = desk.beside(first["run"])[0]

    def used() -> list[dict[str, Any]]:
        found = json.loads(cli(settings, "lineage", "--output", row["key"], "--json").stdout)
        return [{name: one[name] for name in ("version", "part", "label", "now_label")} for one in found]

    accepted = {"version": first["version"], "part": "accepted", "label": row["label"], "now_label": None}
    assert used() == [accepted]
    with desk.database.transaction() as conn:
        answer(conn, "pets", {row["id"]: "dog"})
    second = desk.run()
    answered = {"version": second["version"], "part": "train", "label": "dog", "now_label": "dog"}
    assert used() == [answered, accepted | {"now_label": "dog"}]


@pytest.mark.parametrize(
    "change",
    [
        "loop = 'texts2'",
        "classes = '{ham}'",
        "size_bytes = size_bytes + 1",
        "trained_on = 1",
        "learner = 'images'",
        "id = repeat('0', 64)",
        "created_at = now() + interval '1 s', stage = 'retired'",
    ],
)
def test_nothing_of_a_stored_version_can_be_changed_but_its_stage(
    database: Database, settings: Settings, change: str
) -> None:
    texts(database, ["ham", "spam"])
    version, _ = version_of(database, settings, "texts")
    with pytest.raises(errors.CheckViolation) as refused, database.transaction() as conn:
        conn.execute(f"update model_versions set {change} where id = %s", (version,))
    assert refused.value.diag.constraint_name == "version_stands_still"
    with database.transaction() as conn:
        versions.set_stage(conn, version, Stage.CHAMPION)
        champion = versions.champion(conn, "texts")
    assert champion is None, "the stage alone makes nobody champion of record"


def test_a_stored_version_cannot_be_deleted(database: Database, settings: Settings) -> None:
    texts(database, ["ham", "spam"])
    version, _ = version_of(database, settings, "texts")
    with pytest.raises(errors.CheckViolation, match="cannot be changed"), database.transaction() as conn:
        conn.execute("delete from model_versions where id = %s", (version,))


def test_the_command_line_counts_first_and_lists_when_it_is_asked(database: Database, settings: Settings) -> None:
    ids = texts(database, ["ham", "spam"] * 5)
    version, _ = version_of(database, settings, "texts")
    with database.transaction() as conn:
        answer(conn, "texts", {ids[3]: "ham"})
    few: Any = cli(settings, "lineage", version[:8]).stdout
    assert "item-3" not in few
    assert "refused, answers up to" in few
    assert "changed to ham" in cli(settings, "lineage", version[:8], "--rows").stdout
    assert len(json.loads(cli(settings, "lineage", version[:8], "--json").stdout)["rows"]) == 10
    assert len(json.loads(cli(settings, "lineage", version[:8], "--stale", "--json").stdout)["rows"]) == 1
    (row,) = json.loads(cli(settings, "versions", "--json").stdout)
    assert (row["version"], row["stale"], row["stage"]) == (version, 1, "refused")
    assert "stale" in cli(settings, "versions").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lineage"], "give exactly one of"),
        (["lineage", "abc", "--output", "item-0"], "give exactly one of"),
        (["lineage", "abc"], "no version begins with 'abc'"),
        (["lineage", "--output", "item-99"], "no output of texts has the key 'item-99'"),
        (["lineage", "--reviewer", "nobody@example.org"], "no answers from 'nobody@example.org'"),
        (["versions", "abc"], "no version begins with 'abc'"),
        (["runs", "abc"], "no run begins with 'abc'"),
        (["compare", "abc", "pipeline"], "no version begins with 'abc'"),
        (["card", "abc"], "no version begins with 'abc'"),
    ],
)
def test_an_unknown_version_is_a_sentence_and_status_2(
    database: Database, settings: Settings, words: list[str], says: str
) -> None:
    texts(database, ["ham", "spam"])
    result = cli(settings, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr

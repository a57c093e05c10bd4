"""The error rates by week, source and label, and those of the champion, on the real Postgres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from backend.report.error_rate import error_rate_report
from backend.report.estimates.accuracy import accuracy_report
from console.cli import main
from labelloop.errors import UsageError
from labelloop.store.database import Database
from tests.support.review.stream import N, Stream, a_spec, predict, promote, with_sources


def test_each_part_has_an_estimate_of_its_own_that_holds_its_rate(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec())
        with_sources(conn, stream)
        found = accuracy_report(conn, "texts")
        alone = error_rate_report(conn, stream.spec)
        rows = conn.execute(
            "select id, coalesce(source, '') as source, to_char(date_trunc('week', received_at at time zone 'utc'),"
            " 'YYYY-MM-DD') as week, label from outputs"
        ).fetchall()
    for name in ("value", "low", "high", "answers", "outputs", "sentences"):
        assert found[name] == alone[name], "the estimate of all is that of the loop's page"
    for by in ("source", "week", "label"):
        assert sum(row["pipeline"]["outputs"] for row in found["by"][by]) == N
        for part in found["by"][by]:
            rate = part["pipeline"]
            members = [row["id"] for row in rows if row[by] == part["part"]]
            truth = sum(stream.truth[id_] == "spam" for id_ in members) / len(members)
            assert rate["outputs"] == len(members)
            if rate["value"] is not None:
                slack = 0.05 if by == "week" else 0.0  # ten intervals, of which one may miss
                assert rate["low"] - slack <= truth <= rate["high"] + slack
    assert [row["part"] for row in found["by"]["source"]] == ["", "shop"]
    assert len(found["by"]["week"]) in (8, 9)
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    for by, first in (("source", "(none)"), ("label", "ham"), ("week", found["by"]["week"][0]["part"])):
        printed = CliRunner().invoke(main, ["report", "accuracy", "--loop", "texts", "--by", by], env=env)
        assert printed.exit_code == 0
        assert printed.stdout.splitlines()[1].strip().startswith(first)


def test_the_champion_is_estimated_from_held_out_answers_alone(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec())
        stream.answer(conn, rule=0.2, control=1.0, audit=1.0, holdout=0.6)
        promote(conn, "texts")
        said = predict(conn, stream, right=0.85)
        found = accuracy_report(conn, "texts")
    champion = found["champion"]
    held = [id_ for id_, placed in stream.placed.items() if placed.lane == "holdout"]
    assert champion["known"] == len(held)
    assert champion["answers"] == len(stream.first("holdout", 0.6))
    wrong = np.mean([said[str(id_)] != stream.truth[id_] for id_ in held])
    assert champion["low"] < wrong < champion["high"]
    assert champion["high"] - champion["low"] < 0.12
    assert champion["outputs"] == N, "all that came in, though held-out outputs stand for the others"
    for by in ("source", "week", "label"):
        assert sum(row["champion"]["outputs"] for row in found["by"][by]) == N
    assert {row["part"] for row in found["by"]["label"]} == {"ham", "spam"}
    assert "held-out answers, which never train a version" in found["champion_sentences"][0]


def test_an_unanswered_output_never_counts_as_correct(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 400)
        stream.answer(conn, control=0.5, audit=0.5, holdout=0.5)
        before = accuracy_report(conn, "texts")
        conn.execute("delete from answers where label = 'ham'")
        after = accuracy_report(conn, "texts")
    assert 0 < before["value"] < 0.6
    assert after["answers"] == round(before["answers"] * before["reviewed"]["value"])
    assert after["reviewed"]["value"] == 1.0
    assert after["value"] == 1.0, "only the incorrect ones have an answer now"


def test_without_a_champion_and_without_outputs_it_says_so(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 0)
        found = accuracy_report(conn, stream.spec.name)
        assert found["champion"] is None
        assert found["by"] == {"week": [], "source": [], "label": []}
        assert found["champion_sentences"][0].startswith("No version was promoted yet")
        promote(conn, "texts")
        assert "cannot be estimated yet" in accuracy_report(conn, "texts")["champion_sentences"][0]
        with pytest.raises(UsageError, match="no loop 'nothing'; there are: texts"):
            accuracy_report(conn, "nothing")

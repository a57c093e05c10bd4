"""A version that was trained before a label got another name: it says so, and is judged in the labels of today."""

from __future__ import annotations

from pathlib import Path

from backend.report.card import card
from backend.report.versions import version_report
from labelloop.labeling.changing import Wanted
from labelloop.labeling.former import ChangeKind
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.pull.relabel import relabel
from tests.support.backend_factory import settings_for
from tests.support.hops.judged_texts import judged, texts_loop, truth
from tests.support.hops.lineage import cli
from tests.support.hops.people import Said, put_to_people, say


def test_a_version_of_before_says_so_and_the_gate_compares_in_the_labels_of_today(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(database_url, tmp_path)
    spec = texts_loop(database, answered=0)
    ids = put_to_people(database, spec.name)
    say(database, spec, ids, [Said(i, 1, truth(i), minute=i) for i in range(70)])
    first = judged(database, settings)
    assert first.status == "promoted", first.reasons
    version = str(first.version_id)

    wanted = Wanted(ChangeKind.RENAME, ("ham",), ("good",))
    relabel(
        database, spec.with_labels(["good", "spam"]), wanted, ["good"], wanted.says(["good"], []), {}, "olga", "why"
    )
    with database.transaction() as conn:
        now = loops.get(conn, spec.name)
        assert version_report(conn, version)["before"] == ["'ham' became 'good'"]
    assert now is not None
    limits = card(database, version, settings.models_dir)["limits"]
    assert "It was trained before 'ham' became 'good', and what it predicts is read as that." in limits
    assert not [line for line in limits if "never predicts" in line or "does not use any more" in line]
    assert f"Version {version[:12]} was trained before 'ham' became 'good'." in cli(settings, "versions").output

    say(database, now, ids, [Said(i, 1, "good" if truth(i) == "ham" else truth(i), minute=i) for i in range(70, 100)])
    again = judged(database, settings)
    with database.transaction() as conn:
        report = version_report(conn, str(again.version_id))
        share = "select avg((%s = label)::int)::float8 as share from run_items where run_id = %%s and part = 'holdout'"
        then = conn.execute(share % "challenger_label", [first.id]).fetchone()
        after = conn.execute(share % "champion_label", [again.id]).fetchone()
        old = conn.execute(
            "select from run_items where run_id = %s and 'ham' in (label, champion_label, challenger_label)", [again.id]
        ).fetchall()
    assert report["classes"] == ["good", "spam"]
    assert report["before"] == []
    assert old == []
    assert then is not None
    assert after is not None
    assert after["share"] >= then["share"] - 0.1, "the champion has not become worse by a new name"

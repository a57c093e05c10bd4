"""Second opinions on answers that the newest version was trained on: chosen by models that were not."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest

from backend import models
from backend.decide.promote import promote
from backend.score.doubts import doubts as own_doubts
from backend.score.prelabel import prelabel
from backend.train.train import train
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import LearnerSpec, Queue
from labelloop.store.database import Database
from labelloop.store.tables import doubts, runs
from tests.support.backend_factory import answer, put_into_label_studio, settings_for, submit, texts_spec
from tests.support.hops.rescoring import said, target

ANSWERED = 80
WORDS = {"ham": "meeting lunch report agenda minutes", "spam": "prize winner free cash click"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def loop_of_texts(database: Database, *, second: float = 0.2, n: int = ANSWERED + 20) -> tuple[LoopSpec, list[str]]:
    """A loop whose first ANSWERED outputs were answered by one person, and the truth of each output."""
    rng = np.random.default_rng(0)
    truths = [str(label) for label in rng.choice(["ham", "spam"], n)]
    data = [{"text": " ".join([*rng.choice(WORDS[t].split(), 4), str(i * 7919)])} for i, t in enumerate(truths)]
    spec = texts_spec(
        ("eggs", "ham", "spam"),
        learner=LearnerSpec(name="text", params={"characters": False}),
        queue=Queue(second=second),
    )
    with database.transaction() as conn:
        ids = submit(conn, spec, data, truths)
        put_into_label_studio(conn, spec.name, n)
        wanted = [ids[f"item-{i}"] for i in range(ANSWERED)]
        conn.execute("update outputs set state = 'answered' where id = any(%s)", (wanted,))
    return spec, truths


def ids_of(database: Database) -> dict[str, UUID]:
    """Key to id, of the outputs of the rule lane, which train the version."""
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs where lane = 'rule' order by key collate \"C\"").fetchall()
    return {row["key"]: row["id"] for row in rows if int(row["key"].removeprefix("item-")) < ANSWERED}


def answered(database: Database, spec: LoopSpec, truths: list[str], wrong: list[str]) -> None:
    """Answer the first ANSWERED outputs, those of the `wrong` keys incorrectly."""
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs").fetchall()
        ids = {row["key"]: row["id"] for row in rows}
        given: dict[UUID, str | None] = {}
        for i in range(ANSWERED):
            other = "ham" if truths[i] == "spam" else "spam"
            given[ids[f"item-{i}"]] = other if f"item-{i}" in wrong else truths[i]
        answer(conn, spec.name, given)


def trained(database: Database, settings: Settings, spec: LoopSpec, status: str = "refused") -> tuple[UUID, str]:
    """A finished run and its version, the newest."""
    with database.transaction() as conn:
        assert runs.request(conn, spec.name, "a test") is not None
        run = runs.claim(conn, spec.name, None)
    assert run is not None
    version = train(database, settings.models_dir, run.id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run.id, status, version_id=version if status == "refused" else None)
    return run.id, version


def asked_first(database: Database, spec: LoopSpec, n: int) -> list[str]:
    with database.transaction() as conn:
        return [row.key for row in doubts.most(conn, spec.name, n)]


def kept(database: Database, run_id: UUID) -> dict[str, dict[str, Any]]:
    with database.transaction() as conn:
        rows = conn.execute(
            "select o.key, i.* from run_items i join outputs o on o.id = i.output_id where run_id = %s", (run_id,)
        )
        return {row["key"]: row for row in rows}


def test_an_incorrect_answer_is_asked_again_first_though_the_version_was_trained_on_it(
    database: Database, settings: Settings
) -> None:
    spec, truths = loop_of_texts(database)
    ids = ids_of(database)
    wrong = [*ids][5:50:15]
    answered(database, spec, truths, wrong)
    run_id, version = trained(database, settings, spec)
    prelabel(database, spec.name, settings.models_dir)

    assert set(asked_first(database, spec, len(wrong))) == set(wrong)
    with database.transaction() as conn:
        rows = conn.execute("select o.data, i.label from run_items i join outputs o on o.id = i.output_id"
                            " where o.key = any(%s)", (wrong,)).fetchall()  # fmt: skip
    own = own_doubts(
        models.load(settings.models_dir, version), [row["data"] for row in rows], [row["label"] for row in rows]
    )
    assert all(one is not None and one < doubts.DOUBTFUL for one in own), "it would not have asked about them itself"

    items = kept(database, run_id)
    assert {row["part"] for row in items.values() if row["out_of_fold_probability"] is not None} == {"train"}
    assert all(items[key]["out_of_fold_probability"] is not None for key in ids)
    assert items[wrong[0]]["out_of_fold_other"] == truths[int(wrong[0].removeprefix("item-"))]
    with database.transaction() as conn:
        assert {row["pair"] for row in said(conn).values()} == {target(database, spec.name)}

    promote(database, spec.name, version, "a test", "to see", models_dir=settings.models_dir)
    before = asked_first(database, spec, 100)
    prelabel(database, spec.name, settings.models_dir)
    assert asked_first(database, spec, 100) == before, "a new champion changes no doubt"
    with database.transaction() as conn:
        assert {row["pair"] for row in said(conn).values()} == {target(database, spec.name)}

    answered(database, spec, truths, [])
    trained(database, settings, spec, status="failed")
    prelabel(database, spec.name, settings.models_dir)
    assert asked_first(database, spec, 100) == before, "a run that failed changes no doubt"


def test_an_answer_after_the_cut_is_doubted_by_the_version_and_a_changed_one_by_its_own_prediction(
    database: Database, settings: Settings
) -> None:
    spec, truths = loop_of_texts(database)
    answered(database, spec, truths, [])
    first, second, third, fourth = [*ids_of(database)][:4]
    with database.transaction() as conn:
        conn.execute("delete from answers where output_id = %s", (ids_of(database)[first],))
    run_id, _ = trained(database, settings, spec)
    assert first not in kept(database, run_id)
    ids = ids_of(database)
    with database.transaction() as conn:
        new = {key: "ham" if truths[int(key.removeprefix("item-"))] == "spam" else "spam" for key in (first, second)}
        answer(conn, spec.name, {ids[key]: label for key, label in new.items()} | {ids[third]: "eggs"})
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        found = said(conn)
    assert set(asked_first(database, spec, 2)) == {first, second}
    item = kept(database, run_id)[second]
    assert item["out_of_fold_other"] == new[second], "the answer that the models preferred to the one of then"
    given, other = item["out_of_fold_other_probability"], item["out_of_fold_probability"]
    assert found[second]["doubt"] == pytest.approx(other / (other + given))
    assert third not in found, "of a third answer no probability is kept"
    assert fourth in found

    with database.transaction() as conn:
        doubts.forget(conn, [ids[fourth]])
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert said(conn)[fourth]["doubt"] == found[fourth]["doubt"]


def test_an_answer_without_such_a_prediction_keeps_the_doubt_that_it_had_before_it_trained_a_version(
    database: Database, settings: Settings
) -> None:
    """As for the user's own model, which is not trained again for each fold."""
    spec, truths = loop_of_texts(database)
    answered(database, spec, truths, [])
    run_id, _ = trained(database, settings, spec)
    with database.transaction() as conn:
        conn.execute(
            "update run_items set out_of_fold_probability = null, out_of_fold_other = null,"
            " out_of_fold_other_probability = null where run_id = %s", (run_id,),
        )  # fmt: skip
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert said(conn) == {}, "the version was trained on all of them"
        key, output_id = next(iter(ids_of(database).items()))
        conn.execute("insert into doubts (output_id, loop, doubt, champion, ranker) values (%s, %s, 0.7, 'a', 'b')",
                     (output_id, spec.name))  # fmt: skip
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        [(found, row)] = said(conn).items()
    assert (found, row["doubt"], row["pair"]) == (key, 0.7, target(database, spec.name))


def test_where_no_second_opinions_are_wanted_no_more_models_are_trained(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.learners.calibrate.ENOUGH", 20)
    spec, truths = loop_of_texts(database, second=0.0)
    answered(database, spec, truths, [])
    run_id, _ = trained(database, settings, spec)
    there = [row for row in kept(database, run_id).values() if row["out_of_fold_probability"] is not None]
    assert 0 < len(there) < len(ids_of(database)) / 1.5, "those of calibration are kept"


def test_the_hold_out_set_has_no_such_prediction(database: Database, settings: Settings) -> None:
    spec, truths = loop_of_texts(database)
    answered(database, spec, truths, [])
    run_id, _ = trained(database, settings, spec)
    with (
        pytest.raises(psycopg.errors.CheckViolation, match="out_of_fold_is_of_training"),
        database.transaction() as conn,
    ):
        conn.execute(
            "update run_items set out_of_fold_probability = 0.5, out_of_fold_other_probability = 0.5"
            " where run_id = %s and part = 'holdout'", (run_id,),
        )  # fmt: skip

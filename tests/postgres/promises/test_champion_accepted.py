"""A champion's labels pass unseen when it has scored the waiting outputs, by answers that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.score.prelabel import prelabel
from labelloop.store.database import Database
from labelloop.store.promises import accepted, scored
from labelloop.store.promises.trials import Labeller
from tests.support.backend_factory import answer, new_champion
from tests.support.hops.accepting_desk import SPEC, AcceptingDesk

WORDS = {"cat": ["purrs", "meows", "kitten"], "dog": ["barks", "fetches", "puppy"], "eel": ["swims", "slimy", "river"]}
SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu ra re ri ro ru".split()


@pytest.fixture
def desk(database: Database) -> AcceptingDesk:
    return AcceptingDesk(database, of=SPEC.model_copy(update={"holdout": 0.5, "audit": 0.2}))


def send(desk: AcceptingDesk, begin: str, n: int) -> dict[str, str]:
    """Submit texts that tell their label; the pipeline says eel of all of them. Returns the truth by key."""
    labels = list(WORDS)
    truth = {f"{begin}-{i}": labels[i % 3] for i in range(n)}

    def text(label: str) -> str:
        others = ["".join(desk.rng.choice(SYLLABLES, 4)) for _ in range(8)]
        return " ".join([*others[:4], *desk.rng.permutation(WORDS[label]), *others[4:]])

    lines = [
        {"key": key, "data": {"text": text(label)}, "label": "eel", "confidence": 0.9,
         "model_version": "m1"}
        for key, label in truth.items()
    ]  # fmt: skip
    for start in range(0, n, 300):
        assert desk.post(*lines[start : start + 300]).status_code == 201
    return truth


def test_a_champion_gets_a_certificate_of_its_own(desk: AcceptingDesk, tmp_path: Path) -> None:
    truth = send(desk, "a", 900)
    ids = {row["key"]: row["id"] for row in desk.sql("select id, key from outputs")}
    with desk.database.transaction() as conn:
        answer(conn, "pets", {ids[key]: label for key, label in truth.items()})
    assert desk.certify() is None, "the pipeline is wrong about two in three"
    models = tmp_path / "models"
    version = new_champion(desk.database, "pets", models)

    made = desk.certify()
    assert made is not None
    assert (made.labeller, made.version) == ("champion", version)
    with desk.database.transaction() as conn:
        used = scored.answered(conn, desk.spec, Labeller("champion", version), None)
        trained = conn.execute("select output_id from run_items where part = 'train'").fetchall()
        lanes = conn.execute(
            "select distinct lane::text as lane from outputs where id = any(%s)", [[row.output_id for row in used]]
        ).fetchall()
    assert len(used) >= 296
    assert not {row.output_id for row in used} & {row["output_id"] for row in trained}
    assert [row["lane"] for row in lanes] == ["holdout"], "those of the audit trained it"

    # at the intake nobody knows its label yet; once it has scored an output, the certificate decides
    new = send(desk, "b", 90)
    assert desk.states("b") == {"waiting": 90}
    assert prelabel(desk.database, "pets", models) > 0
    rows = desk.sql(
        "select o.key, o.lane::text as lane, x.label, o.state::text as state from outputs o"
        " left join accepted x on x.output_id = o.id where o.key like 'b-%'"
    )
    passed = [row for row in rows if row["state"] == "accepted"]
    assert passed
    assert {row["lane"] for row in passed} == {"rule"}
    assert all(row["label"] == new[row["key"]] for row in passed), "the champion's label, not the pipeline's eel"
    status = desk.status(passed[0]["key"])
    assert (status["accepted"]["by"], status["accepted"]["version"]) == ("champion", version)
    assert status["model_label"] == "eel"


def test_a_label_of_an_earlier_champion_is_not_covered(desk: AcceptingDesk, tmp_path: Path) -> None:
    truth = send(desk, "a", 900)
    ids = {row["key"]: row["id"] for row in desk.sql("select id, key from outputs")}
    with desk.database.transaction() as conn:
        answer(conn, "pets", {ids[key]: label for key, label in truth.items()})
    new_champion(desk.database, "pets", tmp_path / "models")
    made = desk.certify()
    assert made is not None
    send(desk, "b", 60)
    desk.sql("update pool set champion = 'earlier', label = 'cat', confidence = 1 where key like 'b-%' returning key")
    with desk.database.transaction() as conn:
        assert accepted.accept_all(conn, made) == 0


def test_an_output_that_the_champion_cannot_read_never_passes_with_the_label_of_another_model(
    desk: AcceptingDesk, tmp_path: Path
) -> None:
    truth = send(desk, "a", 900)
    ids = {row["key"]: row["id"] for row in desk.sql("select id, key from outputs")}
    with desk.database.transaction() as conn:
        answer(conn, "pets", {ids[key]: label for key, label in truth.items()})
    models = tmp_path / "models"
    new_champion(desk.database, "pets", models)
    made = desk.certify()
    assert made is not None
    lines = [
        {"key": f"n-{i}", "data": {"text": [f"no text {i}"]}, "label": "eel", "confidence": 1.0, "model_version": "m1"}
        for i in range(60)
    ]
    assert desk.post(*lines).status_code == 201
    assert prelabel(desk.database, "pets", models) > 0
    assert desk.states("n") == {"waiting": 60}
    with desk.database.transaction() as conn:
        assert accepted.accept_all(conn, made) == 0

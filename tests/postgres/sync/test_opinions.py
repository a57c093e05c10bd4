"""Opinions on the real Postgres: quality over the whole loop, answers that change by rule, and what the budget asks."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import numpy as np
import pytest

from backend.train.cut import weight
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.opinions import estimates, further
from labelloop.store.tables import run_items
from sync.pull.agree import ASK_IN_S, S_PER_CELL, ask_in_s
from sync.pull.opinions import Settled, settle_opinions
from tests.support.review.opinions import LABELS, annotate, spec_of, write_items

WEIGHED = "  consensus: dawid-skene\n"


def answers(database: Database, output_id: UUID) -> list[tuple[str | None, int, float | None]]:
    with database.transaction() as conn:
        rows = conn.execute(
            "select label, reviewers, certainty, estimate_id from answers where output_id = %s order by seq",
            (output_id,),
        ).fetchall()
    return [(row["label"], row["reviewers"], row["certainty"]) for row in rows]


def states(database: Database) -> Counter[str]:
    with database.transaction() as conn:
        return Counter(row["state"] for row in conn.execute("select state::text from outputs").fetchall())


def planted(n: int, careless: float = 0.5) -> list[tuple[int, int, str]]:
    """Two careful people and a careless one answer `n` items, whose correct labels follow each other."""
    rng = np.random.default_rng(0)
    given = []
    for item in range(n):
        for person, accuracy in ((1, 0.97), (2, 0.95), (3, careless)):
            right = rng.random() < accuracy
            given.append((item, person, LABELS[item % 3 if right else (item + 1 + int(rng.integers(2))) % 3]))
    return given


def test_the_word_of_a_careful_person_outweighs_that_of_a_careless_one(database: Database) -> None:
    spec = spec_of(WEIGHED + "  overlap: 2\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 62)
    annotate(database, spec, planted(60), ids)
    annotate(database, spec, [(60, 1, "eel"), (60, 3, "dog")], ids)
    assert answers(database, ids[60])[-1][0] is None, "before the first estimate both count the same"

    done = settle_opinions(database, spec)
    assert done.estimate is not None
    label, reviewers, certainty = answers(database, ids[60])[-1]
    assert (label, reviewers) == ("eel", 2)
    assert certainty is not None
    assert certainty > 0.8
    with database.transaction() as conn:
        found = estimates.newest(conn, spec.name, spec.labels)
        [row] = [row for row in run_items.answered(conn, spec.name, 2**62) if row.output_id == ids[60]]
    assert found is not None
    assert weight(row) == certainty, "the certainty is the weight in training"
    assert settle_opinions(database, spec) == Settled(), "nothing has changed"

    annotate(database, spec, [(61, 1, "cat"), (61, 3, "dog")], ids)
    assert answers(database, ids[61])[-1][0] == "cat", "a pull uses the newest estimate"


def test_the_more_answers_a_loop_has_the_longer_its_next_estimate_waits(database: Database) -> None:
    """An estimate of 100,000 answers with 77 labels takes 12 s of a core, which every 20 s would slow all else."""
    spec = spec_of(WEIGHED)
    with database.transaction() as conn:
        ids = write_items(conn, spec, 40)
        assert ask_in_s(conn, spec) == ASK_IN_S
    annotate(database, spec, planted(40), ids)
    settle_opinions(database, spec)
    with database.transaction() as conn:
        assert ask_in_s(conn, spec) == ASK_IN_S
        conn.execute("update quality_estimates set answers = 1000000")
        assert ask_in_s(conn, spec) == S_PER_CELL * 1_000_000 * len(LABELS)
        assert ask_in_s(conn, spec_of("  overlap: 2\n  opinions: {most: 3}\n")) == ASK_IN_S


def test_a_settled_answer_is_not_replaced_by_a_guess(database: Database) -> None:
    spec = spec_of(WEIGHED)
    with database.transaction() as conn:
        ids = write_items(conn, spec, 40)
    annotate(database, spec, planted(40), ids)
    before = {id_: answers(database, id_)[-1][0] for id_ in ids}
    settle_opinions(database, spec)
    for id_ in ids:
        now, _, certainty = answers(database, id_)[-1]
        assert now == before[id_] or before[id_] is None or (certainty is not None and certainty >= 0.95)
    versions = [len(answers(database, id_)) for id_ in ids]
    annotate(database, spec, [(0, 4, "cat")], ids)
    settle_opinions(database, spec)
    settle_opinions(database, spec)
    assert sum(len(answers(database, id_)) for id_ in ids) - sum(versions) < 8, "small changes write nothing"


def test_the_least_certain_items_are_asked_first_and_the_budget_holds(database: Database) -> None:
    spec = spec_of(WEIGHED + "  opinions: {most: 3, sure: 0.9, budget: 1.5}\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 40)
    known = [(item, person, label) for item, person, label in planted(20) if person != 2]
    annotate(database, spec, known, ids)
    annotate(database, spec, [(item, 1, LABELS[item % 3]) for item in range(20, 40)], ids)
    settle_opinions(database, spec)
    with database.transaction() as conn:
        rows = further.all_(conn, spec.name)
        assert further.room(conn, spec.name, 1, 1.5) == 0
    asked = sum(max(row.given, row.overlap) for row in rows)
    assert asked <= 1.5 * 40
    waiting = [row.answer.certainty or 0.0 for row in rows if row.state == "in_review"]
    others = [row.answer.certainty or 0.0 for row in rows if row.state == "answered" and row.given < 3]
    if waiting:
        assert max(waiting) <= min(others) + 1e-9
    with database.transaction() as conn:
        assert further.room(conn, spec.name, 1, 3.0) > 0
    wider = spec_of(WEIGHED + "  opinions: {most: 3, sure: 0.9, budget: 3}\n")
    assert settle_opinions(database, wider).asked > 0


def test_gold_is_never_asked_further(database: Database) -> None:
    spec = spec_of("  overlap: 2\n  opinions: {most: 3}\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 2, gold={0: "dog"})
    annotate(
        database, spec, [(item, person, label) for item in (0, 1) for person, label in ((1, "cat"), (2, "dog"))], ids
    )
    assert states(database) == {"answered": 1, "in_review": 1}
    assert settle_opinions(database, spec) == Settled()


def test_people_who_all_disagree_leave_no_answer(database: Database) -> None:
    for more, name in (("  overlap: 3\n", "votes"), ("  overlap: 3\n" + WEIGHED, "weights")):
        spec = spec_of(more, name)
        with database.transaction() as conn:
            ids = write_items(conn, spec, 6)
        given = [(item, person, LABELS[(item + person) % 3]) for item in range(6) for person in (1, 2, 3)]
        annotate(database, spec, given, ids)
        if spec.consensus != "majority":
            settle_opinions(database, spec)
        for id_ in ids:
            label, reviewers, certainty = answers(database, id_)[-1]
            assert (label, reviewers) == (None, 3)
            assert certainty is None or certainty <= 0.5


def crowdlab_loop(database: Database) -> tuple[LoopSpec, list[UUID]]:
    """Items on which two people differ half of the time, and a learner whose out-of-fold predictions are correct."""
    spec = spec_of("  overlap: 2\n  consensus: crowdlab\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 60)
    rng = np.random.default_rng(1)
    given = []
    for item in range(60):
        for person, accuracy in ((1, 0.75), (2, 0.75)):
            right = rng.random() < accuracy
            given.append((item, person, LABELS[item % 3 if right else (item + 1 + int(rng.integers(2))) % 3]))
    annotate(database, spec, given, ids)
    run, version = uuid4(), "f" * 64
    with database.transaction() as conn:
        conn.execute(
            "insert into model_versions (id, loop, stage, learner, classes, size_bytes, trained_on)"
            " values (%s, %s, 'challenger', 'text', %s, 1, 60)",
            (version, spec.name, list(LABELS)),
        )
        conn.execute(
            "insert into retrain_runs (id, loop, why, status, feedback_upto, version_id) values"
            " (%s, %s, 'a test', 'refused', (select max(seq) from answers), %s)",
            (run, spec.name, version),
        )
        for item, id_ in enumerate(ids[:-2]):
            conn.execute(
                "insert into run_items (run_id, output_id, part, holdout, answer_seq, label, weight,"
                " out_of_fold_probability, out_of_fold_other, out_of_fold_other_probability)"
                " select %s, %s, 'train', false, max(seq), %s, 1, 0.9, %s, 0.06 from answers where output_id = %s",
                (run, id_, LABELS[item % 3], LABELS[(item + 1) % 3], id_),
            )
    return spec, ids


def test_by_crowdlab_the_learner_speaks_beside_people(database: Database) -> None:
    spec, ids = crowdlab_loop(database)
    settle_opinions(database, spec)
    with database.transaction() as conn:
        found = estimates.newest(conn, spec.name, spec.labels)
        rows = further.all_(conn, spec.name)
    assert found is not None
    assert found.learner is not None
    assert found.learner["weight"] > max(found.weights.values())
    tied = [ids.index(row.output_id) for row in rows if row.answer.label is not None and row.answer.agreement == 0.5]
    assert len(tied) > 5, "the learner breaks ties of people"
    right = [answers(database, ids[item])[-1][0] == LABELS[item % 3] for item in tied]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    "judging", ["update outputs set holdout = true, lane = 'holdout'", "update outputs set lane = 'audit'"]
)
def test_no_learner_speaks_about_items_that_judge_it(database: Database, judging: str) -> None:
    spec, _ = crowdlab_loop(database)
    with database.transaction() as conn:
        conn.execute("delete from run_items")
        conn.execute("update tasks set champion = 'ffffffffffff', label = 'cat', confidence = 0.99")
        conn.execute(judging + " where loop = %s", (spec.name,))
    settle_opinions(database, spec)
    with database.transaction() as conn:
        found = estimates.newest(conn, spec.name, spec.labels)
    assert found is not None
    assert found.learner is None

"""A field with steps ($doc.text), from the intake to the verdict, on a real Postgres."""

from __future__ import annotations

from pathlib import Path

from backend.train.train import train
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.questions import comparable
from labelloop.store.tables import runs, verdicts
from sync.push.window import _features
from tests.support.backend_factory import answer, settings_for, submit

FORM = (
    '<View><Text name="text" value="$items[0].body"/><Choices name="label" toName="text">'
    '<Choice value="a"/><Choice value="b"/></Choices></View>'
)


def test_a_nested_text_is_learned_judged_measured_and_compared(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(database_url, tmp_path)
    spec = parse("nested", 'feedback_loop:\n  trigger: "model_confidence < 0.9"\n  holdout: 0.3\n', FORM)
    words = {"a": ["red fox runs", "old red barn", "fox by the barn"], "b": ["blue sea", "one blue sky", "sea and sky"]}
    truths = ["a", "b"] * 15
    texts = [f"{words[truth][i % 3]} {i}" for i, truth in enumerate(truths)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"items": [{"body": text}]} for text in texts], truths)
        answer(conn, spec.name, {ids[f"item-{i}"]: truth for i, truth in enumerate(truths)})
        run_id = runs.request(conn, spec.name, "a test")
        assert run_id is not None
        assert runs.claim(conn, spec.name, None) is not None
    outcome = train(database, settings.models_dir, run_id)
    assert "version" in outcome, outcome
    assert not any("cannot be read" in note for note in outcome["notes"])
    with database.transaction() as conn:
        judged = verdicts.held_out(conn, run_id, spec.field)
        seen = comparable.seen(conn, list(ids.values()), spec.field, embeddings=False)
    assert judged
    assert all(row.length == len(seen[row.output_id].data["items[0].body"]) for row in judged)
    known, _, _ = _features(database, spec, list(ids.values()), [])
    assert known is not None
    assert known.readable.all()

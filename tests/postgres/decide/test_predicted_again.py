"""The deep look has the champion predict its held-out items again, in a new process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from console.doctor.deepest import places
from labelloop.store.database import Database
from tests.support.backend_factory import answer, settings_for, submit, texts_spec
from tests.support.hops.deep_loop import looked, tamper
from tests.support.hops.retraining import quickly


def test_a_champion_that_predicts_otherwise_than_its_verdict_says_is_told(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(database.url, tmp_path)
    spec = texts_spec(holdout=0.4)
    loop, truths = spec.name, ["spam" if i % 2 else "ham" for i in range(90)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"{truth} number {i}"} for i, truth in enumerate(truths)], truths)
        answer(conn, loop, dict(zip(ids.values(), truths, strict=True)))
    quickly(database, settings, loop)
    where = replace(places(settings), models_dir=settings.models_dir)

    def told() -> list[str]:
        found = looked(where, loop=loop).get("I9")
        return [] if found is None else [f"{one.mark}: {one.says}" for one in found.problems]

    with database.transaction() as conn:
        judged = conn.execute("select count(*) as n from run_items where challenger_label is not null").fetchone()
    assert judged is not None
    assert judged["n"] > 10
    assert told() == []
    held_out = "(select output_id from run_items join outputs on id = output_id where part = 'holdout' order by key"
    first, second = (f"{held_out} offset {n} limit 1)" for n in range(2))
    tamper(
        database_url,
        f"update run_items set challenger_label = 'eel' where output_id = {first}",
        f"update run_items set challenger_confidence = challenger_confidence - 0.1 where output_id = {second}",
    )
    says = told()
    assert len(says) == 2
    assert "was judged by 'eel'" in str(says)

"""Workers beside an adoption, and outputs of adopted tasks that are held for their media."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.labelstudio.gateway import Gateway
from labelloop.store.database import Database
from labelloop.store.media import holding
from labelloop.store.tables import loops, projects
from sync.adopting import adopt
from sync.pull.pull import pull
from sync.pull.sweep import sweep
from sync.pull.take_in import Pull
from tests.support.hops.adopted_project import House, house, their_project
from tests.support.servers import LabelStudio


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


def test_no_worker_touches_the_loop_until_its_project_is_connected(our: House, monkeypatch: pytest.MonkeyPatch) -> None:
    project = their_project(our.web)
    project.add([{"data": {"text": f"t{i}"}} for i in range(3)])
    resting: list[bool] = []

    def noted(of: Callable[..., Any]) -> Callable[..., Any]:
        def run(*what: Any, **how: Any) -> Any:
            with our.database.transaction() as conn:
                resting.append("animals" in loops.resting(conn))
            return of(*what, **how)

        return run

    for name in ("push", "ensure_project"):
        monkeypatch.setattr(adopt, name, noted(getattr(adopt, name)))
    assert our.adopt(project.id).exit_code == 0
    assert resting == [True, True], "a worker would connect the project a second time"
    assert our.sql("select archived_at from loops") == [{"archived_at": None}]
    assert len(our.web.get("/api/webhooks/", params={"project": project.id}).json()) == 1


def test_an_answer_to_a_task_counts_whose_output_was_held_for_its_media(our: House) -> None:
    project = their_project(our.web)
    ids = project.add([{"data": {"text": f"t{i}"}} for i in range(4)])
    folder = our.settings.loops_dir / "animals"
    folder.mkdir()
    (folder / "labels.xml").write_text(str(project.settings()["label_config"]))
    (folder / "loop.yaml").write_text(
        'feedback_loop:\n  trigger: "model_confidence <= 1"\n  title: Animals\n  queue: {window: 2}\n'
    )
    assert our.adopt(project.id).exit_code == 0
    waiting = [row["id"] for row in our.sql("select id from outputs where state = 'waiting'")]
    with our.database.transaction() as conn:
        why = ("pics", "missing", "does not exist", 1_800.0)
        assert holding.hold(conn, "animals", "pipeline", dict.fromkeys(waiting, why)) == 2
    held = {row["label_studio_id"] for row in our.sql(
        "select label_studio_id from adopted_tasks a join media_outputs m on m.output_id = a.output_id where held"
    )}  # fmt: skip
    assert len(held) == 2
    answered, left = sorted(held)
    project.annotate(answered, "dog")
    with our.database.transaction() as conn:
        spec = loops.get(conn, "animals")
        assert spec is not None
    for full in (False, True):
        pull(our.database, Gateway(our.server.url, our.server.token), spec, full=full)
        states = {row["label_studio_id"]: row["state"] for row in our.sql(
            "select label_studio_id, state::text from adopted_tasks a join outputs o on o.id = a.output_id"
        )}  # fmt: skip
        assert states == dict.fromkeys(ids, "in_review") | {answered: "answered", left: "quarantined"}
        assert our.sql("select output_id from media_outputs where held and output_id = any(%(ids)s)", ids=waiting)
        with our.database.transaction() as conn:
            assert holding.held(conn, "animals") == 1
    [row] = our.sql("select chosen_by_people from adopted_tasks where label_studio_id = %(id)s", id=answered)
    assert row["chosen_by_people"], "neither rank nor chance chose it"

    with our.database.transaction() as conn:
        theirs = projects.get(conn, "animals")
    assert theirs is not None
    gateway = Gateway(our.server.url, our.server.token)
    assert sweep(Pull(our.database, gateway, spec, theirs)).tasks == 0, "no sweep reads a held task that has no answer"
    our.web.delete(f"/api/tasks/{left}/").raise_for_status()
    assert sweep(Pull(our.database, gateway, spec, theirs)).withdrawn == 1
    assert our.states() == {"in_review": 2, "answered": 1, "withdrawn": 1}
    with our.database.transaction() as conn:
        assert holding.held(conn, "animals") == 0
    gateway.close()

"""A loop of boxes with a judged run, as a worker leaves it in Postgres: what boxes look like on the review pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np

from backend.decide.judge import judge
from labelloop.labeling.kinds import canonical
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs, run_items, runs, versions
from tests.support.backend_factory import answer, picture

FORM = """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image">
<Label value="square"/><Label value="disc"/></RectangleLabels></View>"""
YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  holdout: 0.5\n  learner: none\n'
VERSION = "d5" * 32
TRUTH = [{"box": [10, 10, 20, 20], "label": "disc"}] + [
    {"box": [5 + 30 * i, 60.016666666666666, 20, 20.083333333333332], "label": "square"} for i in range(3)
]


def boxes_spec() -> LoopSpec:
    return parse("shapes", YAML, FORM)


def moved(percent: float, regions: list[dict[str, Any]] = TRUTH) -> list[dict[str, Any]]:
    """The regions, moved to the right."""
    return [{**one, "box": [one["box"][0] + percent, *one["box"][1:]]} for one in regions]


def judged_boxes(database: Database, n: int = 24) -> UUID:
    """A run of the loop `shapes`, refused; half of its pipeline's boxes are far away, its challenger's are near.

    Every third prediction of the challenger lacks the disc. On the first held-out item both predict nearly the same.
    """
    spec = boxes_spec()
    image = picture(np.tile(np.linspace(0, 1, 32), (32, 1)))
    half = TRUTH[:2] + moved(10, TRUTH[2:])
    truth, far, near = (canonical(spec.config.answer, one) for one in (TRUTH, half, moved(0.2)))
    with database.transaction() as conn:
        loops.register(conn, spec)
        made = [
            Output(f"picture-{i:02}", {"image": image}, label=far, confidence=0.4, model_version="v1") for i in range(n)
        ]
        new, _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(one, place(one, spec)) for one in made])
        answer(conn, spec.name, {stored.id: truth for stored in new})
        runs.request(conn, spec.name, "24 new answers")
        run = runs.claim(conn, spec.name, None)
        assert run is not None
        rows = run_items.answered(conn, spec.name, 2**62)
        run_items.write(conn, run.id, rows)
        held_out = sorted((row for row in rows if row.holdout), key=lambda row: row.key)
        lacking = canonical(spec.config.answer, moved(0.2)[1:])
        challenger = [lacking if i % 3 == 2 else near for i in range(len(held_out))]
        champion = [canonical(spec.config.answer, moved(0.1))] + [far] * (len(held_out) - 1)
        versions.insert(conn, spec.name, VERSION, learner="hosted", classes=[], size_bytes=10, trained_on=n)
        said = [[(label, 0.5) for label in labels] for labels in (champion, challenger)]
        run_items.write_verdicts(conn, run.id, [row.output_id for row in held_out], *said)
    outcome = {"version": VERSION, "trained_on": n, "speed": {"champion_ms": 0.42, "challenger_ms": 1700.0}}
    decision, scores = judge(database, spec, run, outcome)
    with database.transaction() as conn:
        runs.finish(conn, run.id, "refused", reasons=decision.reasons, version_id=VERSION, scores=scores)
    return run.id

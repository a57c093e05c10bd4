"""Loops of several labels, of spans and of ratings, all the way round, on the real Label Studio and Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.decide.judge import judge
from backend.score.prelabel import prelabel
from backend.train.train import train
from labelloop.labeling import kinds, results
from labelloop.outputs import fitting, reading
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs
from labelloop.store.tables import outputs as output_store
from tests.support.backend_factory import answer, new_champion
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  queue: {{strategy: {strategy}, window: 50, audit: 0.0, holdout: 0.0}}
"""
Item = tuple[str, Any]
"""A text and its true answer, as JSON has it."""


@dataclass(frozen=True)
class Case:
    control: str
    strategy: str
    items: list[Item]
    why: str
    """A waiting item that our own version has ranked."""

    @property
    def spec(self) -> LoopSpec:
        return parse(
            "reviews",
            YAML.format(strategy=self.strategy),
            f'<View><Text name="text" value="$text"/>{self.control}<TextArea name="comment" toName="text"/></View>',
        )


def _said(who: str, where: str) -> Item:
    text = f"😀 {who} lives in {where}."
    return text, [[2, 2 + len(who), "person"], [text.index(where), len(text) - 1, "place"]]


def _parcels(i: int) -> Item:
    words = {"late": "two weeks late", "rude": "a rude courier", "torn": "all torn"}
    labels = [name for bit, name in enumerate(words) if i >> bit & 1]
    return f"Parcel {i}: {', '.join(words[name] for name in labels) or 'fine'}", labels


CASES = {
    "labels": Case(
        '<Choices name="what" toName="text" choice="multiple"><Choice value="late"/><Choice value="rude"/>'
        '<Choice value="torn"/></Choices>',
        "labels_max",
        [_parcels(i) for i in range(8)],
        "The model is ",
    ),
    "spans": Case(
        '<Labels name="who" toName="text"><Label value="person"/><Label value="place"/></Labels>',
        "tokens_max",
        [_said(who, where) for who in ("Anna", "Zoë", "Владимир") for where in ("Köln", "Oslo")]
        + [("Nobody is at home.", [])],
        "The model is not sure what to mark: ",
    ),
    "rating": Case(
        '<Rating name="stars" toName="text" maxRating="5"/>',
        "margin",
        [(f"{word} service, order {i}", stars) for i in range(2) for word, stars in
         (("awful", 1), ("poor", 2), ("good", 4), ("excellent", 5))],
        "The model says ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_structured_answers_go_all_the_way_round(
    case: Case, database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=case.spec) as loop:
        truths = _submit(loop, "asked", case.items, wrong_at=0)
        loop.push()
        assert loop.states() == {"in_review": len(case.items)}
        for task in loop.tasks():
            _annotate_as_the_editor_does(loop, task, truths[task["data"]["labelloop_key"]])
        loop.pull()

        answers = {row["key"]: row for row in loop.sql(
            "select o.key, a.label, a.agreement, f.approval, f.correction, f.comment, f.prelabel_kept"
            " from outputs o"
            " join answers a on a.output_id = o.id join feedback f on f.model_output_id = o.id"
        )}  # fmt: skip
        assert {key: row["label"] for key, row in answers.items()} == truths
        assert {row["agreement"] for row in answers.values()} == {1.0}
        assert answers["asked-0"]["approval"] is False
        assert answers["asked-0"]["correction"] == truths["asked-0"]
        assert all(row["approval"] and row["correction"] is None for key, row in answers.items() if key != "asked-0")
        assert {row["comment"] for row in answers.values()} == {"seen"}
        assert {key: row["prelabel_kept"] for key, row in answers.items()} == {
            key: False if key == "asked-0" else None if truth == "[]" else True for key, truth in truths.items()
        }

        version = new_champion(database, loop.spec.name, tmp_path)
        _submit(loop, "new", case.items[:4], wrong_at=0)
        prelabel(database, loop.spec.name, tmp_path)
        loop.push()
        champion = models.load(tmp_path, version)
        assert champion.name == loop.spec.learner.name
        new = [task for task in loop.tasks() if task["data"]["labelloop_key"].startswith("new")]
        assert len(new) == 4
        for task in new:
            (said,) = champion.predict([task["data"]]).labels
            shown = [p for p in task["predictions"] if p["model_version"] == version[:12]]
            assert [p["result"] for p in shown] == [results.encode(loop.spec.config, said, None)]
            assert task["data"]["labelloop_why"].startswith(case.why)
        utilities = [
            row["utility"] for row in loop.sql("select utility from tasks where champion = %(v)s", v=version[:12])
        ]
        assert len(utilities) == 4
        assert all(0 <= utility <= 1 for utility in utilities)


def _submit(loop: SyncLoop, name: str, items: list[Item], wrong_at: int) -> dict[str, str]:
    """Outputs as the intake takes them in, all right but one; returns the true answers as tables hold them, by key."""
    spec, rows, truths = loop.spec, [], {}
    for i, (text, truth) in enumerate(items):
        said = items[i - 1][1] if i == wrong_at else truth
        if spec.config.text_field and i == wrong_at:
            said = [[0, 1, "place"]]
        value = {"key": f"{name}-{i}", "data": {"text": text}, "label": said, "confidence": 0.5}
        output = fitting.check(reading.from_json(value), spec.config, spec.labels)
        rows.append(output_store.Row.of(output, lanes.place(output, spec)))
        truths[output.key] = kinds.canonical(spec.config.answer, truth)
    with loop.database.transaction() as conn:
        output_store.insert(conn, spec.name, rows)
        jobs.ask(conn, jobs.PUSH, spec.name)
    return truths


def _annotate_as_the_editor_does(loop: SyncLoop, task: dict[str, Any], truth: str) -> None:
    """The prelabel left where it is right, else put right by hand; with what the editor adds, and a comment."""
    regions = results.encode(loop.spec.config, truth, None)
    (shown,) = task["predictions"]
    by = "prediction" if shown["result"] == regions else "manual"
    for i, region in enumerate(regions):
        region |= {"id": f"r{i}", "origin": by}
        if region["type"] == "labels":
            value = region["value"]
            value["text"] = task["data"]["text"][value["start"] : value["end"]]
    regions.append(
        {"id": "c", "from_name": "comment", "to_name": "text", "type": "textarea", "value": {"text": ["seen"]},
         "origin": "manual"}
    )  # fmt: skip
    body = {"result": regions, "lead_time": 2.5, "draft_id": 0, "parent_prediction": shown["id"]}
    answer = loop.web.post(f"/api/tasks/{task['id']}/annotations/?project={loop.project_id}", json=body)
    answer.raise_for_status()


def test_a_challenger_is_judged_by_how_much_of_each_answer_it_has(database: Database, tmp_path: Path) -> None:
    """The pipeline finds one span of two in every text; the first version finds nearly all."""
    spec = CASES["spans"].spec.model_copy(update={"holdout": 0.4})
    rng = np.random.default_rng(0)
    words = "then again nobody here could say why it took so long before they came back with bread and news".split()
    rows, truths = [], {}
    for i in range(150):
        before, after = (" ".join(rng.choice(words, 8)) for _ in range(2))
        who, where = rng.choice(["Anna", "Zoë", "Bo", "Владимир"]), rng.choice(["Köln", "Oslo", "Wien"])
        text = f"{before} {who} wrote from {where} {after}"
        spans = [
            [text.index(word), text.index(word) + len(word), label]
            for word, label in ((who, "person"), (where, "place"))
        ]
        output = reading.from_json({"key": f"item-{i}", "data": {"text": text}, "label": spans[:1], "confidence": 0.5})
        output = fitting.check(output, spec.config, spec.labels)
        rows.append(output_store.Row.of(output, lanes.place(output, spec)))
        truths[output.key] = kinds.canonical(spec.config.answer, spans)
    with database.transaction() as conn:
        loops.register(conn, spec)
        new, _, _ = output_store.insert(conn, spec.name, rows)
        answer(conn, spec.name, {stored.id: truths[stored.key] for stored in new})
        run_id = runs.request(conn, spec.name, "a test")
        run = runs.claim(conn, spec.name, None)
    assert run_id is not None
    assert run is not None
    decision, scores = judge(database, spec, run, train(database, tmp_path, run_id))
    assert decision.promote, decision.reasons
    assert scores["metric"] == "score"
    assert scores["champion"]["accuracy"] == pytest.approx(2 / 3), "F1 of one span of two"
    assert scores["challenger"]["accuracy"] > 0.9

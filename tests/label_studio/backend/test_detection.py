"""Object detection all the way round: a hosted detector learns from the boxes that people draw in Label Studio."""

from __future__ import annotations

import threading
from pathlib import Path
from statistics import fmean

import pytest

from backend.report.card import card
from backend.report.card.page import card_html
from backend.report.error_rate import error_rate_report
from backend.report.runs import run_report
from backend.score.prelabel import prelabel
from backend.train.retrain import retrain
from console.files.templates import folder_of
from labelloop.answers.item_scores import item_score
from labelloop.labeling import results
from labelloop.spec.folder import load
from labelloop.store.database import Database
from labelloop.store.tables import runs, versions
from labelloop.strategies.boxes import boxes_max
from tests.support.backend_factory import settings_for
from tests.support.hosted import detector
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop

ANSWERED, WAITING = 70, 12


@pytest.mark.timeout(900)
def test_a_hosted_detector_learns_from_drawn_boxes_and_prelabels_the_open_tasks(
    database: Database, database_url: str, label_studio: LabelStudio, tmp_path: Path
) -> None:
    spec = detector.made(tmp_path / "shapes")
    queue = spec.queue.model_copy(update={"window": ANSWERED, "holdout": 0.5, "audit": 0.0, "gold": 0.0})
    spec = spec.model_copy(update={"queue": queue, "holdout": 0.5})
    settings = settings_for(database_url, tmp_path)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        truths = detector.submit(loop, range(ANSWERED))
        loop.push()
        assert loop.states() == {"in_review": ANSWERED}
        for key, truth in truths.items():
            detector.draw(loop, key, truth)
        loop.pull()
        truths |= detector.submit(loop, range(1000, 1000 + WAITING))
        loop.push()

        retrain(database, settings, spec.name, threading.Event())  # the answers have asked for the run
        with database.transaction() as conn:
            [run] = runs.latest(conn, spec.name)
        assert run.status == "promoted", (run.error, run.reasons)
        with database.transaction() as conn:
            report, champion = run_report(conn, run.id), versions.champion(conn, spec.name)
        assert champion is not None
        assert report["metric"] == "score"
        assert report["champion"]["accuracy"] < 0.3, "F1 of the pipeline, which calls every shape a square"
        assert report["challenger"]["accuracy"] > 0.6
        [measured] = report["measured"]
        assert measured["name"] == "Mean IoU"
        assert {row["value"] for row in report["slices"] if row["by"] == "label"} == {"disc", "square", "triangle"}

        assert prelabel(database, spec.name, settings.models_dir) == WAITING
        loop.push()
        waiting = [task for task in loop.tasks() if not task["annotations"]]
        assert len(waiting) == WAITING
        scores = []
        for task in waiting:
            [shown] = [p for p in task["predictions"] if p["model_version"] == champion.id[:12]]
            said = results.read(spec.config, shown["result"], None).label
            scores.append(item_score(spec.config, truths[task["data"]["labelloop_key"]], said))
        assert fmean(scores) > 0.6, "the boxes that people see, against the true ones"
        ranked = loop.sql(
            "select utility, why from tasks where champion = %(by)s and lane = 'rule'", by=champion.id[:12]
        )
        assert all(row["why"].startswith("The model found ") for row in ranked)
        assert len({row["utility"] for row in ranked}) > 1, "ranked by the scores of the detector's own boxes"

        found = card(database, champion.id, settings.models_dir)
        [row] = found["metrics"]["measures"]
        assert row["name"] == "Mean IoU"
        assert "Mean IoU" in card_html(found)


def test_without_a_learner_boxes_are_ranked_answered_and_measured(
    database: Database, label_studio: LabelStudio, tmp_path: Path
) -> None:
    of_detection, form = load(folder_of("detection")), load(folder_of("detector")).labels_xml
    assert of_detection.learner.name == "none"
    spec = load(folder_of("detector")).model_copy(update={"learner": of_detection.learner, "labels_xml": form})
    queue = spec.queue.model_copy(update={"window": 6, "diversity": 0.0, "holdout": 0.5, "audit": 0.0, "gold": 0.0})
    spec = spec.model_copy(update={"name": "ranked", "queue": queue, "holdout": 0.5})
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        truths = detector.submit(loop, range(16))
        loop.push()
        rows = loop.sql("select key, evidence -> 'boxes' as boxes from outputs where not holdout")
        doubt = {row["key"]: boxes_max([row["boxes"]])[0] for row in rows}
        served = []
        while (task := loop.next_task()) is not None:
            served.append(task["data"]["labelloop_key"])
            detector.draw(loop, served[-1], truths[served[-1]])
            loop.pull()
            loop.push()
        assert sorted(served) == sorted(truths)
        ranked = [doubt[key] for key in served if key in doubt]
        assert len(ranked) > 3
        assert ranked == sorted(ranked, reverse=True), "the most doubtful box first"
        with database.transaction() as conn:
            report = error_rate_report(conn, spec)
        assert report["measures"]["mean_iou"]["items"] == len(truths) - len(ranked), "those that were drawn at random"
        assert report["value"] > 0.5, "1 - F1 of the pipeline's boxes"
        assert any("Mean IoU" in sentence for sentence in report["sentences"])

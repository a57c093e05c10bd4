"""Factories for tests of the backend: loops of digits and of texts, with outputs and answers in Postgres."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from backend.decide.promote import promote
from backend.train.train import train
from labelloop.outputs.output import Output
from labelloop.process.settings import Settings
from labelloop.queue.lanes import place
from labelloop.reading.ids import ProjectId
from labelloop.spec import folder as specs
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, outputs, runs

CONFIGS = Path(__file__).parents[2] / "labeling_configs"
PASSWORD = "a-password-of-tests"
PROJECT_ID = ProjectId(30)
"""The project of a loop that put_into_label_studio has put there."""


def settings_for(database_url: str, folder: Path) -> Settings:
    return Settings(
        data_dir=folder,
        models_dir=folder / "models",
        loops_dir=CONFIGS,
        database_url=database_url,
        backend_password=PASSWORD,
    )


def digits_spec(**changes: Any) -> LoopSpec:
    return specs.load(CONFIGS / "digits").model_copy(update={"holdout": 0.3, **changes})


def texts_spec(labels: Sequence[str] = ("ham", "spam"), **changes: Any) -> LoopSpec:
    return LoopSpec(name="texts", trigger="model_confidence < 0.8", **changes).with_labels(labels)


@cache
def scans() -> tuple[list[str], list[str]]:
    """scikit-learn's digits as data: URIs, and what they show."""
    bunch = load_digits()
    return [picture(pixels) for pixels in bunch.images / 16], [str(target) for target in bunch.target]


def picture(pixels: np.ndarray[Any, Any]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.round(255 * (1 - pixels)).astype(np.uint8)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def weak(truth: str, position: int, labels: Sequence[str]) -> dict[str, float]:
    """A pipeline that is right half of the time, and never sure."""
    said = truth if position % 2 else labels[(labels.index(truth) + 1) % len(labels)]
    return {label: 0.4 if label == said else 0.6 / (len(labels) - 1) for label in labels}


def submit(conn: Conn, spec: LoopSpec, data: Sequence[Mapping[str, Any]], truths: Sequence[str]) -> dict[str, UUID]:
    """Outputs of the weak pipeline, named item-0, item-1, ...; key to id. Registers the loop."""
    loops.register(conn, spec)
    made = [
        Output(f"item-{i}", item, probabilities=weak(truth, i, spec.config.labels), model_version="weak-1")
        for i, (item, truth) in enumerate(zip(data, truths, strict=True))
    ]
    new, known, _ = outputs.insert(conn, spec.name, [outputs.Row.of(o, place(o, spec)) for o in made])
    return {stored.key: stored.id for stored in [*new, *known]}


def answer(conn: Conn, loop: str, answers: Mapping[UUID, str | None]) -> None:
    """Store the labels that the reviewers agreed on, in this order."""
    for output_id, label in answers.items():
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) values (%s, %s, %s, 1, 1)",
            (output_id, loop, label),
        )


def digits_loop(database: Database, n: int = 300, answered: int = 200, **changes: Any) -> LoopSpec:
    """A loop of digits of which the first `answered` have their true answer."""
    spec = digits_spec(**changes)
    images, truths = scans()
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"image": image} for image in images[:n]], truths[:n])
        answer(conn, spec.name, {ids[f"item-{i}"]: truths[i] for i in range(answered)})
    return spec


def new_champion(database: Database, loop: str, models_dir: Path) -> str:
    """A version that has learned today's answers, promoted without a child process and without a gate; its id."""
    with database.transaction() as conn:
        run_id = runs.request(conn, loop, "a test")
        claimed = runs.claim(conn, loop, None)
    assert run_id is not None
    assert claimed is not None
    version: str = train(database, models_dir, run_id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=version)
    promote(database, loop, version, "a test", "to see", models_dir=models_dir)
    return version


def put_into_label_studio(conn: Conn, loop: str, n: int, project_id: ProjectId = PROJECT_ID) -> list[UUID]:
    """Move the first `n` of the pool into tasks, as a push does; returns their ids."""
    conn.execute(
        "insert into projects (loop, label_studio_url, project_id, signing_key) values (%s, 'http://test', %s, '')"
        " on conflict (loop) do nothing",
        (loop, project_id),
    )
    batch = uuid.uuid4()
    conn.execute(
        "insert into batches (id, loop, state, version, size) values (%s, %s, 'adopted', 'pipeline', %s)",
        (batch, loop, n),
    )
    ids = [r["output_id"] for r in conn.execute("select output_id from pool where loop = %s limit %s", (loop, n))]
    conn.execute(
        """
        insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
            confidence, champion, ranker, why, shown_version)
        select output_id, loop, %(batch)s, gen_random_uuid(), row_number() over (order by output_id), lane, utility,
            utility, label, confidence, champion, ranker, why, 'pipeline'
        from pool where output_id = any(%(ids)s)
        """,
        {"batch": batch, "ids": ids},
    )
    conn.execute("delete from pool where output_id = any(%s)", (ids,))
    for state in ("pushing", "in_review"):
        conn.execute("update outputs set state = %s where id = any(%s)", (state, ids))
    return ids

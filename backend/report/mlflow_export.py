"""Export: runs and versions are written to MLflow too, where a tracking URI is set.

`python -m backend.report.mlflow_export LOOP` does it, a process of its own, which may hang or die with MLflow and is in
nobody's way: what it could not write is asked for again. A run of ours is one of MLflow's, found again by a tag, so
that a second try goes on where the first ended; so is a version. A run that ends otherwise later (a person decides) is
brought up to date, and so are the aliases.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from backend import models
from backend.report.card import card as card_of
from backend.report.card import card_html
from backend.train.child import kill
from labelloop.errors import LabelloopError
from labelloop.process import log, rooms
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import exports
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun

TIME_LIMIT_S = 600.0
MANNERS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # we come again ourselves
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""MLflow's own settings, where the environment says nothing else."""
NO_REGISTRY = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "PERMISSION_DENIED"})
"""Error codes of servers that keep runs and no models."""
RUN, VERSION = "labelloop.run", "labelloop.version"
"""Tags by which a run and a version are found again."""
GIVE_UP_AFTER = 3
"""Runs in a row that could not be written: it is MLflow that is away, and not these runs."""
LONGEST = 500
"""Characters of a parameter that any MLflow takes; of a description more than enough."""
ENDS = {"failed": "FAILED", "stopped": "KILLED"}
logger = logging.getLogger(__name__)


def export_in_child(settings: Settings, loop: str, stop: threading.Event) -> bool:
    """Write what MLflow lacks of the loop, in a child process; whether all went well. `stop` ends it."""
    child = subprocess.Popen(
        rooms.python("backend.report.mlflow_export", loop),
        env={**rooms.environment(os.environ), **settings.to_env()},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        while child.poll() is None and time.monotonic() - began < TIME_LIMIT_S:
            if stop.wait(0.2):
                return False
        return child.returncode == 0
    finally:
        kill(child)


def export(database: Database, loop: str, tracking_uri: str, models_dir: Path | None) -> int:
    """Write the runs of the loop that MLflow lacks, and set the aliases; returns how many runs were written.

    Raises whatever MLflow raised first; what was written is noted, and a run that cannot be written (its file is larger
    than the server takes) stops no other.
    """
    from mlflow import MlflowClient

    # Said twice: for some stores MLflow would else keep the models in a file of the folder where we happen to be.
    client = MlflowClient(tracking_uri, os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri)
    experiment = client.get_experiment_by_name(_name(loop))
    experiment_id = client.create_experiment(_name(loop)) if experiment is None else experiment.experiment_id
    with database.transaction() as conn:
        rows = exports.pending(conn, loop)
    troubles: list[Exception] = []
    in_a_row = 0
    for row in reversed(rows):  # the newest first: old ones that can never be written keep no other out
        if in_a_row == GIVE_UP_AFTER:
            break
        try:
            _write(client, experiment_id, database, loop, row, models_dir)
        except Exception as exc:
            troubles.append(exc)
            in_a_row += 1
            continue
        in_a_row = 0
        with database.transaction() as conn:
            exports.exported(conn, row.id, row.status)
    with database.transaction() as conn:
        epoch = version_store.epoch(conn, loop)
        champion = version_store.champion(conn, loop)
        challenger = exports.challenger(conn, loop)
    _where_it_can(lambda: _alias(client, loop, "champion", None if champion is None else champion.id))
    _where_it_can(lambda: _alias(client, loop, "challenger", challenger))
    with database.transaction() as conn:
        exports.exported_promotions(conn, loop, epoch)
    if troubles:
        raise troubles[0]
    return len(rows)


def _write(
    client: Any, experiment_id: str, database: Database, loop: str, row: RetrainRun, models_dir: Path | None
) -> None:
    """Everything about one run; twice is once."""
    from mlflow.entities import Metric, Param, RunTag

    version_id = row.version_id
    card = None if version_id is None else card_of(database, version_id, models_dir)
    tags = {
        RUN: str(row.id),
        VERSION: version_id or "",
        "labelloop.loop": loop,
        "labelloop.verdict": str(row.status),
        "labelloop.cut": "" if row.feedback_upto is None else str(row.feedback_upto),
        "mlflow.note.content": "\n\n".join([*row.reasons, row.error or ""]).strip()[:LONGEST],
    }
    found = client.search_runs([experiment_id], f"tags.`{RUN}` = '{row.id}'", max_results=1)
    run = found[0] if found else client.create_run(experiment_id, _ms(row.started_at or row.requested_at), tags,
                                                   run_name=str(row.id)[:8])  # fmt: skip
    run_id, at = run.info.run_id, _ms(row.finished_at or row.requested_at)
    known = run.data.metrics
    client.log_batch(
        run_id,
        [Metric(k, v, at, 0) for k, v in _metrics(row.evaluation).items() if known.get(k) != v],
        [Param(k, v) for k, v in _params(row, card).items() if k not in run.data.params],
        [RunTag(k, v) for k, v in tags.items()],
    )
    if card is not None:
        client.log_text(run_id, card_html(card), "card.html")
        client.log_text(run_id, json.dumps(card, indent=2), "card.json")
        if version_id is not None and models_dir is not None and card["model"]["file"]["trouble"] is None:
            _register(client, run, loop, version_id, models.path(models_dir, version_id))
    client.set_terminated(run_id, ENDS.get(row.status, "FINISHED"), at)


def _register(client: Any, run: Any, loop: str, version_id: str, file: Path) -> None:
    """The version's file, kept with the first run that made it, as a version of the loop's registered model."""
    run_id = run.info.run_id
    others = client.search_runs([run.info.experiment_id], f"tags.`{VERSION}` = '{version_id}'", max_results=1000)
    home = next((r for r in reversed(others) if client.list_artifacts(r.info.run_id, "model")), None)
    if home is None:
        client.log_artifact(run_id, str(file), "model")
        home = run

    def register() -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(_name(loop))
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if _registered(client, loop, version_id) is None:
            source = f"{home.info.artifact_uri}/model"
            client.create_model_version(_name(loop), source, home.info.run_id, tags={VERSION: version_id})

    _where_it_can(register)


def _registered(client: Any, loop: str, version_id: str) -> str | None:
    """MLflow's number of our version."""
    found = client.search_model_versions(f"name = '{_name(loop)}' and tags.`{VERSION}` = '{version_id}'")
    return found[0].version if found else None


def _alias(client: Any, loop: str, alias: str, version_id: str | None) -> None:
    number = None if version_id is None else _registered(client, loop, version_id)
    if number is not None:
        client.set_registered_model_alias(_name(loop), alias, number)
    elif client.search_registered_models(f"name = '{_name(loop)}'"):
        client.delete_registered_model_alias(_name(loop), alias)


def _where_it_can(do: Any) -> None:
    """What a server without a registry refuses is left out: the runs are there."""
    from mlflow.exceptions import MlflowException

    try:
        do()
    except MlflowException as exc:
        if exc.error_code not in NO_REGISTRY:
            raise
        logger.info("MLflow keeps no models here: %s", exc.error_code)


def _name(loop: str) -> str:
    """Of the loop's experiment, and of its registered model."""
    return f"labelloop-{loop}"


def _params(row: RetrainRun, card: Mapping[str, Any] | None) -> dict[str, str]:
    said: dict[str, Any] = {"seed": row.seed, "cut": row.feedback_upto, "why": row.why}
    if card is not None:
        said |= {"learner": card["model"]["learner"]}
        said |= {f"learner.{name}": value for name, value in (card["model"]["params"] or {}).items()}
    return {name: str(value)[:LONGEST] for name, value in said.items() if value is not None}


def _metrics(scores: Mapping[str, Any]) -> dict[str, float]:
    """What a run was judged by, as flat numbers; what was not measured is left out."""
    said: dict[str, Any] = {key: scores.get(key) for key in ("holdout", "trained_on", "better", "worse", "p",
                                                             "detectable", "size_bytes")}  # fmt: skip
    for side, prefix in (("challenger", ""), ("champion", "champion_")):
        measured = scores.get(side) or {}
        said |= {prefix + key: measured.get(key) for key in ("accuracy",)}
        said |= {f"{prefix}accuracy_{key}": measured.get(key) for key in ("low", "high")}
        said[f"{prefix}ece"] = ((scores.get("calibration") or {}).get(side) or {}).get("ece")
        said[f"{prefix}ms"] = (scores.get("speed") or {}).get(f"{side}_ms")
    gain = scores.get("gain") or {}
    said |= {"gain": gain.get("value"), "gain_low": gain.get("low"), "gain_high": gain.get("high")}
    return {key: float(value) for key, value in said.items() if value is not None and math.isfinite(value)}


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def main() -> int:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    os.nice(10)
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    try:
        settings.require("database_url", "mlflow_tracking_uri")
        with Database(settings.database_url, size=1) as database:
            n = export(database, sys.argv[1], settings.mlflow_tracking_uri, settings.models_dir)
    except ModuleNotFoundError as exc:
        logger.error("nothing goes to MLflow: %s; pip install 'labelloop[mlflow]'", exc)
        return 1
    except LabelloopError as exc:
        logger.warning("not written to MLflow, later again: %s", exc)
        return 1
    except Exception as exc:
        said = re.sub(r"//[^/@\s]*@", "//", f"{type(exc).__name__}: {exc}")  # an address may hold a password
        logger.warning("loop %s: not written to MLflow, later again: %s", sys.argv[1], said[:500])
        return 1
    if n:
        logger.info("loop %s: %d runs written to MLflow", sys.argv[1], n)
    return 0


if __name__ == "__main__":
    sys.exit(main())

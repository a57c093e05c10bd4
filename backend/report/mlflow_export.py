"""Export: write runs and versions to MLflow, if a tracking URI is set.

`python -m backend.report.mlflow_export LOOP` is a process of its own: see mlflow_child.py. A run that could not be
written is tried again at the next export. Runs and versions are found in MLflow by a tag, so a second attempt continues
where the first one ended. A run whose status changes later, by a person's decision, is updated, and so are the aliases.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from backend import models
from backend.report import mlflow_child
from backend.report.card import card as card_of
from backend.report.card import card_html
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.mlflow import exports
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun

NO_REGISTRY = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "PERMISSION_DENIED"})
"""Error codes of servers that store runs but no models."""
RUN, VERSION = "labelloop.run", "labelloop.version"
"""Tags by which a run and a version are found in MLflow."""
GIVE_UP_AFTER = 3
"""After this many consecutive failures, assume that MLflow is down and stop."""
MAX_PARAM_CHARACTERS = 500
"""Characters of a parameter, or a description, that every version of MLflow accepts."""
MLFLOW_STATUS = {"failed": "FAILED", "stopped": "KILLED"}
logger = logging.getLogger(__name__)


def export(database: Database, loop: str, tracking_uri: str, models_dir: Path | None) -> int:
    """Write the runs that MLflow lacks, and set the aliases; return the number of runs.

    Each written run is recorded. A run that cannot be written, for example because its file is larger than the server
    accepts, does not stop the others. Raises the first error of MLflow at the end.
    """
    from mlflow import MlflowClient

    # The URI is given twice, because for some stores MLflow would keep the models in a file of the current folder.
    client = MlflowClient(tracking_uri, os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri)
    experiment = client.get_experiment_by_name(_name(loop))
    experiment_id = client.create_experiment(_name(loop)) if experiment is None else experiment.experiment_id
    with database.transaction() as conn:
        rows = exports.pending(conn, loop)
    troubles: list[Exception] = []
    in_a_row = 0
    for row in reversed(rows):  # newest first, so that old runs that always fail do not block new ones
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
    _unless_no_registry(lambda: _alias(client, loop, "champion", None if champion is None else champion.id))
    _unless_no_registry(lambda: _alias(client, loop, "challenger", challenger))
    with database.transaction() as conn:
        exports.exported_promotions(conn, loop, epoch)
    if troubles:
        raise troubles[0]
    return len(rows)


def _write(
    client: Any, experiment_id: str, database: Database, loop: str, row: RetrainRun, models_dir: Path | None
) -> None:
    """Write one run with its card and its version. Writing it twice has the same effect as once."""
    from mlflow.entities import Metric, Param, RunTag

    version_id = row.version_id
    card = None if version_id is None else card_of(database, version_id, models_dir)
    tags = {
        RUN: str(row.id),
        VERSION: version_id or "",
        "labelloop.loop": loop,
        "labelloop.verdict": str(row.status),
        "labelloop.cut": "" if row.feedback_upto is None else str(row.feedback_upto),
        "mlflow.note.content": "\n\n".join([*row.reasons, row.error or ""]).strip()[:MAX_PARAM_CHARACTERS],
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
    client.set_terminated(run_id, MLFLOW_STATUS.get(row.status, "FINISHED"), at)


def _register(client: Any, run: Any, loop: str, version_id: str, file: Path) -> None:
    """Register the version in the loop's model. Its file is stored with the first run that made it."""
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

    _unless_no_registry(register)


def _registered(client: Any, loop: str, version_id: str) -> str | None:
    """Return MLflow's number of the version; None if it is not registered."""
    found = client.search_model_versions(f"name = '{_name(loop)}' and tags.`{VERSION}` = '{version_id}'")
    return found[0].version if found else None


def _alias(client: Any, loop: str, alias: str, version_id: str | None) -> None:
    number = None if version_id is None else _registered(client, loop, version_id)
    if number is not None:
        client.set_registered_model_alias(_name(loop), alias, number)
    elif client.search_registered_models(f"name = '{_name(loop)}'"):
        client.delete_registered_model_alias(_name(loop), alias)


def _unless_no_registry(do: Any) -> None:
    """Call `do`, and ignore the error of a server that has no model registry; the runs are written anyway."""
    from mlflow.exceptions import MlflowException

    try:
        do()
    except MlflowException as exc:
        if exc.error_code not in NO_REGISTRY:
            raise
        logger.info("this MLflow has no model registry: %s", exc.error_code)


def _name(loop: str) -> str:
    """Return the name of the loop's experiment and of its registered model."""
    return f"labelloop-{loop}"


def _params(row: RetrainRun, card: Mapping[str, Any] | None) -> dict[str, str]:
    params: dict[str, Any] = {"seed": row.seed, "cut": row.feedback_upto, "why": row.why}
    if card is not None:
        params |= {"learner": card["model"]["learner"]}
        params |= {f"learner.{name}": value for name, value in (card["model"]["params"] or {}).items()}
    return {name: str(value)[:MAX_PARAM_CHARACTERS] for name, value in params.items() if value is not None}


def _metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the evaluation of a run as flat numbers; numbers that were not measured are left out."""
    found: dict[str, Any] = {key: evaluation.get(key) for key in ("holdout", "trained_on", "better", "worse", "p",
                                                             "detectable", "size_bytes")}  # fmt: skip
    for side, prefix in (("challenger", ""), ("champion", "champion_")):
        measured = evaluation.get(side) or {}
        found |= {prefix + key: measured.get(key) for key in ("accuracy",)}
        found |= {f"{prefix}accuracy_{key}": measured.get(key) for key in ("low", "high")}
        calibration = (evaluation.get("calibration") or {}).get(side) or {}
        found |= {prefix + "ece": calibration.get("ece")}
        found |= {f"{prefix}ece_{key}": calibration.get(key) for key in ("low", "high")}
        found[f"{prefix}ms"] = (evaluation.get("speed") or {}).get(f"{side}_ms")
    gain, loss = evaluation.get("gain") or {}, evaluation.get("loss") or {}
    found |= {"loss_promoting": loss.get("promoting"), "loss_waiting": loss.get("waiting"), "p_harm": loss.get("harm")}
    found |= {"gain": gain.get("value"), "gain_low": gain.get("low"), "gain_high": gain.get("high")}
    return {key: float(value) for key, value in found.items() if value is not None and math.isfinite(value)}


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def main() -> int:
    def write(settings: Settings, database: Database, loop: str) -> None:
        n = export(database, loop, settings.mlflow_tracking_uri, settings.models_dir)
        if n:
            logger.info("loop %s: %d runs written to MLflow", loop, n)

    return mlflow_child.main(write, sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())

"""The bare peer of /predict: a Flask route around `predict_proba`, under plain gunicorn with the backend's threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, request

from backend import models


def app(models_dir: str, version_id: str) -> Flask:
    learner = models.load(Path(models_dir), version_id)
    flask = Flask(__name__)

    @flask.post("/predict")
    def predict() -> Any:
        data = [task["data"] for task in request.get_json()["tasks"]]
        proba = learner.predict(data).proba
        assert proba is not None
        return {"proba": proba.tolist()}

    return flask

"""Traces of an MLflow tracking server as lines that are sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from console.files.lines import Line, Read, as_line, refusal
from labelloop.errors import InvalidOutput, Unreachable, UsageError

PAGE = 100


@dataclass(frozen=True, slots=True)
class Traces:
    """The traces of an experiment, the oldest first. Their number counts as the line."""

    tracking_uri: str | None
    """None means the environment's MLFLOW_TRACKING_URI."""
    experiment: str | None
    label: str
    can_be_read_twice: bool = False
    size: int = 0

    def lines(self, read: Read = lambda _: None) -> Iterator[Line]:
        """Yield the output of each trace. Raises UsageError without MLflow, its address or the experiment."""
        from labelloop.adapters import mlflow

        for number, trace in enumerate(self._traces(), start=1):
            errors: list[InvalidOutput] = []
            for output in mlflow.outputs([trace], label=self.label, refused=errors.append):
                yield number, as_line(number, output.to_json())
            yield from ((number, refusal(number, error, None)) for error in errors)

    def _traces(self) -> Iterator[Any]:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as exc:
            raise UsageError("--from mlflow needs MLflow: pip install 'labelloop[mlflow]'") from exc
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise UsageError("--from mlflow needs --tracking-uri, or the variable MLFLOW_TRACKING_URI")
        if not self.experiment:
            raise UsageError("--from mlflow needs --experiment, the name of the experiment")
        try:
            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name(self.experiment)
            if experiment is None:
                known = ", ".join(sorted(one.name for one in client.search_experiments(max_results=PAGE)))
                raise UsageError(f"--experiment: no experiment {self.experiment!r}; there are: {known or 'none'}")
            token = None
            while True:
                page = client.search_traces(
                    locations=[experiment.experiment_id],
                    max_results=PAGE,
                    order_by=["timestamp_ms ASC"],
                    page_token=token,
                )
                yield from page
                token = page.token
                if not token:
                    return
        except MlflowException as exc:
            raise Unreachable(f"MLflow at {uri} does not give its traces: {str(exc)[:300]}") from exc

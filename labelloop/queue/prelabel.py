"""The prelabel that a task shows."""

from __future__ import annotations

from typing import Any

from labelloop.labeling import results
from labelloop.spec.loop import LoopSpec
from labelloop.strategies.single import two_highest
from labelloop.versions.version import PIPELINE


def prelabel_result(spec: LoopSpec, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the prelabel as Label Studio's result: the pipeline's own result while it is the pipeline's label.

    Empty where the model could as well have tossed a coin: people then begin with an open form.
    """
    margin = row["margin"]
    if row["champion"] == PIPELINE and row["probabilities"]:
        first, second = two_highest(row["probabilities"].values())
        margin = first - second
    if margin is not None and margin < spec.prelabel.min_margin - 1e-9:  # 0.6 - 0.5 is a little less than 0.1
        return []
    if row["result"] is not None and row["label"] == row["output_label"]:
        return results.imported(spec.config, row["result"])
    return results.preselect(spec.config, row["label"], row["output_label"])

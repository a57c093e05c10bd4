"""Content: what people answer about. Two outputs of a loop with equal content have the same answer. Pure."""

from __future__ import annotations

import hashlib

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds import nearest_answer
from labelloop.outputs.output import Output
from labelloop.reading import strict_json


def content_sha256(output: Output, config: LabelingConfig, label: str | None) -> bytes | None:
    """Return the hash of the output's content and its source; `label` is the pipeline's label.

    The content is `data`, whatever the order of names and blanks. The pipeline's label and result are part of it if
    people only approve them or write a text: then the answer is about them. Otherwise the answer is one about the data,
    and about what the pipeline drew with other controls, such as the boxes of a detector. The source is part of the
    hash, so that a pipeline learns nothing about the outputs of another one.

    None if the content cannot be compared: for gold, which checks people, and for an output of a trace if the form
    shows the steps before it.
    """
    if output.gold is not None or (config.shows_steps and output.trace is not None):
        return None
    content: dict[str, object] = {"data": output.data, "source": output.source}
    written = {part.kind for part in config.answer.parts or (config.answer,)}
    if Kind.TEXT in written or (config.kind is Kind.LABEL and not config.labels):
        content |= {"label": label, "result": output.result}
    elif drawn := [region for region in output.result or () if region.get("from_name") not in config.answer.names]:
        content["drawn"] = [{name: region[name] for name in region.keys() - {"id", "score"}} for region in drawn]
    return hashlib.sha256(strict_json.dumps(content).encode()).digest()


def still_fits(answer: str, config: LabelingConfig, labels: frozenset[str]) -> bool:
    """Return whether people could give this answer with the form of today; `labels` are those of the loop."""
    if config.answer is config.verdict:
        return True
    if config.kind is Kind.LABEL and labels and answer not in labels:
        return False
    return nearest_answer(config.answer, answer) == answer

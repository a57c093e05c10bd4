"""The files of a loop that adopts a project of Label Studio: its form, and a loop.yaml that keeps its settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import SpecError, UsageError
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import NAME
from sync.adopting.settings import sent_form

LONGEST = 41
"""Letters of the longest name of a loop."""


def name_of(title: str, project_id: int) -> str:
    """Return a name for the loop: the project's title in lower-case letters, or `project-12` if that is no name."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:LONGEST].rstrip("-")
    return name if re.fullmatch(NAME, name) and len(name) >= 3 else f"project-{project_id}"


def files_of(settings: Mapping[str, Any], project_id: int, url: str, answer: Sequence[str] = ()) -> dict[str, str]:
    """Return the loop's files by name. `settings`: those of the project, by Label Studio's names.

    `answer`: the controls that hold the answer; () for all that people fill in.

    Raises Failed if the loop would have to send another form.
    """
    title = str(settings["title"]).strip()
    lines = [
        f"# Made by `labelloop adopt` from project {project_id} of Label Studio at {_plain(url)}.",
        "# The form of the project is labels.xml.",
        "feedback_loop:",
        "  # Every task of the project goes to people, whatever the confidence of its prediction.",
        '  trigger: "model_confidence <= 1"',
        f"  title: {json.dumps(title, ensure_ascii=False)}",
        "  # As many people answer each task as before.",
        f"  overlap: {settings['maximum_annotations']}",
        "  audit: 0",
        "  # A random share of the tasks whose answers measure models and never train one.",
        "  holdout: 0.2",
    ]
    if answer:
        lines += ["  # The other controls of the form are not part of the answer.", f"  answer: {json.dumps(answer)}"]
    if settings.get("show_collab_predictions") is False:
        lines += [
            "  # The project hid its predictions from annotators. A task has one for its place in the order, but",
            "  # it fills nothing in.",
            "  prelabel:",
            "    min_margin: 1",
        ]
    return {"loop.yaml": "\n".join(lines) + "\n", "labels.xml": sent_form(str(settings["label_config"])) + "\n"}


def spec_of(name: str, files: Mapping[str, str], project_id: int) -> LoopSpec:
    """Return the spec in these files. Raises UsageError with the reason if the project's form cannot be a loop."""
    try:
        return parse(name, files["loop.yaml"], files["labels.xml"])
    except SpecError as exc:
        raise UsageError(f"project {project_id} cannot be adopted, because of its form: {exc}") from exc


def _plain(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)

"""Templates of Label Studio: the forms that it ships, as folders of loops with a sample output.

They are read from Label Studio's API (GET /api/templates), or from a Label Studio on this machine.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from console.files.templates import FOLDER as TEMPLATES
from console.files.templates import SAMPLES
from console.local import environment
from labelloop.errors import UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds.form import LISTS

YAML = TEMPLATES / "label-studio.yaml"
"""The loop.yaml of a loop that is made from one of Label Studio's templates."""
_FOLDER = "lib/python*/site-packages/label_studio/annotation_templates"
_ITEMS = [{"id": one, "title": f"Item {one}", "body": "A sample of a text"} for one in ("a", "b", "c")]
_LISTS = ("Choices", "Labels")


def installed() -> dict[str, str]:
    """Return the form of each template of the Label Studio on this machine, by name; empty if there is none."""
    python = environment.find_python()
    if python is None:
        return {}
    files = sorted(Path(python).parents[1].glob(f"{_FOLDER}/*/*/config.yml"))
    return _by_name([yaml.safe_load(file.read_text(encoding="utf-8")) for file in files])


def listed(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the form of each template in an answer of Label Studio's API (GET /api/templates), by name."""
    return _by_name(answer["templates"])


def files_of(name: str, xml: str) -> dict[str, str]:
    """Return the text of each file of a loop with this form; without samples if no part of the answer has one."""
    config = LabelingConfig.parse(xml)
    config = LabelingConfig.parse(xml, config.everything)
    files = {"loop.yaml": YAML.read_text(encoding="utf-8").format(name=name), "labels.xml": xml.strip() + "\n"}
    answer = _sample_answer(config.answer)
    if answer is None:
        return files
    output = {
        "key": "sample/1",
        "data": _sample_data(config),
        "label": answer,
        "confidence": 0.5,
        "model_version": "sample",
    }
    return {**files, SAMPLES: json.dumps(output, ensure_ascii=False) + "\n"}


def _sample_data(config: LabelingConfig) -> dict[str, Any]:
    """Return data for each field of the form, from Label Studio's SDK where it has some."""
    from label_studio_sdk import label_interface

    sdk: Any = label_interface
    try:
        known = sdk.LabelInterface(config.xml).generate_sample_task()["data"]
    except Exception:  # the SDK fails at some tags
        known = {}
    lists = {control.data_field for control in config.controls if control.over == "List"}
    return {field: _ITEMS if field in lists else _served(known.get(field)) for field in config.data_fields}


def _served(value: Any) -> Any:
    """Return a sample at the address that every Label Studio serves it at; a text if the SDK has no sample."""
    if isinstance(value, str):
        return value.replace("http://localhost:8080/", "/")
    return value or "A sample of a text"


def _sample_answer(control: ControlTag) -> Any:
    """Return an answer to a control, as a JSON value; None if there is no sample of its kind."""
    if control.parts:
        found = {part.name: _sample_answer(part) for part in control.parts}
        given = {name: answer for name, answer in found.items() if answer is not None}
        return given or None
    label = control.labels[0] if control.labels else "sample"
    if control.kind in LISTS:
        return [label] if control.kind is Kind.LABELS else []
    samples = {Kind.LABEL: label, Kind.NUMBER: control.low or 1, Kind.TEXT: "sample", Kind.DATE: "2024-05-06"}
    if control.kind is not Kind.ORDER:
        return samples.get(control.kind)
    ids = [item["id"] for item in _ITEMS]
    return {name: [] if i else ids for i, name in enumerate(control.buckets)} if control.buckets else ids


def _by_name(templates: list[dict[str, Any]]) -> dict[str, str]:
    return {name_of(one["title"]): one["config"] for one in templates if one.get("config")}


def name_of(title: str) -> str:
    """Return the name of a template from its title: letters and digits in lower case, joined by dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def form_of(name: str, templates: Mapping[str, str]) -> str:
    """Return the form of a template. Raises UsageError with the nearest name if there is none."""
    if name_of(name) not in templates:
        near = difflib.get_close_matches(name_of(name), templates, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"Label Studio has no template {name!r}; {hint}there are: {', '.join(sorted(templates))}")
    return mended(templates[name_of(name)])


def mended(xml: str) -> str:
    """Return a template's form in which no control has a label twice: the second one gets a number.

    One template of Label Studio 1.23.2 names two of its choices alike, so that nobody could tell the answers apart.
    """
    for tag in _LISTS:
        xml = re.sub(rf"<{tag}\b[^>]*(?<!/)>.*?</{tag}>", _told_apart, xml, flags=re.DOTALL)
    return xml


def _told_apart(control: re.Match[str]) -> str:
    if 'allowNested="true"' in control[0]:
        return control[0]  # the same step may be below several others
    seen: dict[str, int] = {}

    def numbered(choice: re.Match[str]) -> str:
        seen[choice[2]] = seen.get(choice[2], 0) + 1
        return choice[0] if seen[choice[2]] == 1 else f"{choice[1]}{choice[2]} ({seen[choice[2]]}){choice[3]}"

    return re.sub(r'(<(?:Choice|Label)\b[^>]*?\bvalue=")([^"]*)(")', numbered, control[0])

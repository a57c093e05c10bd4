"""What Label Studio answers, checked: any member can change what is in it, so nothing of it is taken on trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from labelloop.answers.annotations import Annotation, clean
from labelloop.queue.tasks import Task


class Unexpected(Exception):
    """An answer that is not what Label Studio 1.23 sends; the message names the field."""


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    title: str
    description: str
    instruction: str
    labels_xml: str
    sampling: str
    overlap: int
    model_version: str
    shows_predictions: bool
    tasks: int
    """How many it has, open or not."""
    overlap_first: bool
    """Tasks that several people answer go before all others."""
    evaluates_people: bool
    """Tasks whose answer is known go before all others, at random."""
    takes_empty: bool
    """The editor lets people submit without having given anything; the API always does."""


@dataclass(frozen=True, slots=True)
class View:
    """A tab of the data manager."""

    id: int
    title: str
    data: dict[str, Any]
    """All that makes it up, its title too."""


PROJECT_FIELDS = (
    "id,title,description,expert_instruction,label_config,sampling,maximum_annotations,model_version,task_number,"
    "show_collab_predictions,show_overlap_first,annotator_evaluation_enabled,enable_empty_annotation"
)
"""What is asked of a project, and so all that `project` can read: Label Studio would count and parse for the others,
which takes it twice the time."""


def project(value: object) -> Project:
    fields = mapping(value, "project")
    return Project(
        id=whole(fields, "id"),
        title=text(fields, "title"),
        description=text(fields, "description"),
        instruction=text(fields, "expert_instruction"),
        labels_xml=text(fields, "label_config"),
        sampling=text(fields, "sampling"),
        overlap=whole(fields, "maximum_annotations"),
        model_version=text(fields, "model_version"),
        shows_predictions=fields.get("show_collab_predictions") is True,
        # The answer to its creation has not counted yet.
        tasks=0 if fields.get("task_number") is None else whole(fields, "task_number"),
        overlap_first=fields.get("show_overlap_first") is True,
        evaluates_people=fields.get("annotator_evaluation_enabled") is True,
        takes_empty=fields.get("enable_empty_annotation") is True,
    )


def view(value: object) -> View:
    fields = mapping(value, "view")
    data = dict(mapping(fields.get("data"), "data"))
    data.pop("selectedItems", None)  # what somebody has ticked just now
    return View(whole(fields, "id"), text(data, "title"), data)


def tasks(value: object) -> list[Task]:
    """One page of the task list, in the order of the answer."""
    return [task(item) for item in items(mapping(value, "tasks").get("tasks"), "tasks")]


def task(value: object) -> Task:
    fields = mapping(value, "task")
    id_ = whole(fields, "id")
    annotations = [annotation(item, id_) for item in items(fields.get("annotations", []), "annotations")]
    counts = [fields.get(name) for name in ("total_annotations", "cancelled_annotations")]
    # Its counts are set late, set back by an import of predictions, or not set while somebody deletes a project.
    there = [name for name in text(fields, "annotations_ids").split(",") if name.strip()]
    return Task(
        id=id_,
        data=clean(mapping(fields.get("data", {}), "data")),
        updated_at=time(fields, "updated_at"),
        annotations=annotations,
        annotated=max(sum(count for count in counts if isinstance(count, int)), len(there), len(annotations)),
    )


def annotation(value: object, task_id: int) -> Annotation:
    fields = mapping(value, "annotation")
    result = clean(fields.get("result"))
    lead_time = fields.get("lead_time")
    return Annotation(
        id=whole(fields, "id"),
        task_id=task_id,
        result=result if isinstance(result, list) else [],
        completed_by=_person(fields.get("completed_by")),
        updated_by=_person(fields.get("updated_by")),
        was_cancelled=fields.get("was_cancelled") is True,
        ground_truth=fields.get("ground_truth") is True,
        lead_time_s=clean(float(lead_time)) if is_number(lead_time) else None,
        parent_prediction=_person(fields.get("parent_prediction")),
        created_at=time(fields, "created_at"),
        updated_at=time(fields, "updated_at"),
    )


def mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unexpected(f"{name} is {type(value).__name__}, not an object")
    return value


def items(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unexpected(f"{name} is {type(value).__name__}, not a list")
    return value


def whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not is_id(value):
        raise Unexpected(f"{name} is {value!r}, not a whole number")
    return value


def text(fields: Mapping[str, Any], name: str) -> str:
    """A text; null is none."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Unexpected(f"{name} is {type(value).__name__}, not text")
    return value or ""


def time(fields: Mapping[str, Any], name: str) -> datetime:
    value = fields.get(name)
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unexpected(f"{name} is {value!r}, not a time") from None
    if when.tzinfo is None:
        raise Unexpected(f"{name} is {value!r}, a time without its zone")
    return when


def is_id(value: object) -> TypeGuard[int]:
    """A whole number that fits a bigint; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _person(value: object) -> int | None:
    """An id, or the object that some of Label Studio's answers put in its place."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if is_id(value) else None

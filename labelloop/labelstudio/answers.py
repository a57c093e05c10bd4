"""Label Studio's responses, checked: any member can change its data, so none of it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from labelloop.answers.annotations import Annotation, clean
from labelloop.queue.tasks import NEVER, Task
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId, UserId

FAULT = "labelloop_fault"
"""Field of a task that Label Studio cannot show: the reason. It is put there here, and never sent by Label Studio."""


class Unexpected(Exception):
    """A response that Label Studio 1.23 does not send; the message names the field."""


@dataclass(frozen=True, slots=True)
class Project:
    id: ProjectId
    title: str
    description: str
    instruction: str
    labels_xml: str
    sampling: str
    overlap: int
    model_version: str
    shows_predictions: bool
    tasks: int
    """Number of tasks, open or not."""
    overlap_first: bool
    """Whether tasks for several people are served before all others."""
    evaluates_people: bool
    """Whether tasks with a known answer are served before all others, at random."""
    takes_empty: bool
    """Whether the editor accepts an empty answer; the API always does."""
    skip_queue: str
    """Name of the rule for a task that somebody skipped."""


@dataclass(frozen=True, slots=True)
class View:
    """A tab of the data manager."""

    id: int
    title: str
    data: dict[str, Any]
    """The whole tab, with its title."""


PROJECT_FIELDS = (
    "id,title,description,expert_instruction,label_config,sampling,maximum_annotations,model_version,task_number,"
    "show_collab_predictions,show_overlap_first,annotator_evaluation_enabled,enable_empty_annotation,skip_queue"
)
"""The fields of a project that are requested, and so all that `project` can read. For the others Label Studio would
count and parse, which doubles the time."""


def project(value: object) -> Project:
    fields = mapping(value, "project")
    return Project(
        id=ProjectId(whole(fields, "id")),
        title=text(fields, "title"),
        description=text(fields, "description"),
        instruction=text(fields, "expert_instruction"),
        labels_xml=text(fields, "label_config"),
        sampling=text(fields, "sampling"),
        overlap=whole(fields, "maximum_annotations"),
        model_version=text(fields, "model_version"),
        shows_predictions=fields.get("show_collab_predictions") is True,
        # The response to a creation has no count yet.
        tasks=0 if fields.get("task_number") is None else whole(fields, "task_number"),
        overlap_first=fields.get("show_overlap_first") is True,
        evaluates_people=fields.get("annotator_evaluation_enabled") is True,
        takes_empty=fields.get("enable_empty_annotation") is True,
        skip_queue=text(fields, "skip_queue"),
    )


def view(value: object) -> View:
    fields = mapping(value, "view")
    data = dict(mapping(fields.get("data"), "data"))
    data.pop("selectedItems", None)  # the rows that somebody has ticked
    return View(whole(fields, "id"), text(data, "title"), data)


def tasks(value: object) -> list[Task]:
    """Return one page of the task list, in its order."""
    return [task(item) for item in items(mapping(value, "tasks").get("tasks"), "tasks")]


def task(value: object) -> Task:
    fields = mapping(value, "task")
    id_, fault = task_id(fields), text(fields, FAULT)
    if fault and "data" not in fields:
        return Task(id=id_, data={}, updated_at=NEVER, annotations=[], annotated=0, fault=fault)
    annotations = [annotation(item, id_) for item in items(fields.get("annotations", []), "annotations")]
    counts = [fields.get(name) for name in ("total_annotations", "cancelled_annotations")]
    # Label Studio sets its counts late, an import of predictions resets them, and a deletion of a project stops them.
    there = [name for name in text(fields, "annotations_ids").split(",") if name.strip()]
    return Task(
        id=id_,
        data=clean(mapping(fields.get("data", {}), "data")),
        updated_at=time(fields, "updated_at"),
        annotations=annotations,
        annotated=max(sum(count for count in counts if isinstance(count, int)), len(there), len(annotations)),
        updated_by=_last_user(fields.get("updated_by")),
        fault=fault,
    )


def annotation(value: object, of_task: TaskId) -> Annotation:
    fields = mapping(value, "annotation")
    result = clean(fields.get("result"))
    lead_time = fields.get("lead_time")
    return Annotation(
        id=AnnotationId(whole(fields, "id")),
        task_id=of_task,
        result=result if isinstance(result, list) else [],
        completed_by=_user(fields.get("completed_by")),
        updated_by=_user(fields.get("updated_by")),
        was_cancelled=fields.get("was_cancelled") is True,
        ground_truth=fields.get("ground_truth") is True,
        lead_time_s=clean(float(lead_time)) if is_number(lead_time) else None,
        parent_prediction=_reference(fields.get("parent_prediction")),
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


def task_id(fields: Mapping[str, Any]) -> TaskId:
    """Return the id of the task with these fields."""
    return TaskId(whole(fields, "id"))


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text; "" for null."""
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
    """Return whether this is a whole number that fits a bigint; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _user(value: object) -> UserId | None:
    id_ = _reference(value)
    return None if id_ is None else UserId(id_)


def _last_user(value: object) -> UserId | None:
    """Return the user of a task's `updated_by`, which is a list of one: [{"user_id": 7}]."""
    found = value[0] if isinstance(value, list) and value else None
    return _user(found.get("user_id")) if isinstance(found, dict) else None


def _reference(value: object) -> int | None:
    """Return an id, or the id in the object that some responses have in its place; None if there is no id."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if is_id(value) else None

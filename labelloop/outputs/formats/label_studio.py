"""Label Studio: tasks with predictions and annotations, as its exports JSON and JSON_MIN have them, and its import.

JSON: https://labelstud.io/guide/task_format. JSON_MIN has one object for each annotation: the fields of the data, and
each control's answer under the control's name. It names people by number, and has no predictions and no names of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling import results
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.form_xml import OURS
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, time_of
from labelloop.reading import fields

KEY = OURS + "key"
"""Field in the data of a task of ours, and in the `meta` of our exports, with the output's key."""
SKIPPED = "skipped tasks, which are no answer"
NUMBERS = "predictions of which the export has only the number: make an export snapshot that includes predictions"
OLDER = "predictions of a task besides its newest"
NAMELESS = "annotations whose author is only a number: they are by `user N`"
OTHERS = "answers to controls that the loop's form does not have"
RELATIONS = "relations between regions, which stay in the stored result only"
_OF_TASK = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
"""Fields of an object of JSON_MIN that are not its data."""
_TYPES = {"Choices": "choices", "Taxonomy": "taxonomy", "Number": "number", "Rating": "rating", "TextArea": "text"}
"""Key of a region's value by the control's tag, where JSON_MIN has that value alone."""


def read(task: Row, line: int, how: How, tally: Tally) -> Item:
    """Return the item in a task of either export. Raises InvalidOutput with the path of the wrong part."""
    if isinstance(task.get("data"), Mapping):
        return _whole(task, line, how, tally)
    if "annotations" in task or "predictions" in task:
        raise InvalidOutput("data", "is missing or is no object")
    return _min(task, line, how, tally)


def _whole(task: Row, line: int, how: How, tally: Tally) -> Item:
    data = {name: value for name, value in task["data"].items() if not name.startswith(OURS)}
    meta = task.get("meta")
    own = task["data"].get(KEY) or (meta.get(KEY) if isinstance(meta, Mapping) else None) or _name(task)
    output: dict[str, Any] = {"key": how.key_of(task, own), "data": data}
    annotations = [*_objects(task, "annotations"), *_objects(task, "completions")]
    if how.as_predictions:
        _predict(output, annotations, how, tally)
    else:
        _predict(output, _predictions(task, tally), how, tally)
    answers = []
    for i, one in enumerate([] if how.as_predictions else annotations):
        if one.get("was_cancelled"):
            tally[SKIPPED] += 1
            continue
        answers.append(_given(f"annotations[{i}]", one, how, tally))
    return Item(line, output, answers)


def _predictions(task: Row, tally: Tally) -> list[Row]:
    """Return the predictions; the usual export has only their numbers."""
    found = task.get("predictions") or []
    if isinstance(found, list) and all(isinstance(one, int) for one in found):
        tally[NUMBERS] += len(found)
        return []
    return _objects(task, "predictions")


def _name(task: Row) -> str | None:
    """Return the task's name in its Label Studio: the number of its project and its own; None without a number."""
    id_, project = task.get("id"), task.get("project")
    if not isinstance(id_, int | str):
        return None
    return f"task/{project}/{id_}" if isinstance(project, int | str) else f"task/{id_}"


def _predict(output: dict[str, Any], predictions: Sequence[Row], how: How, tally: Tally) -> None:
    """Add the newest prediction to the output."""
    made = [one for one in predictions if isinstance(one.get("result"), list) and one["result"]]
    if not made:
        return
    newest = max(made, key=lambda one: (str(one.get("updated_at") or one.get("created_at") or ""), _number(one)))
    tally[OLDER] += len(made) - 1
    score = newest.get("score")
    result = _renamed(newest["result"], how)
    chosen = _choice(result, how, tally)
    if chosen is None:
        output["result"] = result
    else:
        output["label"] = chosen
    if isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1:
        output["score" if chosen is None else "confidence"] = score
    version = newest.get("model_version") or how.model_version
    if version:
        output["model_version"] = str(version)[: fields.MAX_WORD]
    if at := time_of("predictions", newest.get("created_at")):
        output["produced_at"] = at.isoformat()


def _number(one: Row) -> int:
    return id_ if isinstance(id_ := one.get("id"), int) else 0


def _given(path: str, one: Row, how: How, tally: Tally) -> Given:
    result = one.get("result")
    if not isinstance(result, list):
        raise InvalidOutput(f"{path}.result", "is missing or is no list")
    tally[RELATIONS] += any(isinstance(region, Mapping) and region.get("type") == "relation" for region in result)
    person, name = _person(one.get("completed_by"), tally)
    created = time_of(f"{path}.created_at", one.get("created_at"))
    lead = one.get("lead_time")
    renamed = _renamed(result, how)
    chosen = _choice(renamed, how, tally)
    return Given(
        person,
        answer=chosen,
        result=renamed if chosen is None else None,
        created_at=created,
        updated_at=time_of(f"{path}.updated_at", one.get("updated_at")) or created,
        lead_time_s=float(lead) if isinstance(lead, int | float) and not isinstance(lead, bool) else None,
        name=name,
    )


def _person(by: object, tally: Tally) -> tuple[str | None, str | None]:
    """Return the login and the name of an annotation's author."""
    if isinstance(by, Mapping):
        email = by.get("email") or by.get("username")
        name = " ".join(str(by[part]) for part in ("first_name", "last_name") if by.get(part))
        if isinstance(email, str) and email:
            return email, name or None
        by = by.get("id")
    if by is None or isinstance(by, bool):
        return None, None
    tally[NAMELESS] += 1
    return f"user {by}", None


def _renamed(result: Sequence[Any], how: How) -> list[dict[str, Any]]:
    """Return the regions with the loop's names of their controls."""
    regions = [dict(region) for region in result if isinstance(region, Mapping)]
    for region in regions:
        name = region.get("from_name")
        if isinstance(name, str) and name in how.controls:
            region["from_name"] = how.controls[name]
            control = next((one for one in how.config.controls if one.name == region["from_name"]), None)
            if control is not None and region.get("to_name") not in control.objects:
                region["to_name"] = control.objects[0]
    return regions


def _choice(result: Sequence[Row], how: How, tally: Tally) -> str | None:
    """Return the only choice of another form, as an answer of the generated form; None for any other result.

    The generated form asks for a verdict, or for the likeliest labels, before the correction. Other forms have neither.
    Raises InvalidOutput if several controls have choices.
    """
    config = how.config
    if config.answer.name != "correction" or config.answer.kind is not Kind.LABEL:
        return None
    ours = [one for one in (config.verdict, config.quick) if one is not None]
    if any(region.get("from_name") in [one.name for one in ours] for region in result):
        return None
    choices = [region for region in result if region.get("type") == "choices"]
    named = [region for region in choices if region.get("from_name") == config.answer.name] or choices
    if len(names := sorted({str(region.get("from_name")) for region in named})) > 1:
        raise InvalidOutput(
            "result",
            f"{' and '.join(map(repr, names))} have choices, and this loop has one answer: name the control that has "
            f"it, such as --control {names[0]}={config.answer.name}",
        )
    if len(named) != 1:
        return None
    value = named[0].get("value")
    chosen = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(chosen, list) or len(chosen) != 1 or not isinstance(chosen[0], str):
        return None
    tally[OTHERS] += len(result) - 1
    return chosen[0]


def _objects(task: Row, name: str) -> list[Row]:
    found = task.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InvalidOutput(name, "must be a list of objects")
    return found


# -- JSON_MIN ----------------------------------------------------------------------------------------------------


def _min(task: Row, line: int, how: How, tally: Tally) -> Item:
    named = {how.controls.get(name, name): name for name in task}
    result: list[dict[str, Any]] = []
    of_controls = set()
    for control in how.config.controls:
        if (name := named.get(control.name)) is not None:
            of_controls.add(name)
            result += _regions(control, task[name])
    hidden = {*_OF_TASK, *of_controls}
    data = {name: value for name, value in task.items() if name not in hidden and not name.startswith(OURS)}
    own = task.get(KEY) or _name(task)
    output: dict[str, Any] = {"key": how.key_of(task, own), "data": data}
    if not result and "annotation_id" not in task:
        return Item(line, output)
    if not result and how.config.answer.name == "correction":
        raise InvalidOutput(
            "",
            "no field has the name of a control of this loop's form. Name the one with the answers, such as "
            f"--control label={how.config.answer.name}; there are: {', '.join(name for name in data)}",
        )
    if how.as_predictions:
        _predict(output, [{"result": result}], how, tally)
        return Item(line, output)
    given = {name: task.get(name) for name in ("created_at", "updated_at", "lead_time")}
    return Item(
        line, output, [_given("", {"result": result, "completed_by": task.get("annotator"), **given}, how, tally)]
    )


def _regions(control: ControlTag, value: Any) -> list[dict[str, Any]]:
    """Return the regions of a control from its value in JSON_MIN: one value, several, or regions with their labels."""
    where = {"from_name": control.name, "to_name": control.objects[0]}
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        type_ = control.tag.lower()
        return [{**where, "id": f"r{i}", "type": type_, "value": dict(one)} for i, one in enumerate(value)]
    held = _TYPES.get(control.tag)
    if held is None or value in (None, "", []):
        return []
    type_ = control.tag.lower()
    if isinstance(value, Mapping):  # {"choices": ["a", "b"]}, as several choices are written
        value = value.get(held, value)
    if held in ("choices", "text") and not isinstance(value, list):
        value = [value]
    if held == "taxonomy" and isinstance(value, list) and not all(isinstance(one, list) for one in value):
        value = [value]
    return [{**where, "id": "r0", "type": type_, "value": {held: value}}]


# -- writing -----------------------------------------------------------------------------------------------------


def write(row: Row, how: How, *, each_person: bool) -> dict[str, Any]:
    """Return an answered output as a task that Label Studio imports.

    The consensus is one annotation without an author; with `each_person` each person's answer is one. `row` is as in
    labelloop/outputs/formats/rows.py.
    """
    config, model = how.config, row["model_label"]
    task: dict[str, Any] = {"data": dict(row["data"]), "meta": {KEY: row["key"]}}
    predicted = row["result"] or results.encode(config, model, model)
    if predicted:
        prediction = {"model_version": row["model_version"] or "pipeline", "result": predicted}
        task["predictions"] = [prediction | ({} if row["confidence"] is None else {"score": row["confidence"]})]
    if each_person:
        task["annotations"] = [_annotation(one, how, model) for one in row["answers"]]
    else:
        task["annotations"] = [{"result": results.encode(config, row["answer"], model), "ground_truth": False}]
    return task


def _annotation(one: Row, how: How, model: str | None) -> dict[str, Any]:
    result = one["result"] or results.encode(how.config, one["label"], model)
    made: dict[str, Any] = {"result": result, "completed_by": {"email": one["person"]}}
    if one["lead_time_s"] is not None:
        made["lead_time"] = one["lead_time_s"]
    for name in ("created_at", "updated_at"):
        at = one[name]
        made[name] = at.isoformat() if isinstance(at, datetime) else at
    return made

"""Signposts: what tells people in Label Studio where they are and what to press: description, instruction and tab.

People may write their own words around ours, and choose their own columns. What is ours is known by being, to the
letter, what we write today or wrote formerly; whatever else stands there is theirs, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.spec import LoopSpec
from labelloop.tasks import BATCH, KEY, OUTPUT, SIGNATURE, WHY

DESCRIPTION = (
    "Filled and read by labelloop. Open it and press Label All Tasks: you are asked what a model learns most from, "
    "with its guess filled in. Keep this mark: "
)
"""Our mark follows. The list of projects shows about 150 characters."""
FORMER_DESCRIPTIONS = ("Filled and read by labelloop. Keep this mark: ",)
INSTRUCTION = (
    "<p>Press <b>Label All Tasks</b>. It serves the task whose answer teaches the model most, to you alone. "
    "<b>Label Tasks As Displayed</b> and the rows of the table show one task to several people.</p>"
    "<p>The answer that is filled in is the model's guess. Look at the item first: you are asked because the guess is "
    "often wrong. <b>Submit</b> what is right; <b>Skip</b> what nobody could answer.</p>"
)
FORMER_INSTRUCTIONS = (
    "Press <b>Label All Tasks</b>: it serves the most informative task first, and each task to one person.",
)
TAB = "Most informative first"
ORDERING = ["tasks:predictions_score"]
FILTERS = {
    "conjunction": "and",
    "items": [{"filter": "filter:tasks:completed_at", "operator": "empty", "type": "Datetime", "value": True}],
}
"""The tasks that somebody is still asked for."""
OTHERS = (
    *("inner_id", "completed_at", "cancelled_annotations", "total_predictions", "annotations_results"),
    *("annotations_ids", "predictions_model_versions", "predictions_results", "file_upload", "storage_filename"),
    *("created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists"),
)
"""Columns of Label Studio's own that say nothing about what to answer next."""
TECHNICAL = (OUTPUT, BATCH, KEY, SIGNATURE)
WIDTHS = {f"tasks:data.{WHY}": 320}
NARROW = ("id", "annotators", "predictions_score")
"""Columns with no room beside a task that is open."""


def description(mark: str) -> str:
    return DESCRIPTION + mark


def words(project: Project) -> dict[str, str]:
    """What of the project's words is to be changed, and into what."""
    wanted = {
        "description": (project.description, _renewed(project.description, DESCRIPTION, FORMER_DESCRIPTIONS)),
        "expert_instruction": (
            project.instruction,
            _renewed(project.instruction, INSTRUCTION, FORMER_INSTRUCTIONS) or INSTRUCTION,
        ),
    }
    return {name: want for name, (has, want) in wanted.items() if has != want}


def _renewed(has: str, ours: str, former: Sequence[str]) -> str:
    if ours not in has:
        for words in former:
            if words in has:
                return has.replace(words, ours, 1)
    return has


def keep_tab(gateway: Gateway, project: Project, spec: LoopSpec) -> None:
    """One tab of our title, in our order and with our filter; its columns are people's once it is there.

    Who wants another order or filter makes a tab of another title.
    """
    standing = [view for view in gateway.views(project.id) if view.title == TAB]
    if not standing:
        gateway.create_view(project.id, _tab(spec, {}))
    elif (wanted := _tab(spec, standing[0].data)) != standing[0].data:
        gateway.update_view(standing[0].id, wanted)
    for double in standing[1:]:  # two looked at the same time
        gateway.delete_view(double.id)


def _tab(spec: LoopSpec, has: Mapping[str, Any]) -> dict[str, Any]:
    ours = {"type": "list", "target": "tasks", "title": TAB, "ordering": ORDERING, "filters": FILTERS}
    return {"hiddenColumns": hidden_columns(spec), "columnsWidth": WIDTHS, **has, **ours}


def hidden_columns(spec: LoopSpec) -> dict[str, list[str]]:
    """Label Studio shows every column that is not named here, also one of a field that comes later."""
    technical = [f"data.{name}" for name in TECHNICAL if name not in spec.config.data_fields]
    explore = [f"tasks:{name}" for name in (*OTHERS, *technical)]
    return {"explore": explore, "labeling": [*explore, *(f"tasks:{name}" for name in NARROW)]}

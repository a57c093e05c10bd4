"""Signposts: the texts that tell annotators in Label Studio where they are and what to press, and the tab of tasks.

People may write their own words around these texts, and choose their own columns. A text is ours only if it equals,
letter by letter, one that labelloop writes today or wrote before. All other text belongs to people and stays.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.answers.measures import metric_of
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.tasks import BATCH, BEST, KEY, OUTPUT, SIGNATURE, STATISTIC, STEPS, WHY
from labelloop.spec.loop import LoopSpec
from labelloop.store.questions.guidance import Progress
from sync.project.guide import guide

Examples = Mapping[str, Sequence[str]]
"""Texts by answer."""
PRESS = "Press Label All Tasks: you get the items whose answers help most."
KEEP = "Filled and read by labelloop. Keep this mark: "
"""The mark of the loop follows. The list of projects shows about 150 characters of a description."""
FORMER_DESCRIPTIONS = (
    (
        "Filled and read by labelloop. Open it and press Label All Tasks: you are asked what a model learns most from, "
        "with its guess filled in. Keep this mark: "
    ),
    KEEP,
)
INSTRUCTION = "".join(
    (
        "<p>Press <b>Label All Tasks</b>. You get the task whose answer helps most, and nobody else gets it ",
        "meanwhile. <b>Label Tasks As Displayed</b> and the rows of the table may show one task to several people.</p>",
        "<p>An answer that is filled in is a model's guess, and often incorrect. Look at the item first. ",
        "<b>Submit</b> the correct answer. <b>Skip</b> an item that nobody could answer, such as one whose picture is ",
        "not shown.</p>",
    )
)
OWN_TABS = "".join(
    (
        "<p>Open the tab that begins with your address, and choose <b>Label Tasks As Displayed</b> (the arrow beside ",
        "Label All Tasks): you get the tasks that are meant for you. Load the page again from time to time, for new ",
        "ones. Are there none left? Press <b>Label All Tasks</b>.</p>",
    )
)
"""In place of the first paragraph of INSTRUCTION, where tasks are shared out."""
_FORMER_INSTRUCTION = "".join(
    (
        "<p>Press <b>Label All Tasks</b>. It serves the task whose answer teaches the model most, to you alone. ",
        "<b>Label Tasks As Displayed</b> and the rows of the table show one task to several people.</p>",
        "<p>An answer that is filled in is a model's guess. Look at the item first: you are asked because the guess ",
        "is often wrong. <b>Submit</b> what is right; <b>Skip</b> what nobody could answer.</p>",
    )
)
FORMER_INSTRUCTIONS = (
    _FORMER_INSTRUCTION,
    _FORMER_INSTRUCTION.replace(
        "An answer that is filled in is a model's guess.", "The answer that is filled in is the model's guess."
    ),
    "".join(
        (
            "<p>Press <b>Label All Tasks</b>. You get the task from which the model learns most, and nobody else gets ",
            "it meanwhile. <b>Label Tasks As Displayed</b> and the rows of the table may show one task to several ",
            "people.</p><p>An answer that is filled in is a model's guess, and often incorrect. Look at the item ",
            "first. <b>Submit</b> the correct answer. <b>Skip</b> an item that nobody could answer.</p>",
        )
    ),
    "Press <b>Label All Tasks</b>: it serves the most informative task first, and each task to one person.",
)
COUNTED_UP_TO = 10_000
"""Waiting outputs are counted up to this number."""
TAB = "Most informative first"
ORDERING = ["tasks:predictions_score"]
FILTERS = {
    "conjunction": "and",
    "items": [{"filter": "filter:tasks:completed_at", "operator": "empty", "type": "Datetime", "value": True}],
}
"""The tab shows the tasks that are still open."""
OTHERS = (
    *("inner_id", "completed_at", "cancelled_annotations", "total_predictions", "annotations_results"),
    *("annotations_ids", "predictions_model_versions", "predictions_results", "file_upload", "storage_filename"),
    *("created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists"),
)
"""Label Studio's own columns that do not help to choose or answer a task."""
TECHNICAL = (OUTPUT, BATCH, KEY, SIGNATURE)
WIDTHS = {f"tasks:data.{WHY}": 380, f"tasks:data.{STATISTIC}": 160}
NARROW = ("id", "annotators", "predictions_score")
"""Columns for which there is no room beside an open task."""


def words(
    spec: LoopSpec, mark: str, waiting: int, progress: Progress | None = None, examples: Examples | None = None
) -> dict[str, str]:
    """Return the project's title, description and instruction. `waiting`: how many outputs wait outside the window.

    `examples` are texts of the instruction's guide, by answer.
    """
    return {
        "title": spec.title or _title(spec.name),
        "description": f"{_waiting(waiting)} {_progress(spec, progress)}{spec.description or PRESS} {KEEP}{mark}",
        "expert_instruction": instruction(spec) + guide(spec, examples or {}),
    }


def instruction(spec: LoopSpec) -> str:
    """Return the instruction without the guide to the labels."""
    says = spec.instruction if "<" in spec.instruction else f"<p>{html.escape(spec.instruction)}</p>"
    ours = INSTRUCTION if spec.people is None else OWN_TABS + INSTRUCTION[INSTRUCTION.index("</p>") + 4 :]
    return (says if spec.instruction else "") + ours


def _title(loop: str) -> str:
    """Return a title of at least three letters, as Label Studio requires."""
    return loop if len(loop) >= 3 else f"loop {loop}"


def _waiting(n: int) -> str:
    """Round to two digits, so that a small change does not change the text."""
    if n > COUNTED_UP_TO:
        return f"More than {COUNTED_UP_TO:,} items wait."
    if n >= 100:
        return f"About {_two_digits(n):,} items wait."
    return f"{n} items wait." if n > 1 else "One item waits." if n else "All waiting items are here."


def _progress(spec: LoopSpec, progress: Progress | None) -> str:
    """Return what people's answers brought, with a blank after it; "" until a model was measured twice."""
    found = None if progress is None else progress.since(None)
    if progress is None or found is None:
        return ""
    was, now = (f"{100 * share:.0f}" for share in found)
    n = progress.answers
    what = "mean item score" if metric_of(spec.config.answer) == "score" else "accuracy"
    return f"{_two_digits(n):,} answers so far: the model's {what} went from {was} to {now} %. "


def _two_digits(n: int) -> int:
    return n if n < 100 else round(n, 2 - len(str(n)))


def changed(spec: LoopSpec, project: Project, wanted: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """Return the project's texts that must change, with their new values. `written`: our last texts."""
    has = _texts(project)
    formerly: Mapping[str, Sequence[str]] = {
        "title": [_title(spec.name)],
        # A description ends with our mark.
        "description": [former + wanted["description"].rpartition(KEEP)[2] for former in FORMER_DESCRIPTIONS],
        "expert_instruction": FORMER_INSTRUCTIONS,
    }
    found = {}
    for name, want in wanted.items():
        ours = filter(None, (written.get(name), *formerly.get(name, ())))
        mine = next((words for words in ours if words == has[name] or (name != "title" and words in has[name])), None)
        if not has[name]:
            found[name] = want
        elif mine not in (None, want) and (want not in has[name] or want in str(mine)):
            found[name] = has[name].replace(str(mine), want, 1)
    return found


def ours(project: Project, wanted: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """Return our texts in the project after its update: the wanted ones; our last one where people's text stays."""
    has = _texts(project)
    return {name: want if want in has[name] else written.get(name, want) for name, want in wanted.items()}


def _texts(project: Project) -> dict[str, str]:
    return {"title": project.title, "description": project.description, "expert_instruction": project.instruction}


def keep_tab(gateway: Gateway, project: Project, spec: LoopSpec) -> None:
    """Keep one tab with our title, order and filter. Once it exists, people choose its columns.

    People who want another order or filter make a tab with another title.
    """
    standing = [view for view in gateway.views(project.id) if view.title == TAB]
    if not standing:
        gateway.create_view(project.id, _tab(project, spec, {}))
    elif (wanted := _tab(project, spec, standing[0].data)) != standing[0].data:
        gateway.update_view(standing[0].id, wanted)
    for double in standing[1:]:  # two checks at the same time made one each
        gateway.delete_view(double.id)


def _tab(project: Project, spec: LoopSpec, has: Mapping[str, Any]) -> dict[str, Any]:
    # Without tasks Label Studio cannot order by a score, and shows an error instead of an empty list.
    ordering = ORDERING if project.tasks else []
    ours = {"type": "list", "target": "tasks", "title": TAB, "ordering": ordering, "filters": FILTERS}
    return {"hiddenColumns": hidden_columns(spec), "columnsWidth": WIDTHS, **has, **ours}


def hidden_columns(spec: LoopSpec) -> dict[str, list[str]]:
    """Return the columns to hide. Label Studio shows all others, those of later fields too."""
    lists = ((BEST, spec.config.shows_best), (STEPS, spec.config.shows_steps))
    ours = (*TECHNICAL, *(name for name, there in lists if there))
    technical = [f"data.{name}" for name in ours if name not in spec.config.data_fields]
    explore = [f"tasks:{name}" for name in (*OTHERS, *technical)]
    return {"explore": explore, "labeling": [*explore, *(f"tasks:{name}" for name in NARROW)]}

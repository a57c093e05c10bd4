"""The tab of adjudicators: the tasks on which people differ, and those that everybody skipped.

Their tasks are closed or seen by all, so the button Label All Tasks serves them to nobody else. An adjudicator opens
them from the tab's list, and sees there what others answered. The tab names one annotation of each task: Label Studio
has no field for what labelloop knows about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from labelloop.labelstudio.answers import View
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.opinions import unsettled
from sync.project.signposts import hidden_columns

TAB = "Adjudicate"
FILTER = "filter:tasks:annotations_ids"
MOST = 200
"""Tasks in the tab; the others come into it when some of these have an answer."""


def is_ours(view: View) -> bool:
    """Whether its only filter is the one that labelloop writes: a tab of people with this title stays theirs."""
    items = (view.data.get("filters") or {}).get("items") or []
    return view.title == TAB and [one.get("filter") for one in items] == [FILTER]


def keep_tab(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, tabs: Iterable[View]) -> None:
    """Keep one tab with the tasks that wait for an adjudicator, while the loop has adjudicators.

    `tabs`: those that the project has.
    """
    standing = [view for view in tabs if is_ours(view)]
    if not spec.adjudicators:
        for view in standing:
            gateway.delete_view(view.id)
        return
    with database.transaction() as conn:
        rows = unsettled.disputed(conn, spec.name, MOST)
        rows += unsettled.skipped_by_all(conn, spec.name, spec.adjudicators, MOST - len(rows))
    named = [str(row.annotation_id) for row in rows if row.annotation_id is not None]
    # No annotation has the number 0: a filter without a value would show all tasks.
    tasks = {
        "filter": FILTER,
        "operator": "contains",
        "type": "String",
        "value": ",".join(named) or "0",
    }
    ours = {
        "type": "list",
        "target": "tasks",
        "title": TAB,
        "filters": {"conjunction": "and", "items": [tasks]},
    }
    if not standing:
        gateway.create_view(project.id, {"hiddenColumns": hidden_columns(spec), **ours})
    elif {name: standing[0].data.get(name) for name in ours} != ours:
        gateway.update_view(standing[0].id, {**standing[0].data, **ours})
    for double in standing[1:]:  # two pushes at the same time made one each
        gateway.delete_view(double.id)

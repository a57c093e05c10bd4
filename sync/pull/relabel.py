"""Relabel: a change of a loop's labels, and all that follows from it in the tables, in one transaction.

The files of the loop are changed before. If the process is killed between the two, the same command finishes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.errors import Failed
from labelloop.labeling.changing import Wanted
from labelloop.labeling.controls import ControlTag, Former
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.pipelines import label_changes
from labelloop.store.pipelines.label_changes import GIVEN
from labelloop.store.tables import jobs, loops, projects
from sync.pull.distrust import resolve_everywhere

logger = logging.getLogger(__name__)
RESOLVED_AT_ONCE = 500
"""Outputs that are resolved at a time."""


@dataclass(frozen=True, slots=True)
class Relabelled:
    outputs: int
    """Outputs whose pipeline's label or known answer reads otherwise now."""
    answers: int
    """Answers that are new, changed or taken back."""


def relabel(
    database: Database,
    spec: LoopSpec,
    wanted: Wanted,
    created: Sequence[str],
    says: Mapping[str, Former | None],
    files: Mapping[str, Mapping[str, str]],
    by: str,
    why: str,
    undoes: int | None = None,
    seen: int = 0,
) -> Relabelled:
    """Store the change, register the loop's new files (`spec`), and give every table the labels of today.

    Pushes and answers of the loop wait for it. `seen`: the newest change of the labels that the plan knew. Raises
    SpecError, and changes nothing, if the files cannot be registered; Failed if there is a newer change.
    """
    with database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        # In the order of `take_in`: answers first, then the push that may be claiming an output now.
        projects.lock_hop(conn, spec.name, "answers")
        projects.lock_hop(conn, spec.name, "push")
        if label_changes.newest(conn, spec.name) != seen:
            raise Failed("the labels have been changed meanwhile: nothing was done, run it again")
        label_changes.add(
            conn, spec.name, wanted.kind, wanted.labels, wanted.becomes, created, says, files, undoes, by, why
        )
        _tell_record(conn)
        spec = loops.register(conn, spec)
        touched = sorted({*wanted.labels, *wanted.becomes, *created, *says})
        done = _retell(conn, spec, touched, again=True)
        if spec.learner.is_trained:
            jobs.ask_for_more(conn, spec)
        for job in (jobs.PRELABEL, jobs.PUSH, jobs.OPINIONS):
            jobs.ask(conn, job, spec.name)
    logger.info("loop %s: %s", spec.name, wanted.words, extra={"report": done})
    return done


def retell(database: Database, spec: LoopSpec) -> Relabelled:
    """Give today's labels to what a program that still knew the old form has stored since. Mostly there is nothing."""
    if not spec.former_labels:
        return Relabelled(0, 0)
    with database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        projects.lock_hop(conn, spec.name, "answers")
        projects.lock_hop(conn, spec.name, "push")
        _tell_record(conn)
        return _retell(conn, spec, sorted(spec.former_labels), again=False)


def _retell(conn: Conn, spec: LoopSpec, touched: Sequence[str], *, again: bool) -> Relabelled:
    """`again`: also look at what other changes were about, because this one may undo them."""
    control = spec.config.answer
    outputs = _outputs(conn, spec, touched, again)
    label_changes.write_prelabels(conn, spec.name, {label: control.today(label) for label in touched}, outputs)
    ids, answers = label_changes.unsettled(conn, spec.name, touched, outputs, again=again), 0
    for at in range(0, len(ids), RESOLVED_AT_ONCE):
        answers += resolve_everywhere(conn, spec, ids[at : at + RESOLVED_AT_ONCE])
    return Relabelled(len(outputs), answers)


def _tell_record(conn: Conn) -> None:
    """Give the record the reason of all that this transaction changes from now on."""
    conn.execute("select set_config('labelloop.reason', %s, true)", [label_changes.REASON])


def _outputs(conn: Conn, spec: LoopSpec, touched: Sequence[str], again: bool) -> list[UUID]:
    """Give outputs the labels of today, from what their pipelines sent; return those that changed."""
    found, after, page = list[UUID](), None, [{"id": UUID(int=0)}]
    while page := label_changes.given(conn, spec.name, touched, after, again=again):
        after = page[-1]["id"]
        changed = [new for row in page if (new := told(spec.config.answer, row)) != row]
        label_changes.write_given(conn, changed)
        found += [row["id"] for row in changed]
    return found


def told(control: ControlTag, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an output with the labels of today, and in `as_given` the values that were sent if they differ.

    Probabilities of labels that became one are added. Labels that became several, or none, are left out; an output
    whose own label is one of these has none.
    """
    sent = row["as_given"] or {name: row[name] for name in GIVEN}
    now = {**sent, "label": control.today(sent["label"]), "gold": control.today(sent["gold"])}
    if sent["probabilities"] is not None:
        shares: dict[str, float] = {}
        for label, share in sent["probabilities"].items():
            if (to := control.today(label)) is not None:
                shares[to] = min(1.0, shares.get(to, 0.0) + share)
        now["probabilities"] = shares or None
        if shares and now["label"] is not None:
            now["confidence"] = max(shares.values())
            now["label"] = min(label for label, share in shares.items() if share == now["confidence"])
    if sent["result"] is not None:
        now["result"] = [one for region in sent["result"] if (one := _region(control, region)) is not None]
    if now["label"] is None:
        now["confidence"] = None
    return {"id": row["id"], "as_given": None if now == sent else sent, **now}


def _region(control: ControlTag, region: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a region of the pipeline's own result with the labels of today; None if none of its labels is left."""
    value = region.get("value")
    chosen = value.get("choices") if isinstance(value, dict) else None
    if region.get("from_name") != control.name or not isinstance(chosen, list):
        return dict(region)
    left = [to for one in chosen if (to := control.today(one) if isinstance(one, str) else one) is not None]
    return {**region, "value": {**region["value"], "choices": left}} if left else None

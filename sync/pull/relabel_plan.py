"""Plan: what follows from a change of a loop's labels, before it is carried out. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.errors import UsageError
from labelloop.labeling.changing import Wanted, check, check_supported, is_done
from labelloop.labeling.controls import Former
from labelloop.labeling.former import ChangeKind, LabelChange, in_force, newest_to_undo, undone
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.relabel import relabelled
from labelloop.store.database import Conn
from labelloop.store.pipelines import label_changes
from labelloop.store.pipelines.label_changes import Counts
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store

YAML, XML = "loop.yaml", "labels.xml"
OF_LABELS = {"labels", "labels_xml", "definitions", "former_labels", "budget", "examples", "judge"}
"""Keys of a spec that a change of labels may change."""


@dataclass(frozen=True, slots=True)
class Plan:
    loop: str
    wanted: Wanted
    created: Sequence[str]
    says: Mapping[str, Former | None]
    files: Mapping[str, Mapping[str, str]]
    """The files that change, each with its text `before` and `after`."""
    spec: LoopSpec
    """The spec by the changed files."""
    counts: Counts
    versions: Sequence[str]
    """Versions that know one of the labels."""
    seen: int = 0
    """The newest change of the labels."""
    also: Sequence[str] = ()
    """Other keys that the files change as well."""
    undoes: int | None = None
    done: str | None = None
    """Why nothing is left to do in the tables, as a sentence; None if something is. Files may be left to change."""


def plan(conn: Conn, loop: str, texts: Mapping[str, str], wanted: Wanted, control: str | None) -> Plan:
    """Return what follows. `texts`: the files of the loop by name. Raises UsageError or SpecError if it cannot be."""
    spec, changes = _registered(conn, loop), label_changes.list_(conn, loop)
    check_supported(spec.config, control)
    disk = _parsed(loop, texts)
    if is_done(wanted, spec.labels, changes):
        return _done(conn, spec, texts, wanted, changes)
    created = check(wanted, spec.labels, label_changes.labels_of_forms(conn, loop), changes)
    removed = [label for label in wanted.labels if label not in wanted.becomes and label in disk.labels]
    added = [label for label in wanted.becomes if label not in disk.labels]
    rename = wanted.kind is ChangeKind.RENAME
    after = relabelled(loop, texts[YAML], texts.get(XML, ""), removed, added, rename=rename and bool(removed))
    return Plan(
        loop,
        wanted,
        created,
        wanted.says(created, changes),
        _changed(texts, after[0], after[1]),
        after[2],
        label_changes.counts(conn, loop, wanted.labels),
        _versions(conn, loop, wanted.labels),
        seen=_newest(changes),
        also=_also(spec, after[2]),
    )


def _done(conn: Conn, spec: LoopSpec, texts: Mapping[str, str], wanted: Wanted, changes: Sequence[LabelChange]) -> Plan:
    """Return the plan of a change that the tables have already: the files may still have the old labels."""
    disk, former = _parsed(spec.name, texts), in_force(changes)
    removed = [label for label in wanted.labels if label not in spec.labels and label in disk.labels]
    became = dict.fromkeys(to for label in removed for to in former[label].to)
    added = [label for label in became if label in spec.labels and label not in disk.labels]
    rename = len(removed) == len(added) == 1 and wanted.kind is ChangeKind.RENAME
    after = (texts[YAML], texts.get(XML, ""), spec)
    if removed:
        after = relabelled(spec.name, texts[YAML], texts.get(XML, ""), removed, added, rename=rename)
    return Plan(
        spec.name,
        wanted,
        (),
        {},
        _changed(texts, after[0], after[1]),
        after[2],
        label_changes.counts(conn, spec.name, []),
        (),
        seen=_newest(changes),
        done=f"It is so already: {wanted.words}.",
    )


def plan_of_undo(conn: Conn, loop: str, texts: Mapping[str, str]) -> Plan:
    """Return what follows if the newest change in force is undone. Raises UsageError if there is none."""
    spec, changes = _registered(conn, loop), label_changes.list_(conn, loop)
    change = newest_to_undo(changes)
    if change is None:
        raise UsageError(f"no change of the labels of loop {loop!r} is in force: there is nothing to undo")
    wanted = Wanted(ChangeKind.UNDO, tuple(change.becomes or change.labels), tuple(change.labels))
    if change.files and all(texts.get(name) == change.files[name]["after"] for name in change.files):
        before = {name: change.files[name]["before"] if name in change.files else texts[name] for name in texts}
        after = (before[YAML], before.get(XML, ""), _parsed(loop, before))
    else:
        disk = _parsed(loop, texts)
        removed = [label for label in change.created if label in disk.labels]
        added = [label for label in change.labels if label not in disk.labels]
        rename = change.kind is ChangeKind.RENAME and bool(removed)
        after = relabelled(loop, texts[YAML], texts.get(XML, ""), removed, added, rename=rename)
    says = undone(change, [one for one in changes if one.id < change.id])
    touched = sorted({*change.labels, *change.becomes, *change.created})
    return Plan(
        loop,
        wanted,
        [label for label in change.labels if label not in spec.labels],
        says,
        _changed(texts, after[0], after[1]),
        after[2],
        label_changes.counts(conn, loop, touched),
        _versions(conn, loop, touched),
        seen=_newest(changes),
        also=_also(spec, after[2]),
        undoes=change.id,
    )


def _also(spec: LoopSpec, after: LoopSpec) -> list[str]:
    """Return the keys that differ between the two specs, without those that name labels."""
    now, then = spec.to_json(), after.to_json()
    return sorted(name for name in now if now[name] != then[name] and name not in OF_LABELS)


def _newest(changes: Sequence[LabelChange]) -> int:
    return changes[-1].id if changes else 0


def _registered(conn: Conn, loop: str) -> LoopSpec:
    spec = loops.get(conn, loop)
    assert spec is not None
    return spec


def _parsed(loop: str, texts: Mapping[str, str]) -> LoopSpec:
    return parse(loop, texts[YAML].removeprefix("\ufeff"), texts.get(XML, "").removeprefix("\ufeff"))


def _changed(texts: Mapping[str, str], yaml: str, xml: str) -> dict[str, dict[str, str]]:
    after = {YAML: yaml, XML: xml}
    return {name: {"before": text, "after": after[name]} for name, text in texts.items() if text != after[name]}


def _versions(conn: Conn, loop: str, labels: Sequence[str]) -> list[str]:
    return [str(row.id) for row in version_store.list_(conn, loop) if set(row.classes) & set(labels)]

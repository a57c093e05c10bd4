"""The names that the record itself must not hold: labels, keys and people, as the rows have them now.

So a story shows nothing that `labelloop forget` has removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from labelloop.labeling.former import ChangeKind, words
from labelloop.store.database import Conn
from labelloop.store.record.entries import Entry

_NAMES = """
    select 'answers' as of, seq::text as key, label as name from answers where seq::text = any(%(answers)s)
    union all
    select 'feedback', id::text, label from feedback where id::text = any(%(feedback)s)
    union all
    select 'outputs', id::text, key from outputs where id = any(%(outputs)s::uuid[])
    union all
    select 'forgotten outputs', key, 'yes' from record_entries
    where what = 'outputs' and operation = 'forget' and key = any(%(outputs)s::uuid[]::text[])
    union all
    select 'reviewers', id::text, coalesce(email, name) from reviewers where id = any(%(reviewers)s::uuid[])
    union all
    select 'annotation_versions', v.seq::text, coalesce(p.email, p.name) from annotation_versions v
    join reviewers p on p.instance = v.instance and p.label_studio_user_id = coalesce(v.updated_by, v.completed_by)
    where v.seq = any(%(versions)s)
    union all
    select 'outputs of versions', v.seq::text, o.key from annotation_versions v join outputs o on o.id = v.output_id
    where v.seq = any(%(versions)s)
    union all
    select 'deletions', seq::text, 'yes' from annotation_versions where seq = any(%(versions)s) and deleted
    union all
    select 'annotations', seq::text, annotation_id::text from annotation_versions
    where seq = any(%(versions)s) and task_id <> 0
    union all
    select 'alerts', id::text, person from alerts where id::text = any(%(alerts)s)
    union all
    select 'access_tokens', id::text, name from access_tokens where id::text = any(%(tokens)s)
"""
_CHANGES = """
    select id, kind, labels, becomes, why from label_changes where loop = any(%(loops)s) or id::text = any(%(ids)s)
"""
_WHEN = """
    select id, key, actor, loop from record_entries
    where what = 'label_changes' and operation = 'insert' and loop = any(%(loops)s) order by id
"""


@dataclass(frozen=True, slots=True)
class LabelsChanged:
    """A change of labels, as its entry and its row tell it."""

    entry: int
    actor: int
    loop: str
    words: str
    why: str


@dataclass(slots=True)
class Names:
    """Names by table and key, and the changes of labels that the entries may follow from."""

    of: dict[tuple[str, str], str] = field(default_factory=dict)
    changes: list[LabelsChanged] = field(default_factory=list)
    newest: set[int] = field(default_factory=set)
    """Ids of the entries whose row is as they left it: only of these the row has the label."""

    def get(self, table: str, key: object) -> str | None:
        return self.of.get((table, str(key)))

    def person(self, reviewer: object) -> str:
        return self.get("reviewers", reviewer) or "a person"

    def output(self, id_: object) -> str:
        return self.get("outputs", id_) or str(id_)

    def output_of(self, entry: Entry) -> str | None:
        """Return the key of the output that the entry is about; None if it is about none."""
        if entry.output is not None:
            return self.output(entry.output)
        return self.get("outputs of versions", entry.now.get("annotation_version"))

    def answer(self, version: object) -> str:
        """Return a version of an annotation in words, such as `the answer of anna@example.org (annotation 31)`."""
        annotation = self.get("annotations", version)
        number = f" (annotation {annotation})" if annotation else ""  # none over HTTP
        what = "deletion" if self.get("deletions", version) else "answer"
        return f"the {what} of {self.get('annotation_versions', version) or 'a person'}{number}"

    def is_forgotten(self, entry: Entry) -> bool:
        """Whether the content of its output was forgotten: nothing but the facts is told."""
        return self.get("forgotten outputs", entry.output) is not None

    def change_before(self, entry: Entry) -> LabelsChanged | None:
        """Return the newest change of labels before this entry if the same actor made both, else None."""
        if self.is_forgotten(entry):
            return None
        before = [one for one in self.changes if one.loop == entry.loop and one.entry < entry.id]
        return before[-1] if before and before[-1].actor == entry.actor else None


def names_for(conn: Conn, entries: Sequence[Entry]) -> Names:
    """Return the names for these entries."""
    found = Names(newest=set({(e.what, e.key): e.id for e in entries}.values()))
    rows = conn.execute(
        _NAMES,
        {
            "answers": _keys(entries, "answers"),
            "feedback": _keys(entries, "feedback"),
            "outputs": _distinct([*(e.output for e in entries), *_facts(entries, "original")]),
            "reviewers": _distinct([*_facts(entries, "reviewer"), *map(_assignee, entries)]),
            "versions": [
                int(n) for n in [*_facts(entries, "annotation_version"), *_keys(entries, "annotation_versions")]
            ],
            "alerts": _keys(entries, "alerts"),
            "tokens": _keys(entries, "access_tokens"),
        },
    )
    found.of = {(row["of"], row["key"]): row["name"] for row in rows if row["name"] is not None}
    loops = _distinct(e.loop for e in entries)
    changes = {
        str(row["id"]): row for row in conn.execute(_CHANGES, {"loops": loops, "ids": _keys(entries, "label_changes")})
    }
    for id_, row in changes.items():
        found.of["label_changes", id_] = words(ChangeKind(row["kind"]), row["labels"], row["becomes"])
    for row in conn.execute(_WHEN, {"loops": loops}):
        if (change := changes.get(row["key"])) is not None:
            what = found.of["label_changes", row["key"]]
            found.changes.append(LabelsChanged(row["id"], row["actor"], row["loop"], what, change["why"]))
    return found


def _keys(entries: Iterable[Entry], table: str) -> list[str]:
    return sorted({entry.key for entry in entries if entry.what == table})


def _facts(entries: Iterable[Entry], fact: str) -> list[str]:
    return [facts[fact] for e in entries for facts in (e.was, e.now) if facts.get(fact) is not None]


def _assignee(entry: Entry) -> str | None:
    return entry.key.partition("/")[2] if entry.what == "assignments" else None


def _distinct(values: Iterable[str | None]) -> list[str]:
    found: Collection[str] = {value for value in values if value is not None}
    return sorted(found)

"""The words of an entry, by the table that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labelloop.store.pipelines.label_changes import REASON
from labelloop.store.record.entries import Entry
from labelloop.store.record.names import Names
from labelloop.store.record.words import of_answers, of_loops, of_outputs, of_versions

Words = Callable[[Entry, Names], str]
WORDS: Mapping[str, Words] = {**of_outputs.WORDS, **of_answers.WORDS, **of_versions.WORDS, **of_loops.WORDS}
"""For each table on record, the function that tells an entry about one of its rows. The entry is no `forget`."""
NOUNS: Mapping[str, str] = {
    "answers": "an answer", "feedback": "the feedback of a person", "annotation_versions": "an annotation",
    "outputs": "the output", "tasks": "the task", "label_changes": "a change of labels", "alerts": "an alert",
    "exclusions": "an exclusion of an answer", "unreadable": "an answer that does not count",
    "adjudications": "an adjudication", "person_decisions": "a decision about a person", "outcomes": "the outcome",
    "repeats": "a repeat", "accepted": "an acceptance", "promotions": "a promotion", "decisions": "a decision",
    "retrain_runs": "a run", "access_tokens": "a token", "callbacks": "a callback", "certificates": "a certificate",
}  # fmt: skip


def words(entry: Entry, names: Names, *, whose: bool) -> str:
    """Return the entry in words. `whose`: the story is not that of its output, which is named then."""
    if entry.operation == "forget":
        text = f"what tells the content of {NOUNS.get(entry.what, entry.what)} was deleted"
    elif (tell := WORDS.get(entry.what)) is None:
        return f"{entry.what} {entry.key}: {entry.operation}"
    else:
        text = tell(entry, names)
    if whose and (key := names.output_of(entry)) is not None:
        return f"output {key}{' ' if entry.what == 'outputs' else ': '}{text}"
    return text


def why(entry: Entry, names: Names, stale: str | None) -> str | None:
    """Return the reason of the entry. `stale`: that of the entry before about the same row.

    A row may keep a reason that is not about this change: it is left out.
    """
    edited = entry.what == "outputs" and entry.operation == "update" and entry.before == entry.after
    if (edited or entry.reason == REASON) and (change := names.change_before(entry)) is not None:
        return f"{change.words}: {change.why}"
    if (edited and entry.reason == stale) or (entry.reason == REASON and names.is_forgotten(entry)):
        return None
    if entry.what in ("unreadable", "exclusions") and not (entry.now.get("open") or entry.now.get("in_force")):
        return None
    return entry.reason

"""The invariants: what always holds, how long work in progress may break it, and what repairs it."""

from __future__ import annotations

from dataclasses import dataclass

SAFE = "labelloop doctor --fix safe"
PEOPLE = "nothing repairs this by itself: "


@dataclass(frozen=True, slots=True)
class Invariant:
    id: str
    name: str
    promise: str
    """The statement that holds."""
    why: str
    """Why it matters that it does not."""
    repair: str
    look: str
    """One line of SQL or HTTP that shows a problem; {key} and {loop} are filled in."""
    in_flight: bool = False
    """Whether work in progress breaks it for a moment, so that it must be broken for `settle` seconds."""


_OUTPUT = "select * from outputs where loop = '{loop}' and key = '{key}'"
_TASKS = "GET /api/tasks/?project=PROJECT with the filter data.labelloop_key = '{key}'"
_VERSIONS = "select * from annotation_versions where annotation_id = {key} order by seq"
_OF_OUTPUT = "select t.* from TABLE t join outputs o on o.id = t.ID where o.loop = '{loop}' and o.key = '{key}'"
_RUN = "select * from run_items where run_id = '{key}'"

INVARIANTS = [
    Invariant(
        "I1",
        "states",
        "each output is in the state of its last recorded change, and each waiting output has its place in the pool",
        "a state that no recorded change explains was written by somebody else's SQL",
        PEOPLE + "find out who wrote it, then set the state back",
        f"{_OUTPUT}; select * from output_events where output_id = (the id) order by seq",
    ),
    Invariant(
        "I3",
        "one task",
        "no output has two tasks in Label Studio",
        "people answer the same item twice",
        SAFE,
        _TASKS,
        in_flight=True,
    ),
    Invariant(
        "I4",
        "tasks",
        "each open output has its task in Label Studio, which shows its item and carries its key and our signature",
        "nobody can answer the output, or people answer about another item",
        f"{SAFE}  # changed data of a task: put it back in Label Studio",
        _TASKS,
        in_flight=True,
    ),
    Invariant(
        "I5",
        "known tasks",
        "each task with our key in Label Studio is known in Postgres",
        "answers to an unknown task are not counted",
        f"{SAFE}  # a task with a wrong signature: delete it in Label Studio",
        _TASKS,
        in_flight=True,
    ),
    Invariant(
        "I6",
        "annotations",
        "each annotation in Label Studio is stored, in its newest version, and equal in every field",
        "an answer is missing, or counts in an old or changed form",
        f"{SAFE}  # a stored version that differs at the same time: restore it from a backup",
        _VERSIONS,
        in_flight=True,
    ),
    Invariant(
        "I7",
        "deletions",
        "each stored annotation that counts is still in Label Studio, and so is the task of each answered output",
        "an answer counts that somebody has deleted",
        SAFE,
        _VERSIONS,
        in_flight=True,
    ),
    Invariant(
        "I8",
        "nothing stuck",
        "no import is open longer than its grace, no output is on its way without one, and no run lacks its worker",
        "outputs or a run wait for work that nobody does",
        SAFE,
        "select * from batches where loop = '{loop}' and state in ('intent', 'sending')",
    ),
    Invariant(
        "I9",
        "champion's file",
        "the champion's file exists, has its SHA-256, and predicts in a new process what the verdict on it recorded",
        "after its next start the backend serves an older version, or none",
        "labelloop rollback --why 'its file cannot be read'  # or restore the file",
        "sha256sum MODELS/{key}.skops",
    ),
    Invariant(
        "I10",
        "served version",
        "the version that the backend serves is the recorded champion",
        "prelabels come from another version than reports say",
        "restart the backend; `labelloop doctor` says why it cannot load the champion",
        "POST /predict of the backend with no tasks and the project's id",
        in_flight=True,
    ),
    Invariant(
        "I11",
        "hold-out",
        "no run was trained on a held-out output, or on the group of an output that judged it",
        "the accuracy that the gate measured is too high",
        "labelloop retrain --loop {loop}  # and roll back the versions of these runs",
        _RUN,
    ),
    Invariant(
        "I12",
        "training labels",
        "each label that trained or judged a version is that of its recorded answer, and a label of the loop's forms",
        "a version learned an answer that nobody gave",
        "labelloop retrain --loop {loop}  # and roll back the versions of these runs",
        _RUN,
    ),
    Invariant(
        "I13",
        "verdicts",
        "each promotion follows a passed verdict on that version against that champion, or a person's decision",
        "a version serves that nobody judged",
        "labelloop rollback --loop {loop} --why 'no verdict'",
        "select * from promotions where loop = '{loop}' and epoch = {key}",
    ),
    Invariant(
        "I14",
        "champions",
        "the champion is the version of the last promotion, and each promotion begins where the one before it ended",
        "the champion changed without a promotion",
        PEOPLE + "find out who changed it, then promote the right version",
        "select * from promotions where loop = '{loop}' order by epoch",
    ),
    Invariant(
        "I15",
        "record",
        "the record is whole: its chain of hashes, the published heads, the order of its entries, and its triggers",
        "nobody can rely on what the record says",
        PEOPLE + "`labelloop audit verify` tells more; entries that wait for a seal: start the sync worker",
        "select * from record_entries where id::text = '{key}'",
    ),
    Invariant(
        "I16",
        "rows on record",
        "each row that is on record is what its newest entry says",
        "somebody changed it by SQL, and switched the triggers off",
        PEOPLE + "find out who did it, then restore the row from a backup",
        "select * from record_entries where what || ' ' || key = '{key}' order by id",
    ),
    Invariant(
        "I17",
        "predictions",
        "each open task has at most one prediction of each of our versions",
        "Label Studio may order the task by an old prediction",
        "delete the older prediction in Label Studio",
        "GET /api/predictions/?task={key}",
        in_flight=True,
    ),
    Invariant(
        "I18",
        "reasons",
        "each quarantined output, refused import, failed run and dead delivery has its reason",
        "nobody can tell what to mend",
        PEOPLE + "look into the logs of that time",
        "select * from outputs where loop = '{loop}' and state = 'quarantined' and state_reason is null",
    ),
    Invariant(
        "I19",
        "tombstones",
        "each tombstone follows a version of its annotation, and Label Studio no longer has the annotation",
        "an answer that exists does not count",
        SAFE,
        _VERSIONS,
        in_flight=True,
    ),
    Invariant(
        "I20",
        "secrets",
        "none of our secrets is in a log file or in a text that Postgres keeps",
        "a person who reads it can act as labelloop",
        "change that secret, then delete the text",
        "the place is named; the secret is not shown",
    ),
    Invariant(
        "I21",
        "own answers",
        "each answer that counts was written by its author, or by somebody whose alert a person accepted",
        "an answer counts that somebody wrote in another person's name",
        PEOPLE + "find out why it counts; `labelloop alerts --all` lists what was decided",
        _VERSIONS,
    ),
    Invariant(
        "I23",
        "feedback",
        "each feedback is what its annotation says, and each annotation that counts has its feedback",
        "reports and training use an answer that nobody gave",
        SAFE,
        _OF_OUTPUT.replace("TABLE", "feedback").replace("ID", "model_output_id"),
        in_flight=True,
    ),
    Invariant(
        "I24",
        "answers",
        "the newest answer of each output follows from its feedback, and that of an adjudicator is final",
        "pipelines and training get an answer on which people did not agree",
        SAFE,
        _OF_OUTPUT.replace("TABLE", "answers").replace("ID", "output_id"),
        in_flight=True,
    ),
    Invariant(
        "I25",
        "versions",
        "each stored version of an annotation is as it was written: its SHA-256 is that of its content",
        "what a person answered was changed after it was stored",
        PEOPLE + "restore the row from a backup",
        _VERSIONS,
    ),
    Invariant(
        "I26",
        "shares",
        "each task that a person is to answer is open, and that person has not answered it",
        "people look for tasks in vain, and others that nobody has wait",
        "labelloop push --loop {loop}",
        _OF_OUTPUT.replace("TABLE", "assignments").replace("ID", "output_id"),
        in_flight=True,
    ),
    Invariant(
        "I27",
        "archived loops",
        "nothing came into an archived loop, was pushed, pulled or trained since it was archived",
        "somebody works with a loop that people think is at rest",
        PEOPLE + "a worker or service that runs an older version, or somebody's SQL",
        "select archived_at, archived_by from loops where name = '{loop}'",
    ),
]
BY_ID = {one.id: one for one in INVARIANTS}
OF_LABEL_STUDIO = ("I3", "I4", "I5", "I6", "I7", "I17", "I19")
"""Invariants that cannot be checked without Label Studio."""

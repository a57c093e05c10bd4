"""Importing: store the items of a file with the answers of people, each once.

An item becomes an output, if its key is new, and an answer becomes a version of an annotation, like an answer over
HTTP. A file may be imported again at any time: what is stored adds nothing, and an answer that the person has changed
since stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from labelloop.answers import given as kept_answers
from labelloop.answers.annotations import Annotation, clean
from labelloop.answers.people import LONGEST_NAME, Person
from labelloop.answers.unreadable import why_unreadable
from labelloop.errors import InvalidOutput
from labelloop.labeling import kinds, results
from labelloop.labeling.config import APPROVE, REJECT
from labelloop.labeling.controls import Kind
from labelloop.outputs import fitting, reading
from labelloop.outputs.formats.items import Bad, Given, Item
from labelloop.queue import lanes
from labelloop.reading import fields as fields_
from labelloop.reading import paths, quick_json, strict_json
from labelloop.reading.ids import AnnotationId, UserId
from labelloop.reading.plain import plain
from labelloop.spec.loop import LoopSpec
from labelloop.spec.trigger import Trigger
from labelloop.store.database import Conn
from labelloop.store.pipelines import direct, imported
from labelloop.store.pipelines.imported import Known, Version
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import projects
from labelloop.store.tables.outputs import Row
from sync.answering.feedback import reviewer_of
from sync.intake import taking
from sync.pull.resolve import resolve

PREDICTED = ("label", "probabilities", "result", "evidence")
AHEAD = timedelta(days=1)
"""An answer from further in the future is refused: no later answer of the person could replace it."""
MAX_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class Ready:
    """An item that fits its loop."""

    line: int
    row: Row
    predicted: bool
    """Whether the file has a prediction about it."""
    answers: list[Given]

    @property
    def key(self) -> str:
        return self.row.output.key


@dataclass(slots=True)
class Imported:
    """Counts of an import."""

    outputs: int = 0
    """Outputs that are new."""
    known: int = 0
    """Items whose output was stored before."""
    answers: int = 0
    """Answers that are new."""
    answers_known: int = 0
    """Answers that were stored before, or that are older than the person's stored one."""
    predictions_left: int = 0
    """Predictions about a stored output that differ from its own, which stays."""
    bad: list[Bad] = field(default_factory=list)

    def __add__(self, other: Imported) -> Imported:
        return Imported(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer with what it says about its output."""

    id: AnnotationId
    output: Known
    user: UserId
    given: Given
    result: list[dict[str, Any]]


def prepare(
    spec: LoopSpec, item: Item, now: datetime, person: str, source: str | None, sends: Trigger | None = None
) -> tuple[Ready | None, list[Bad]]:
    """Return the item as it can be stored, and what of it cannot. Pure.

    `person`: who gave the answers that name nobody. `source`: the source of outputs that name none. `sends` is the
    compiled trigger, if the caller already has it.
    """
    try:
        body = {**item.output, **({"source": source} if source and "source" not in item.output else {})}
        value = quick_json.loads(strict_json.dumps(plain(body)).encode())
        output = fitting.shown(reading.from_json(value, predicted=False), spec.config)
        output = fitting.check(output, spec.config, dict.fromkeys(spec.labels), spec.queue.embedding, predicted=False)
    except InvalidOutput as exc:
        return None, [Bad.of(item.line, exc, item.output.get("key"))]
    except UnicodeEncodeError:
        return None, [Bad(item.line, None, "", "holds half of a surrogate pair")]
    row = Row.of(output, lanes.place(output, spec, sends))
    answers, bad = list[Given](), list[Bad]()
    for one in item.answers:
        try:
            answers.append(_fitting(spec, row, one, now, person))
        except InvalidOutput as exc:
            bad.append(Bad.of(item.line, exc, output.key))
    return Ready(item.line, row, any(name in value for name in PREDICTED), answers), bad


def _fitting(spec: LoopSpec, row: Row, given: Given, now: datetime, person: str) -> Given:
    """Return the answer in the form of the tables. Raises InvalidOutput if the loop cannot have it."""
    login = (given.person or person).strip()
    if not login.isprintable() or not 0 < len(login) <= fields_.MAX_WORD:
        raise InvalidOutput("person", f"must be 1 to {fields_.MAX_WORD} printable characters; it is {login[:40]!r}")
    if given.updated_at is not None and given.updated_at > now + AHEAD:
        raise InvalidOutput("answered_at", f"{given.updated_at.isoformat()} lies in the future")
    if given.comment is not None and len(given.comment) > MAX_COMMENT:
        raise InvalidOutput("comment", f"must be a text of at most {MAX_COMMENT} characters")
    answer, approval, result = given.answer, given.approval, given.result
    if result is not None:
        result = clean(result)
        read = results.read(spec.config, result, row.placement.label, row.output.data)
        if why := why_unreadable(spec.config, result, read, row.output.data):
            raise InvalidOutput("annotations", f"of {login}: {why.reason}")
    elif answer is not None and spec.config.answer is spec.config.verdict and answer in (APPROVE, REJECT):
        answer, approval = None, answer == APPROVE
    elif answer is not None:
        answer = _canonical(spec, row, answer)
    if result is None and answer is None and row.placement.label is None:
        raise InvalidOutput("approval", "there is no label of a model to approve or reject")
    return replace(given, person=login, answer=answer, approval=approval, result=result)


def _canonical(spec: LoopSpec, row: Row, answer: Any) -> str | None:
    """Return the answer in the form of the tables. Raises InvalidOutput if the loop has no such answer."""
    control, data = spec.config.answer, row.output.data
    if control.kind is Kind.LABEL:
        return fitting.answer("answer", answer, data, spec.config, dict.fromkeys(spec.labels))
    try:
        canonical = kinds.canonical(control, answer)
        kinds.of(control).fits(control, canonical, data)
    except ValueError as exc:
        raise InvalidOutput("answer", str(exc)) from None
    return canonical


def store(conn: Conn, spec: LoopSpec, items: Sequence[Ready]) -> Imported:
    """Store the items and their answers in the caller's transaction. A second call changes nothing.

    `bad` of the result has the items whose key is known with other data: they are not stored. Raises
    sync.intake.taking.LoopGone.
    """
    found = Imported()
    # In the order of `take_in`: answers first, then the push that may be claiming an output now.
    projects.lock_hop(conn, spec.name, "answers")
    projects.lock_hop(conn, spec.name, "push")
    outputs = _outputs(conn, spec, items, found)
    instance = kept_answers.instance_of(spec.name)
    fitting_items = [item for item in items if _joins(spec, item, outputs[item.key], found)]
    people: dict[str, tuple[UserId, Person]] = {}
    answers = []
    for item in fitting_items:
        for given in item.answers:
            assert given.person is not None
            if (login := given.person.lower()) not in people:
                people[login] = _person(conn, spec, instance, given)
            output, (user, _) = outputs[item.key], people[login]
            id_ = kept_answers.annotation_id(output.id, user)
            answers.append(_Answer(id_, output, user, given, _result(spec, output, given)))
    touched = _add(conn, instance, answers, found)
    if touched:
        resolve(conn, spec, instance, touched, dict(people.values()))
        direct.settle(conn, list(touched))
    return found


def _outputs(conn: Conn, spec: LoopSpec, items: Sequence[Ready], found: Imported) -> Mapping[str, Known]:
    """Store the outputs that are new; return the stored ones by key, locked."""
    keys = list({item.key for item in items})
    known = imported.lock(conn, spec.name, keys)
    fresh: dict[str, Ready] = {}
    for item in items:
        if item.key not in known and (item.key not in fresh or (item.predicted and not fresh[item.key].predicted)):
            fresh[item.key] = item
    if not fresh:
        return known
    rows = {key: item.row for key, item in sorted(fresh.items())}
    taken = taking.store(conn, spec, taking.Batch(rows, {key: fresh[key].line for key in rows}, [], []))
    found.outputs += taken.new
    found.known -= taken.new  # each is counted as known below
    return known | imported.lock(conn, spec.name, list(fresh))


def _joins(spec: LoopSpec, item: Ready, stored: Known, found: Imported) -> bool:
    """Whether the item is about the stored output of its key: people see the same of both."""
    fault = other_data(spec, item, stored.data)
    if fault is not None:
        found.bad.append(fault)
        return False
    found.known += 1
    found.predictions_left += item.predicted and item.row.sha256 != stored.body_sha256
    return True


def shown(spec: LoopSpec, item: Ready) -> dict[str, Any]:
    """Return what people see of the item, by the field of the data."""
    return {name: paths.value_at(item.row.output.data, name) for name in spec.config.data_fields}


def other_data(spec: LoopSpec, item: Ready, stored: Mapping[str, Any]) -> Bad | None:
    """Return the fault of an item if people see something else of the stored output with its key; None if not."""
    for name, value in shown(spec, item).items():
        if value != paths.value_at(stored, name):
            why = f"{item.key!r} is known with another data.{name}; another item needs another key (--key)"
            return Bad(item.line, item.key, "key", why)
    return None


def _result(spec: LoopSpec, output: Known, given: Given) -> list[dict[str, Any]]:
    """Return the answer as it is stored: what it says about the output's label, and the result it was read from."""
    if given.result is not None:
        read = results.read(spec.config, given.result, output.label, output.data)
        correction = read.label if read.approval is None else read.correction
        return kept_answers.encode(read.approval, correction, read.comment or given.comment, given.result)
    if given.answer is None:
        return kept_answers.encode(given.approval, None, given.comment)
    config, label = spec.config, output.label
    model = label if label is None or config.answer is config.verdict else kinds.nearest_answer(config.answer, label)
    if model is None:
        return kept_answers.encode(None if label is None else False, given.answer, given.comment)
    approval = given.answer == model
    return kept_answers.encode(approval, None if approval else given.answer, given.comment)


def _person(conn: Conn, spec: LoopSpec, instance: UUID, given: Given) -> tuple[UserId, Person]:
    assert given.person is not None
    user, person = reviewer_of(conn, spec.name, instance, given.person)
    if given.name and person.name == given.person:
        person = Person(person.email, given.name[:LONGEST_NAME])
    return user, person


def _add(conn: Conn, instance: UUID, answers: Sequence[_Answer], found: Imported) -> Collection[UUID]:
    """Store the answers that are new; return their outputs.

    An answer with a time is new if it is later than the stored one of this person. One without a time is new if the
    person never said the same about the output; it is taken to be given now.
    """
    stored = imported.versions(conn, instance, list({one.id for one in answers}))
    now = imported.now(conn)
    seen: list[annotation_store.Seen] = []
    for one in sorted(answers, key=lambda one: one.given.updated_at or now):
        at, of_person = one.given.updated_at, stored.setdefault(one.id, [])
        newest = of_person[-1] if of_person else None
        is_known = newest is not None and (
            any(version.result == one.result for version in of_person) if at is None else newest.updated_at >= at
        )
        if is_known:
            found.answers_known += 1
            continue
        at = at or (now if newest is None else max(now, newest.updated_at + timedelta(microseconds=1)))
        of_person.append(Version(one.id, at, one.result, deleted=False))
        found.answers += 1
        seen.append((_annotation(one, at), one.output.id, None))
    return annotation_store.add(conn, instance, seen)


def _annotation(one: _Answer, at: datetime) -> Annotation:
    created = one.given.created_at
    return Annotation(
        id=one.id,
        task_id=kept_answers.NO_TASK,
        result=one.result,
        completed_by=one.user,
        updated_by=one.user,
        was_cancelled=False,
        ground_truth=False,
        lead_time_s=one.given.lead_time_s,
        parent_prediction=None,
        created_at=at if created is None else min(created, at),
        updated_at=at,
    )

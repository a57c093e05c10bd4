"""Checks of a loop's project in Label Studio: existence, settings that decide the served order, and form."""

from __future__ import annotations

from collections.abc import Sequence

from console.doctor.findings import Finding, fault, good, hint
from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.form_xml import same_form
from labelloop.labelstudio.answers import Project
from labelloop.reading.ids import ProjectId
from labelloop.store.questions.health import LabelsGone
from sync.project.project import SAMPLING, SKIP_QUEUE

LABELS_NAMED = 5


def push_it(loop: str) -> str:
    """Return the command that restores every project setting that sync manages."""
    return f"labelloop push --loop {loop}"


def not_there(loop: str, said: str, *, gone: bool) -> Finding:
    """Report a project that was deleted (`gone`) or that is not ours. `said` is the message that sync would log."""
    if gone:
        why, repair = (
            "its tasks were deleted with it",
            f"labelloop project recreate --loop {loop}  # or restore Label Studio",
        )
    else:
        why = "sync writes only to a project that carries its mark, so nothing is pushed or pulled"
        repair = "restore that mark in its description; or correct LABELLOOP_LABEL_STUDIO_URL, if it is another server"
    return fault("project", said, why=why, repair=repair, loop=loop)


def not_made(loop: str) -> Finding:
    return fault(
        "project",
        "it has no project in Label Studio yet",
        why="sync's worker creates it with its first push",
        repair=push_it(loop),
        loop=loop,
    )


def standing(loop: str, project_id: ProjectId) -> Finding:
    return good("project", f"{project_id}, ours", loop)


def sampling(loop: str, project: Project, overlap: int) -> Finding:
    """Check the settings by which Label Studio chooses the next task. `overlap`: annotators per task in the spec."""
    wrong, why = [], ""
    if project.overlap_first:
        wrong.append("tasks with several annotators are served first")
        why = "they come before all others, however useful they are"
    if project.evaluates_people:
        wrong.append("tasks with a known answer are served first")
        why = "they come before all others, in a random order"
    if project.overlap != overlap:
        wrong.append(f"each task is answered by {project.overlap} annotators, the spec says {overlap}")
        why = "with more than one, tasks that have an answer come first, in a random order"
    if project.skip_queue != SKIP_QUEUE:
        wrong.append(f"what happens to skipped tasks is {project.skip_queue}, not {SKIP_QUEUE}")
        why = "one person's skip ends the task for all, or the same person is asked again"
    if project.sampling != SAMPLING:
        wrong.append(f"the sampling mode is {project.sampling!r}, not {SAMPLING!r}")
        why = "annotators get tasks in another order than that of the order scores"
    if wrong:
        return fault("sampling", "; ".join(wrong), why=why, repair=push_it(loop), loop=loop)
    return good("sampling", SAMPLING, loop)


def shown_version(loop: str, project: Project, ours: str, titles: Sequence[str]) -> Finding:
    """Check the project's model_version, by which Label Studio ranks, and whether predictions are shown.

    `titles` are those of the project's ML backends.
    """
    theirs = project.model_version
    random = "Label Studio ranks only by predictions of this version; without any, it serves tasks at random"
    if not project.shows_predictions:
        says = "predictions are hidden (show_collab_predictions is off)"
        why = "annotators see no prelabels, and Label Studio serves tasks at random"
    elif not theirs:
        says, why = "the project shows no version", random
    elif theirs == ours:
        return good("shown version", theirs, loop)
    elif theirs in titles:
        says = f"the project shows {theirs!r}, which is the title of an ML backend, not {ours!r}"
        why = f"{random}; connecting a backend sets its title there"
    else:
        says, why = f"the project shows version {theirs!r}, not {ours!r}", random
    return fault("shown version", says, why=why, repair=push_it(loop), loop=loop)


def form(loop: str, ours: str, theirs: str, earlier: Sequence[str] = ()) -> Finding:
    """Compare the labeling config in Label Studio with that of the loop. `earlier`: the forms that the loop has had."""
    if same_form(ours, theirs):
        return good("form", "as in the spec", loop)
    if any(same_form(form, theirs) for form in earlier):
        return fault(
            "form",
            f"the form is not sent yet: `{push_it(loop)}` sends it",
            why="the project has an earlier form of the loop, and an answer given in it may be unreadable",
            repair=push_it(loop),
            loop=loop,
        )
    try:
        changes = _differences(LabelingConfig.parse(ours), LabelingConfig.parse(theirs))
    except SpecError as exc:
        changes = [f"it cannot be read: {exc}"]
    changes = changes or ["only parts without an answer differ"]
    return fault(
        "form",
        f"the form was changed in Label Studio: {'; '.join(changes)}",
        why="answers in another form cannot be read, and tasks that lack its fields are refused",
        repair=f"{push_it(loop)}  # restores ours; to keep theirs, copy it to labels.xml and run `labelloop migrate`",
        loop=loop,
    )


def labels_gone(loop: str, found: LabelsGone) -> Finding:
    """Report outputs, answers and open tasks with a label that the form no longer has."""
    if not found.labels:
        return good("labels", "every stored output and answer has labels of the form, or none", loop)
    return hint("labels", gone(found), loop)


def gone(found: LabelsGone) -> str:
    """Return in words how many outputs, answers and open tasks have a label that the form no longer has."""
    counts = {"stored output": found.outputs, "answer": found.answers, "open task": found.open_tasks}
    parts = [f"{n:,} {what}{'s' * (n != 1)}" for what, n in counts.items() if n]
    named = ", ".join(repr(label) for label in list(found.labels)[:LABELS_NAMED])
    more = f" and {len(found.labels) - LABELS_NAMED} more" if len(found.labels) > LABELS_NAMED else ""
    have = "has" if [n for n in counts.values() if n] == [1] else "have"
    return f"{' and '.join(parts)} {have} a label that is gone: {named}{more}"


def _differences(ours: LabelingConfig, theirs: LabelingConfig) -> list[str]:
    changes = _renamed("the field", [f"${f}" for f in ours.data_fields], [f"${f}" for f in theirs.data_fields])
    had, has = ({c.name: c for c in config.controls} for config in (ours, theirs))
    lost, new = ([c for c in a.values() if c.name not in b] for a, b in ((had, has), (has, had)))
    if len(lost) == len(new) == 1 and lost[0].tag == new[0].tag:
        changes.append(f"the {lost[0].tag} {lost[0].name!r} is called {new[0].name!r}")
        has[lost[0].name] = new[0]
    else:
        changes += [f"the {c.tag} {c.name!r} is gone" for c in lost]
        changes += [f"there is a new {c.tag} {c.name!r}" for c in new]
    for name, control in had.items():
        if name in has:
            changes += _changed(control, has[name])
    return changes


def _changed(had: ControlTag, has: ControlTag) -> list[str]:
    changes = _renamed(f"in {had.name!r} the label", [repr(x) for x in had.labels], [repr(x) for x in has.labels])
    if had.tag != has.tag:
        changes.append(f"{had.name!r} is a {has.tag}, and was a {had.tag}")
    if had.to_name != has.to_name:
        changes.append(f"{had.name!r} is about {has.to_name!r}, and was about {had.to_name!r}")
    if had.choice != has.choice:
        changes.append(f"{had.name!r} takes {has.choice!r}, and took {had.choice!r}")
    return changes


def _renamed(what: str, had: Sequence[str], has: Sequence[str]) -> list[str]:
    lost, new = [x for x in had if x not in has], [x for x in has if x not in had]
    if len(lost) == len(new) == 1:
        return [f"{what} {lost[0]} is now {new[0]}"]
    return [f"{what} {x} is gone" for x in lost] + [f"{what} {x} is new" for x in new]

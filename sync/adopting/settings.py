"""The settings of an adopted project: which of them the loop changes, and how a release restores them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from labelloop.answers.unreadable import empty_is_an_answer
from labelloop.errors import Failed
from labelloop.labeling.form_xml import same_form, sent
from labelloop.spec.loop import LoopSpec
from sync.project.project import ML_TITLE, SAMPLING, SKIP_QUEUE

MOST_ANNOTATORS = 10
"""Largest number of annotators of a task that a loop can ask for."""


class Restored(NamedTuple):
    """Changes by which a release restores the settings."""

    changes: dict[str, Any]
    """The settings that it sets back, with the values that they had."""
    kept: list[str]
    """Settings that somebody changed after the adoption: they stay."""


def refuse(settings: Mapping[str, Any], project: int) -> None:
    """Raise Failed if a loop cannot work with a project of these settings."""
    share, people = settings.get("overlap_cohort_percentage", 100), settings["maximum_annotations"]
    if people > 1 and share != 100:
        raise Failed(
            f"project {project} asks {people} people about {share} % of its tasks and one person about the others; a "
            "loop asks the same number about every task. Set overlap_cohort_percentage to 100 in Label Studio, or "
            "maximum_annotations to 1"
        )
    if people > MOST_ANNOTATORS:
        raise Failed(
            f"project {project} asks {people} people about each task; a loop asks at most {MOST_ANNOTATORS}. Lower "
            "maximum_annotations in Label Studio"
        )


def ours(spec: LoopSpec) -> dict[str, Any]:
    """Return the values that the loop gives to settings, without those of texts and of the shown version."""
    return {
        "sampling": SAMPLING,
        "maximum_annotations": spec.overlap,
        "show_collab_predictions": True,
        "show_overlap_first": False,
        "annotator_evaluation_enabled": False,
        "skip_queue": SKIP_QUEUE,
        "enable_empty_annotation": empty_is_an_answer(spec.config),
    }


def planned(settings: Mapping[str, Any], spec: LoopSpec, version: str) -> dict[str, tuple[Any, Any]]:
    """Return each setting that an adoption changes, with its present value and the new one."""
    wanted = {**ours(spec), "model_version": version}
    changes = {name: (settings.get(name), value) for name, value in wanted.items() if settings.get(name) != value}
    texts = {"description": "the same text and the loop's mark after it"}
    if not settings.get("expert_instruction"):
        texts["expert_instruction"] = "how to get the most useful task"
    return {**changes, **{name: (settings.get(name), text) for name, text in texts.items()}}


def restored(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    spec: LoopSpec,
    words: Mapping[str, str],
    versions: Collection[str],
) -> Restored:
    """Return the settings to set back. `before` and `now`: their values before the adoption and at present.

    `words`: the texts that the loop wrote last, by setting. `versions`: the model versions that it showed. A setting
    is set back if the loop's value is in force. Any other value is that of a person, and stays. Only the loop's part of
    a text is removed.
    """
    mine = ours(spec)
    changes, kept = dict[str, Any](), list[str]()
    for name, was in before.items():
        has = now.get(name)
        if has == was:
            continue
        if name in ("description", "expert_instruction"):
            changes[name] = _without(str(has or ""), words.get(name, ""), str(was or ""))
            if changes[name] == has:
                del changes[name]
                kept.append(name)
        elif (
            (name in mine and has == mine[name])
            or (name == "model_version" and (not has or has in versions or has == ML_TITLE))
            or (name == "label_config" and same_form(spec.labels_xml, str(has)))
            or (name == "title" and has == words.get("title"))
        ):
            changes[name] = was
        else:
            kept.append(name)
    return Restored(changes, kept)


def with_words(text: str, words: str) -> str:
    """Return a person's text with the loop's words after it."""
    return f"{text} {words}" if text else words


def sent_form(xml: str) -> str:
    """Return the form of a project as the loop's folder has it. Raises Failed if the loop would have to change it."""
    if sent(xml) != xml.strip():
        raise Failed(
            "the form shows a field whose name Label Studio's server and editor read differently, such as $my-text, or "
            "it begins with an XML declaration. The loop would have to send another form, whose fields the tasks lack. "
            "Change the form in Label Studio, and the field in the tasks"
        )
    return xml


def _without(has: str, words: str, was: str) -> str:
    """Return a text without the loop's words; if nothing else was changed, exactly the text that was there before."""
    if not words or words not in has:
        return has
    rest = has.replace(words, "", 1).strip()
    return was if rest == was.strip() else rest

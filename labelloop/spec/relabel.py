"""Relabel: put other labels into a loop.yaml. Only the values that name these labels change. Pure.

Labels stand in `labels` and `definitions`. A rename also changes the other keys that name labels. Other changes, and
any change of a label that the trigger names, are refused with the line: only a person knows what is meant there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import yaml

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Former
from labelloop.labeling.form_xml import plain
from labelloop.labeling.relabel import relabel as relabel_form
from labelloop.spec import mistakes
from labelloop.spec.loop import LoopSpec
from labelloop.spec.loop_yaml import ROOT

_KEYS = (("budget", "per_label"), ("examples", "texts"), ("examples", "edits"))
"""Sections whose keys are labels."""
_VALUES = (("judge", "positive"),)
"""Values that are a label."""
Edit = tuple[int, int, str]
"""Begin and end of a part of the text, and the text that replaces it."""


def relabelled(
    name: str, text: str, labels_xml: str, removed: Sequence[str], added: Sequence[str], *, rename: bool = False
) -> tuple[str, str, LoopSpec]:
    """Return loop.yaml and labels.xml ("" if the loop has none) with the labels `added` in the place of `removed`, and
    the spec that they give.

    Raises SpecError if something else names a removed label, or if the new files have a mistake.
    """
    new = _yaml(text, removed, added, rename)
    form = labels_xml
    if labels_xml:
        config = LabelingConfig.parse(plain(labels_xml), _answer(name, text, labels_xml))
        form = relabel_form(labels_xml, config.answer.name, removed, added, rename=rename)
    found = mistakes.examine(name, new.removeprefix("\ufeff"), form.removeprefix("\ufeff"))
    if found.spec is None:
        fault = found.faults[0]
        raise SpecError(f"{fault.reason} (after the change)", line=fault.line, column=fault.column, loop=name)
    return new, form, found.spec


def _answer(name: str, text: str, labels_xml: str) -> Sequence[str]:
    spec = mistakes.examine(name, text.removeprefix("\ufeff"), labels_xml.removeprefix("\ufeff")).spec
    return () if spec is None else spec.answer


def _yaml(text: str, removed: Sequence[str], added: Sequence[str], rename: bool) -> str:
    root = _below(yaml.compose(text, Loader=yaml.SafeLoader), ROOT)
    edits = [*_labels(text, _below(root, "labels"), removed, added), *_definitions(text, root, removed, added, rename)]
    for where, node in _named(root, removed):
        if not rename:
            raise _refused(node, f"{where} names {node.value!r}; take it out first")
        edits.append(_scalar(node, added[0]))
    trigger = _below(root, "trigger")
    for label in removed:
        if isinstance(trigger, yaml.ScalarNode) and re.search(rf"(?<!\w){re.escape(label)}(?!\w)", trigger.value):
            raise _refused(trigger, f"trigger names {label!r}; write it without this label first")
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def _labels(text: str, node: yaml.Node | None, removed: Sequence[str], added: Sequence[str]) -> Iterator[Edit]:
    """Yield the edits of the list of labels."""
    if not isinstance(node, yaml.SequenceNode):
        return
    items = [item for item in node.value if isinstance(item, yaml.ScalarNode)]
    gone = [item for label in removed for item in items if item.value == label]
    before, further = items[-1] if items else None, added
    if gone and added:
        yield _scalar(gone[0], added[0])
        before, further, gone = gone[0], added[1:], gone[1:]
    if before is not None and further:
        at = before.end_mark.index if node.flow_style else _line_end(text, before.end_mark.index)
        yield at, at, "".join(_item(text, node, before, label) for label in further)
    for item in gone:
        yield _without(text, node, items, item)


def _item(text: str, node: yaml.SequenceNode, before: yaml.ScalarNode, label: str) -> str:
    """Return a further item of a list, as it is written behind the item `before`."""
    if node.flow_style:
        return f", {_written(label, '')}"
    line = text.rfind("\n", 0, before.start_mark.index) + 1
    ends = "\r\n" if text[line - 2 : line] == "\r\n" else "\n"
    return f"{ends}{text[line : before.start_mark.index]}{_written(label, '')}"


def _without(text: str, node: yaml.SequenceNode, items: Sequence[yaml.ScalarNode], item: yaml.ScalarNode) -> Edit:
    """Return the edit that takes an item out of a list."""
    begin, end = item.start_mark.index, item.end_mark.index
    if not node.flow_style:
        return _line(text, begin, end)
    place = items.index(item)
    if place + 1 < len(items):
        return begin, items[place + 1].start_mark.index, ""
    return (items[place - 1].end_mark.index, end, "") if place else (begin, end, "")


def _definitions(
    text: str, root: yaml.Node | None, removed: Sequence[str], added: Sequence[str], rename: bool
) -> Iterator[Edit]:
    """Yield the edits of the definitions: a renamed label keeps its own, another removed label loses it."""
    node = _below(root, "definitions")
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value not in removed:
            continue
        if rename:
            yield _scalar(key, added[0])
        elif isinstance(node, yaml.MappingNode) and node.flow_style:
            raise _refused(key, f"definitions has {key.value!r}; take it out first")
        else:
            yield _line(text, key.start_mark.index, value.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """Return the place before the next line break."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found - (text[found - 1] == "\r")


def _line(text: str, begin: int, end: int) -> Edit:
    """Return the edit that removes the lines of this part."""
    line, behind = text.rfind("\n", 0, begin) + 1, text.find("\n", max(begin, end - 1))
    return line, len(text) if behind < 0 else behind + 1, ""


def _named(root: yaml.Node | None, removed: Sequence[str]) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield what else names one of these labels: its key, and its place."""
    for path in _KEYS:
        section = _below(_below(root, path[0]), path[1])
        for key, _ in section.value if isinstance(section, yaml.MappingNode) else ():
            if key.value in removed:
                yield ".".join(path), key
    for path in _VALUES:
        value = _below(_below(root, path[0]), path[1])
        if isinstance(value, yaml.ScalarNode) and value.value in removed:
            yield ".".join(path), value


def _below(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _scalar(node: yaml.ScalarNode, value: str) -> Edit:
    return node.start_mark.index, node.end_mark.index, _written(value, node.style or "")


def _written(value: str, style: str) -> str:
    """Return a text as YAML, in quotes of this style if it needs them."""
    if style == "" and re.fullmatch(r"[A-Za-z][\w-]*( [\w-]+)*", value) and yaml.safe_load(value) == value:
        return value
    if style == "'" and "\n" not in value:
        return "'" + value.replace("'", "''") + "'"
    return str(yaml.dump(value, default_style='"', allow_unicode=True, width=10**6)).strip()


def _refused(node: yaml.Node, words: str) -> SpecError:
    mark = node.start_mark
    return SpecError(f"loop.yaml: {words}", line=mark.line + 1, column=mark.column + 1)


def with_former(spec: LoopSpec, former: Mapping[str, Former]) -> LoopSpec:
    """Return the spec that also reads these former labels. Raises SpecError if its form has one of them."""
    for label, one in former.items():
        if label in spec.labels:
            into = " and ".join(map(repr, one.to))
            what = f"became {into}" if one.to else "was retired"
            raise SpecError(
                f"the label {label!r} {what} by `labelloop schema`, and the form has it again: take it out, or "
                f"change it back by `labelloop schema undo --loop {spec.name}`",
                loop=spec.name,
            )
    return spec.model_copy(update={"former_labels": dict(former)})

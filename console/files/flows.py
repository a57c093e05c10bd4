"""Flows: the rule in a flow definition of Amazon A2I, as lines of loop.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from labelloop.errors import InvalidOutput, SpecError, UsageError
from labelloop.outputs.formats import a2i
from labelloop.outputs.formats.a2i import Rule
from labelloop.reading import strict_json
from labelloop.spec.mistakes import examine
from labelloop.spec.sections import NAME
from labelloop.spec.trigger import compile_trigger

TOP = "feedback_loop"


def rule_in(path: Path) -> Rule:
    """Return the rule in a flow definition. Raises UsageError if it is none, or if its trigger is too long."""
    try:
        rule = a2i.read(strict_json.loads_large(path.read_bytes()))
        if rule.trigger is not None:
            compile_trigger(rule.trigger)
    except (InvalidOutput, SpecError) as exc:
        raise UsageError(f"{path}: {exc}") from None
    return rule


def written(rule: Rule, into: Path | None) -> str:
    """Return the lines of a loop.yaml with the rule; or the text of the file `into` with its trigger and audit
    replaced. All else in the file stays, comments too. Raises UsageError if the file has no trigger.
    """
    shares = {} if rule.audit is None else {"audit": f"{rule.audit:g}"}
    if into is None:
        made = shares if rule.trigger is None else {"trigger": _block(rule.trigger, 4), **shares}
        return f"{TOP}:\n" + "".join(f"  {name}: {value}\n" for name, value in made.items())
    made = shares if rule.trigger is None else {"trigger": json.dumps(rule.trigger, ensure_ascii=False), **shares}
    text = into.read_text(encoding="utf-8")
    found = _nodes(text, into)
    edits = []
    for name, value in made.items():
        if name in found:
            edits.append((*found[name], value))
        elif "trigger" in found:
            edits.append((found["trigger"][1], found["trigger"][1], f"\n  {name}: {value}"))
    for start, end, value in sorted(edits, reverse=True):
        tail = "\n" if text[start:end].endswith("\n") else ""
        text = text[:start] + value + tail + text[end:]
    return text


def refuse(text: str, into: Path) -> None:
    """Raise UsageError if a loop cannot have this text as its loop.yaml `into`."""
    folder = into.absolute().parent
    form = folder / "labels.xml"
    name = folder.name if re.fullmatch(NAME, folder.name) else "loop"
    faults = examine(name, text, form.read_text(encoding="utf-8-sig") if form.exists() else "").faults
    if faults:
        raise UsageError(f"{into} is left as it is, for the loop would be refused with this rule: {faults[0]}")


def trigger_in(into: Path) -> str:
    """Return the trigger that a loop.yaml has."""
    start, end = _nodes(text := into.read_text(encoding="utf-8"), into)["trigger"]
    return text[start:end].strip()


def _nodes(text: str, path: Path) -> dict[str, tuple[int, int]]:
    """Return where the value of each key below feedback_loop begins and ends."""
    try:
        root = yaml.compose(text)
    except yaml.YAMLError as exc:
        raise UsageError(f"{path} is no YAML: {exc}") from None
    tops = root.value if isinstance(root, yaml.MappingNode) else []
    loop = next((value for key, value in tops if key.value == TOP and isinstance(value, yaml.MappingNode)), None)
    found = (
        {} if loop is None else {key.value: (value.start_mark.index, value.end_mark.index) for key, value in loop.value}
    )
    if "trigger" not in found:
        raise UsageError(f"{path} has no trigger below {TOP}, so it is no loop.yaml")
    return found


def _block(text: str, indent: int) -> str:
    """Return a trigger as a scalar of YAML: in quotation marks, or as a block if it has several lines."""
    if "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    return "|-\n" + "\n".join(" " * indent + line for line in text.splitlines())

"""Flows: the rule in a flow definition of Amazon A2I, as lines of loop.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from labelloop.errors import InvalidOutput, SpecError, UsageError
from labelloop.outputs.formats import a2i
from labelloop.outputs.formats.a2i import Rule
from labelloop.reading import strict_json
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

"""Read what several kinds of answers hold: the labels of a control, and JSON inside a text. Pure."""

from __future__ import annotations

from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag
from labelloop.reading import strict_json


def known(control: ControlTag, label: str) -> str:
    """Return the label of the form that this word means. Raises ValueError if there is none."""
    if not has(control, label):
        shown = ", ".join(control.labels[:20]) + (", ..." if len(control.labels) > 20 else "")
        raise ValueError(f"no such label {label[:40]!r}; there are: {shown}")
    return control.shown(label)


def has(control: ControlTag, label: str) -> bool:
    """Whether the form has this label; a control without labels of its own takes any."""
    return not control.labels or control.shown(label) in control.known


def kept(value: object) -> str:
    """Return the text of a JSON value that Label Studio holds. Raises ValueError if `json_of` could not read it back.

    Its API takes NaN and numbers of more than 64 bits.
    """
    try:
        text = strict_json.dumps(value)
    except InvalidOutput as exc:
        raise ValueError(str(exc)) from None
    json_of(text)
    return text


def value_of(answer: object, wanted: str) -> Any:
    """Return the JSON value of an answer, as `json_of` does.

    Raises ValueError with `wanted`, which says what would do, if the answer is a plain text.
    """
    if isinstance(answer, str) and not answer.lstrip().startswith(("[", "{")):
        raise ValueError(f"{wanted}; it is the text {answer[:40]!r}")
    return json_of(answer)


def json_of(answer: object) -> Any:
    """Return the JSON value of an answer, given as its text or as the value itself.

    Raises ValueError if a text is not JSON.
    """
    if not isinstance(answer, str):
        return answer
    try:
        return strict_json.loads(answer.encode(), strict_json.OF_ANSWERS)
    except (InvalidOutput, UnicodeEncodeError) as exc:
        raise ValueError(f"is not JSON: {str(exc).removeprefix('is not JSON: ')}") from None

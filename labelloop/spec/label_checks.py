"""Checks of the labels and shown fields that loop.yaml names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.labeling.form_checks import label_fault
from labelloop.reading.nearest import did_you_mean, some

SHOWABLE_FIELDS = ("text", "image")
"""Kinds of fields that a generated form can show; anything else needs a labels.xml."""


def check_shown(show: Mapping[str, str]) -> None:
    """Raise ValueError unless each kind of field can be shown and names a field of data."""
    for kind, value in show.items():
        if kind not in SHOWABLE_FIELDS:
            near = did_you_mean(kind, SHOWABLE_FIELDS)
            raise ValueError(f"{kind!r} cannot be shown{near}; there are: {', '.join(SHOWABLE_FIELDS)}")
        if not value.startswith("$") or not value[1:].isidentifier():
            raise ValueError(f"{kind} names a field of data, such as '$text'; it is {value!r}")


def check_labels(labels: Sequence[str]) -> None:
    """Raise ValueError for a label that Label Studio cannot show, and for one that is named twice."""
    for label in labels:
        if wrong := label_fault(label):
            raise ValueError(wrong)
        if label.startswith("$"):
            raise ValueError(f"Label Studio reads {label!r} as a field of the data; a label must not begin with $")
    if len(set(labels)) < len(labels):
        raise ValueError(f"named twice: {', '.join(sorted({x for x in labels if labels.count(x) > 1}))}")


def check_named(where: str, label: str, labels: Sequence[str]) -> None:
    """Raise ValueError if the key `where` names a label that the loop does not have; without any labels, none is
    checked.
    """
    if labels and label not in labels:
        raise ValueError(f"{where}: no label {label!r}{did_you_mean(label, labels)}; {some(labels)}")

"""Checks of single attributes of a labels.xml that Label Studio takes without a word, and that can only be mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import fault
from labelloop.labeling.form_xml import Places
from labelloop.reading.nearest import did_you_mean, some

_SHOWS_DATA = ("Image", "Audio", "AudioPlus", "Video", "Pdf", "Paragraphs", "TimeSeries", "List", "Table", "Chat")
"""Tags that show nothing of use without data of the item. A Text or a HyperText may have a text of its own."""
_NAME = re.compile(r"\w+(\.\w+)*")


def faults(root: Element, config: LabelingConfig, places: Places) -> list[SpecError]:
    """Return the mistakes, each at its tag."""
    return [
        *_fields(root, config, places),
        *_stars(root, places),
        *_conditions(root, config, places),
        *_hotkeys(config, root, places),
    ]


def _fields(root: Element, config: LabelingConfig, places: Places) -> Iterator[SpecError]:
    about = {name for control in config.controls for name in control.objects}
    for element in root.iter():
        value = element.get("value", "")
        is_shown = element.tag in _SHOWS_DATA and "valueList" not in element.attrib
        is_shown |= element.tag in ("Text", "HyperText") and element.get("name") in about and not config.data_fields
        if is_shown and _NAME.fullmatch(value):
            why = f'{element.tag} shows the word {value!r} itself; write value="${value}" for the field of the data'
            yield fault(why, places, element)


def _stars(root: Element, places: Places) -> Iterator[SpecError]:
    for element in root.iter("Rating"):
        most = element.get("maxRating", "5")
        if not most.isdecimal() or int(most) < 1:
            name = element.get("name")
            yield fault(f"maxRating of {name!r} must be a whole number from 1 on; it is {most!r}", places, element)


def _conditions(root: Element, config: LabelingConfig, places: Places) -> Iterator[SpecError]:
    for element in root.iter():
        name = element.get("whenTagName")
        if name and name not in config.by_name:
            known = f"{did_you_mean(name, config.by_name) or f'; {some(list(config.by_name))}'}"
            yield fault(f"whenTagName: no control {name!r}{known}", places, element)


def _hotkeys(config: LabelingConfig, root: Element, places: Places) -> Iterator[SpecError]:
    """Find a hotkey that is given twice in one control, or in two controls that people always see."""
    always = {one.name for one in config.controls if not one.conditions and not one.per_region}
    seen: dict[tuple[str, str], str] = {}
    for control in root.iter():
        name = control.get("name", "")
        if name not in config.by_name:
            continue
        for element in control.iter():
            key = element.get("hotkey", "").strip().lower()
            if not key:
                continue
            what = element.get("alias") or element.get("value") or element.tag
            at = key, "" if name in always else name
            if at in seen:
                yield fault(f"the hotkey {key!r} of {what!r} is that of {seen[at]!r} too", places, element)
            seen.setdefault(at, what)

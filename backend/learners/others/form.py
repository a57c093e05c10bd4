"""The form as a model of others is shown it: the objects that people see, and the one control that holds the answer.

Such a model learns the answer. Of a form for approval it would otherwise take the first control it finds, the verdict.
"""

from __future__ import annotations

from functools import lru_cache
from xml.etree import ElementTree

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_xml import OURS

_LAYOUT = {"View", "Style", "Header", "Collapse", "Panel"}


@lru_cache(maxsize=64)
def answer_only(xml: str) -> LabelingConfig:
    """Raises SpecError where the form asks for approval alone: nobody says a label there."""
    config = LabelingConfig.parse(xml)
    if config.answer is config.verdict:
        raise SpecError("labels.xml: people only approve here, so there is no label that a model could learn")
    root = ElementTree.fromstring(config.xml)  # parse has refused entities
    view = ElementTree.Element("View")
    for element in root.iter():
        if element.tag in _LAYOUT:
            continue
        name, to_name = element.get("name"), element.get("toName")
        if name == config.answer.name or (name and to_name is None and not name.startswith(OURS)):
            view.append(element)
    return LabelingConfig.parse(ElementTree.tostring(view, encoding="unicode"))

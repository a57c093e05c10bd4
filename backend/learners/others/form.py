"""The form that your own or remote models get: the objects that annotators see, and the control with the answer.

Such a model is trained on the answer. In a form for approval it would otherwise use the first control, the verdict.
"""

from __future__ import annotations

from functools import lru_cache
from xml.etree import ElementTree

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_xml import OURS

_LAYOUT = {"View", "Style", "Header", "Collapse", "Panel"}
_INSIDE = {"Bucket", "Choice", "Label"}
"""Tags that come with the control around them."""


@lru_cache(maxsize=64)
def answer_only(xml: str, answer: str = "") -> LabelingConfig:
    """Return the reduced form. `answer` names the controls that hold the answer, separated by commas.

    Raises SpecError if the form only asks for approval, since it has no labels.
    """
    wanted = tuple(filter(None, answer.split(",")))
    config = LabelingConfig.parse(xml, wanted)
    if config.answer is config.verdict:
        raise SpecError("labels.xml: people only approve here, so there is no label that a model could learn")
    root = ElementTree.fromstring(config.xml)  # parse has refused entities
    view = ElementTree.Element("View")
    for element in root.iter():
        if element.tag in _LAYOUT or element.tag in _INSIDE:
            continue
        name, to_name = element.get("name"), element.get("toName")
        if name in config.answer.names or (name and to_name is None and not name.startswith(OURS)):
            view.append(element)
    return LabelingConfig.parse(ElementTree.tostring(view, encoding="unicode"), wanted)

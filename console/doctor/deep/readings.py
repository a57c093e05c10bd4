"""Readings: what an annotation says in a form with one Choices for the answer. Written again, not shared with the pull.

Other forms are not read here: there, the newest answer is compared with the feedback, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from console.doctor.deep.labels import Became

OVER_HTTP = "labelloop_feedback"
"""Type of the only region of an answer that came over HTTP or from a file."""
_BESIDE = ("verdict", "comment", "quick")


@dataclass(frozen=True, slots=True)
class Form:
    """The names by which one label, or several, are read from a result."""

    answer: str
    """Name of the Choices."""
    several: bool
    verdict: bool
    words: Mapping[str, frozenset[str]]
    """Each name of a choice with all names of the same choice."""

    def labels(self, result: Any, own: str | None) -> set[Any] | None:
        """Return what the feedback may say: labels, or for several labels one frozenset; None if this cannot tell.

        `own`: the pipeline's label, which an approval confirms.
        """
        regions = [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []
        if self.verdict:
            said = _chosen(regions, "verdict")
            if said == ["approve"] and own is not None:
                return set(self.words.get(own, frozenset([own])))
            if said != ["reject"]:
                return None
        chosen = _chosen(regions, self.answer)
        if chosen is None:
            chosen = _chosen(regions, "quick")
        if self.several:
            return None if chosen is None else {frozenset(chosen)}
        if chosen is None or len(chosen) != 1:
            return {None} if self.verdict and not chosen else None
        return set(self.words.get(chosen[0], frozenset(chosen)))


def form(labels_xml: str, answer: Sequence[str], became: Became | None = None) -> Form | None:
    """Return the form; None unless one Choices has the answer. `answer`: that of loop.yaml. `became`: former labels."""
    try:
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", labels_xml))
    except ElementTree.ParseError:
        return None
    controls = {one.get("name"): one for one in root.iter() if one.get("name") and one.get("toName")}
    candidates = [one for name, one in controls.items() if name not in _BESIDE and one.get("perRegion") != "true"]
    named = [one for one in candidates if one.get("name") in ("label", "correction")]
    choices = [one for one in candidates if one.tag == "Choices"]
    found = [controls[name] for name in answer if name in controls] if answer else named[:1] or choices
    if len(found) != 1 or found[0].tag != "Choices" or found[0].get("allowNested") == "true":
        return None
    words: dict[str, frozenset[str]] = {}
    for choice in found[0].iter("Choice"):
        predicted = choice.get("predicted_values", "").split(",")
        names = frozenset(filter(None, [choice.get("value"), choice.get("alias"), *map(str.strip, predicted)]))
        words |= dict.fromkeys(names, names)
    for label, now in (became or {}).items():
        words[label] = frozenset() if now is None else words.get(now, frozenset([now]))
    several = found[0].get("choice") == "multiple"
    return Form(str(found[0].get("name")), several, "verdict" in controls and not several, words)


def labels_of(texts: Iterable[str]) -> set[str]:
    """Return every name of a choice or label in these forms."""
    names: set[str] = set()
    for text in texts:
        found = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text)).iter()
        names |= {name for one in found for name in (one.get("value"), one.get("alias")) if name}
    return names


def over_http(result: Any, own: str | None, became: Became) -> set[Any] | None:
    """Return what the feedback may say by an answer that came over HTTP; None if it is none. `became` as in `form`."""
    first = result[0] if isinstance(result, list) and result and isinstance(result[0], dict) else {}
    value = first.get("value")
    if first.get("type") != OVER_HTTP or not isinstance(value, dict):
        return None
    said = own if value.get("approval") else value.get("correction")
    return {became.get(said, said) if isinstance(said, str) else said}


def _chosen(regions: Sequence[Mapping[str, Any]], name: str) -> list[str] | None:
    """Return the choices of this control, the newest if there are several regions; None if it was not answered."""
    ours = [one.get("value") for one in regions if one.get("from_name") == name]
    value = ours[-1] if ours else None
    chosen = value.get("choices") if isinstance(value, dict) else None
    return chosen if isinstance(chosen, list) and all(isinstance(one, str) for one in chosen) else None

"""The model card: its sentences follow from its figures, and its page is one file without scripts."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from typing import Any

import pytest

from backend.report.card import card_html
from backend.report.card.facts import _by_label
from backend.report.card.limits import limits
from labelloop.labeling.controls import ControlTag

GOOD: dict[str, Any] = {
    "model": {
        "loop": "tickets",
        "version": "ab" * 32,
        "name": "ab" * 6,
        "stage": "champion",
        "learner": "text",
        "params": {"field": "text", "characters": True},
        "classes": ["billing", "delivery"],
        "size_bytes": 12_345,
        "created_at": "2026-05-01T10:00:00+00:00",
        "decided": {"by": "gate", "why": "12 better, 3 worse", "at": "2026-05-01T10:00:02+00:00"},
        "file": {"checked": True, "trouble": None},
    },
    "use": {
        "labels": ["billing", "delivery"],
        "former": {},
        "fields": ["text"],
        "trigger": "model_confidence < 0.8",
        "overlap": 1,
        "targets": [{"metric": "accuracy", "goal": "increase by 5%"}],
    },
    "data": {
        "answers": 400,
        "accepted": 0,
        "groups": 390,
        "first_at": "2026-04-01T10:00:00+00:00",
        "last_at": "2026-05-01T09:00:00+00:00",
        "held_out": 200,
        "labels": [
            {"label": "billing", "taught": 250, "held_out": 120},
            {"label": "delivery", "taught": 150, "held_out": 80},
        ],
        "lanes": {"audit": 400},
        "sources": {"v7": 400},
        "reviewers": {"people": 3, "most_by_one": 200},
        "stale": {"changed": 0, "withdrawn": 0},
        "distrusted": {"taught": 0, "judged": 0},
    },
    "metrics": {
        "metric": "accuracy",
        "accuracy": {"correct": 180, "accuracy": 0.9, "low": 0.85, "high": 0.935},
        "against": "pipeline",
        "against_accuracy": {"correct": 160, "accuracy": 0.8, "low": 0.74, "high": 0.85},
        "holdout": 200,
        "gain": {"value": 0.1, "low": 0.05, "high": 0.15},
        "detectable": 0.052,
        "max_ece": None,
        "better": 30,
        "worse": 10,
        "p": 0.001,
        "reuse": {"looks": 0, "alpha": 0.05, "asked": 0.05},
        "reviewers": {"people": 3, "answered_by_several": 20, "agreement": 0.95},
        "reasons": ["30 better, 10 worse, p = 0.001 <= 0.05: promoted"],
    },
    "slices": [
        {"by": "label", "value": "billing", "n": 120, "champion": 0.8, "challenger": 0.9, "gain": 0.1, "low": 0.0,
         "high": 0.2, "fell": False},
    ],
    "calibration": {"champion": {"ece": 0.2, "bins": []}, "challenger": {"ece": 0.03, "bins": []}},
    "confusion": None,
    "speed": {"champion_ms": None, "challenger_ms": 1.5},
    "identity": {
        "sha256": "ab" * 32,
        "run": "11111111-2222-3333-4444-555555555555",
        "cut": 812,
        "seed": 0,
        "runs": [],
        "data_sha256": "cd" * 32,
        "code": "0.1.0",
        "python": "3.11.7",
        "packages": {"scikit-learn": "1.8.0"},
        "replay": "labelloop replay 11111111-2222-3333-4444-555555555555",
    },
}  # fmt: skip
ALWAYS = {"measured on", "cannot show small differences", "tend to accept it"}
"""Words of the sentences that every judged version has."""


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """The good card with some of its figures changed: ("data.answers", 3)."""
    card = copy.deepcopy(GOOD)
    for path, value in changes:
        *parents, last = path.split(".")
        part = card
        for name in parents:
            part = part[name]
        part[last] = value
    return card


def page(card: dict[str, Any]) -> str:
    return card_html({**card, "limits": limits(card)})


def test_a_good_version_has_the_limits_that_all_have() -> None:
    said = limits(GOOD)
    assert len(said) == len(ALWAYS)
    for words in ALWAYS:
        assert any(words in sentence for sentence in said), words


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("model.file.trouble", "the file of version ab is damaged", "It cannot serve predictions: the file of version"),
        ("data.stale", {"changed": 3, "withdrawn": 2}, "of which 5 are stale (3 changed, 2 withdrawn)"),
        ("data.distrusted", {"taught": 4, "judged": 1}, "4 of its training answers and 1 of its held-out ones rest on"),
        ("use.former", {"billing": ["invoices"]}, "It was trained before 'billing' became 'invoices', and what it"),
        ("data.accepted", 12, "It was also trained on 12 outputs that passed unseen"),
        ("metrics.holdout", None, "Its accuracy is not known"),
        ("metrics.detectable", 0.052, "a gain below 5.2 points"),
        ("metrics.reuse", {"looks": 4}, "4 earlier runs were judged on the same"),
        ("metrics.reuse", {"looks": 1}, "1 earlier run was judged on the same"),
        ("calibration", {"challenger": {"ece": 0.17}}, "calibration error (ECE) 17.0 %"),
        ("calibration", {"challenger": {"ece": 0.17, "low": 0.05, "high": 0.3}}, "may not be a reliable probability"),
        ("calibration", {"challenger": {"ece": 0.17, "low": 0.12, "high": 0.3}}, "is not a reliable probability"),
        ("metrics.max_ece", 0.02, "calibration error (ECE) 3.0 %"),
        ("use.labels", ["billing", "delivery", "other"], "It never predicts 'other'"),
        ("use.labels", ["billing"], "It may predict 'delivery', which the loop does not use any more"),
        ("data.labels", [{"label": "billing", "taught": 7, "held_out": 90},
                         {"label": "delivery", "taught": 90, "held_out": 90}], "trained on few answers of billing (7)"),
        ("data.labels", [{"label": "billing", "taught": 90, "held_out": 2},
                         {"label": "delivery", "taught": 90, "held_out": 90}], "accuracy on 'billing' is not known"),
        ("data.reviewers", {"people": 0, "most_by_one": None}, "The reviewers who gave its training answers"),
        ("data.reviewers", {"people": 1, "most_by_one": 400}, "One person gave all its training answers"),
        ("data.reviewers", {"people": 2, "most_by_one": 380}, "One of its 2 reviewers gave 95 %"),
        ("metrics.reviewers", {"agreement": 0.6}, "The agreement of reviewers is 60 % on held-out answers"),
        ("data.lanes", {"rule": 300, "audit": 100}, "75 % of its training answers were chosen"),
        ("slices", [{"by": "source", "value": "v6", "n": 40, "champion": 0.9, "challenger": 0.8, "gain": -0.1,
                     "low": -0.2, "high": 0.0, "fell": True}], "than the champion at that time if source is 'v6'"),
    ],
)  # fmt: skip
def test_each_weakness_of_the_figures_has_a_sentence(path: str, value: Any, says: str) -> None:
    card = changed((path, value))
    said = limits(card)
    assert any(says in sentence for sentence in said), said
    assert says.replace("'", "&#39;") in page(card)


def test_a_version_that_nobody_judged_has_a_card() -> None:
    """A version of an old labelloop, or of a run that failed: everything that may be missing is missing."""
    nothing = dict.fromkeys(GOOD["metrics"]) | {"reasons": []}
    card = changed(
        ("metrics", nothing),
        ("slices", None),
        ("calibration", None),
        ("speed", None),
        ("model.params", None),
        ("model.decided", {"by": None, "why": None, "at": None}),
        ("identity", dict.fromkeys(GOOD["identity"]) | {"sha256": "ab" * 32, "runs": []}),
        ("data", GOOD["data"] | {"answers": 0, "labels": [], "first_at": None, "last_at": None, "lanes": {},
                                 "sources": {}, "reviewers": {"people": 0, "most_by_one": None}}),
    )  # fmt: skip
    assert limits(card) == ["Its accuracy is not known: it was judged on no held-out answers."]
    assert "not measured" in page(card)


def test_the_page_runs_nothing_and_asks_nothing_of_anybody() -> None:
    """Names come from pipelines and people: they are text, whatever they hold."""
    nasty = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    card = changed(
        ("model.decided.why", nasty),
        ("data.sources", {nasty: 3}),
        ("data.labels", [{"label": nasty, "taught": 1, "held_out": 1}]),
        ("slices", [GOOD["slices"][0] | {"by": "data.queue", "value": nasty, "fell": True}]),
    )
    seen = Seen()
    seen.feed(page(card))
    assert not {"script", "img", "link", "iframe", "form", "a"} & set(seen.tags)
    assert not {"src", "href", "onerror", "action"} & set(seen.attributes)
    assert seen.open == [], "every element is closed"
    assert "url(" not in page(card)
    assert "@import" not in page(card)


def test_the_page_says_what_a_screen_reader_needs() -> None:
    seen = Seen()
    seen.feed(page(GOOD))
    assert seen.attributes["lang"] == "en"
    assert seen.tags.count("h1") == 1
    assert seen.tags.count("table") == seen.tags.count("caption") == 2
    assert {"scope", "aria-labelledby"} <= set(seen.attributes)


def test_a_text_that_only_looks_like_labels_is_one() -> None:
    for text in ("[", "[" * 100_000, "[1"):
        assert _by_label(ControlTag("Choices", "label", "text"), [(text, 2)]) == {text: 2}


def test_in_an_answer_of_several_labels_or_of_spans_each_counts() -> None:
    several = ControlTag("Choices", "label", "text", choice="multiple")
    answers = [("cat", 2), ('["cat", "dog"]', 1), ("[]", 4), ("[sic", 1)]
    assert _by_label(several, answers) == {"cat": 3, "dog": 1, "none of them": 4, "[sic": 1}
    spans = ControlTag("Labels", "label", "text", over="Text")
    assert _by_label(spans, [('[[0, 3, "dog"], [5, 9, "dog"]]', 1), ("[]", 4)]) == {"dog": 1, "none of them": 4}
    boxes = ControlTag("RectangleLabels", "boxes", "image", over="Image")
    assert _by_label(boxes, [('[{"box":[1,2,3,4],"label":"car"}]', 2)]) == {"car": 2}


def test_texts_and_orders_have_no_labels_to_count() -> None:
    assert _by_label(ControlTag("TextArea", "text", "audio"), [("[sic", 3)]) == {}
    assert _by_label(ControlTag("Ranker", "rank", "answers"), [('["a","b"]', 3)]) == {}


class Seen(HTMLParser):
    """Collects the elements and attributes of a page, and the elements that were left open."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

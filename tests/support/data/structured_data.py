"""Items with structured answers that learners can learn from, each of another kind."""

from __future__ import annotations

from labelloop.labeling.kinds.labels import write_labels as write
from labelloop.labeling.kinds.number import write_number
from labelloop.labeling.kinds.spans import Span, write_spans
from tests.support.data.learner_data import Data


def complaints(n: int = 120) -> tuple[Data, list[str]]:
    """Complaints about an order: none, one or several of three labels."""
    words = {"late": "arrived two weeks late", "rude": "the courier was rude", "torn": "the box was torn open"}
    sets = [[name for bit, name in enumerate(words) if i >> bit & 1] for i in range(n)]
    data: Data = [
        {"item": f"Order {i}: {'; '.join(words[name] for name in one) or 'all was well, thank you'}"}
        for i, one in enumerate(sets)
    ]
    return data, [write(one) for one in sets]


def letters(n: int = 120) -> tuple[Data, list[str]]:
    """Texts with spans of a person and a place; they begin with characters of 1 to 4 bytes."""
    people = ["Anna", "Zoë", "J\u0302o", "Владимир", "Ngozi", "Élodie"]
    places = ["Köln", "São Paulo", "Oslo", "Kraków"]
    data: Data = []
    answers = []
    for i in range(n):
        who, where = people[i % len(people)], places[i % len(places)]
        before, between = ["😀 ", "", "é: ", "👩\u200d👧 "][i % 4], [" wrote from ", " lives in "][i % 2]
        text, start = f"{before}{who}{between}{where}.", len(before)
        then = start + len(who) + len(between)
        data.append({"item": text})
        answers.append(write_spans([Span(start, start + len(who), "person"), Span(then, then + len(where), "place")]))
    return data, answers


def stars(n: int = 120) -> tuple[Data, list[str]]:
    said = ["awful, broken", "poor", "so so", "good", "excellent, wonderful"]
    data: Data = [{"item": f"{said[i % 5]}, order {i}"} for i in range(n)]
    return data, [str(i % 5 + 1) for i in range(n)]


def sizes(n: int = 120) -> tuple[Data, list[str]]:
    return [{"item": i % 40, "wide": True} for i in range(n)], [write_number((i % 40) ** 2 / 10) for i in range(n)]

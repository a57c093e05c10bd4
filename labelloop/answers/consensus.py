"""Consensus: the answer that several reviewers agree on, and their agreement. Pure.

What people agree on depends on the kind of answer: the first lines of each file of labelloop/labeling/kinds say it.

By majority a tie has no label, and a reviewer without a clear answer counts as one that agrees with nobody. Where the
quality of people is estimated, the probability of the label decides; a label that is not more probable than all others
together is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from uuid import UUID

from labelloop.answers.dawid_skene import Floats, Person, Quality
from labelloop.answers.feedback import Answer
from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag

_ONE_LABEL = ControlTag(tag="Choices", name="", to_name="")
_EVEN = 0.5 + 1e-6
"""A label is an answer above this probability; a tie of two is a little off 0.5."""
MOVED = 0.1
"""Difference between two certainties of one answer that is worth a new version of it."""


def consensus(
    labels: Sequence[str | None], overlap: int, control: ControlTag | None = None, tolerance: float | None = None
) -> Answer | None:
    """Return the answer that the reviewers agree on; None before `overlap` of them have answered.

    Each of `labels` is a reviewer's answer, None if it is unclear. Without a `control` each is one label. `tolerance`
    is the largest difference between numbers that count as the same; None means that of kinds/number.py.
    """
    if len(labels) < overlap or not labels:
        return None
    clear = [label for label in labels if label is not None]
    control = control or _ONE_LABEL
    label, agreement = kinds.of(control).agreed(control, clear, tolerance) if clear else (None, 0.0)
    return Answer(label, None if label is None else min(1.0, agreement / len(labels)), len(labels))


def weighed(
    answers: Sequence[tuple[Person, str | None]],
    overlap: int,
    quality: Quality[Person],
    *,
    estimate: int | None = None,
    also: Floats | None = None,
) -> Answer | None:
    """Return the most probable answer by the quality of the people; None before `overlap` of them have answered.

    Each of `answers` is a reviewer and the label, None if it is unclear. Only a label that somebody gave is an answer,
    and only if it is more probable than all others together. `estimate`: the number of the estimate that `quality`
    comes from. `also` replaces the posterior, shape (n_labels,), where a learner spoke too.
    """
    if len(answers) < overlap or not answers:
        return None
    given = [label for _, label in answers if label in quality.labels]
    if not given:
        return Answer(None, None, len(answers), None, estimate)
    posterior = quality.posterior(answers) if also is None else also
    best = max(dict.fromkeys(given), key=lambda label: posterior[quality.labels.index(label)])
    certain = float(posterior[quality.labels.index(best)])
    if certain <= _EVEN:
        return Answer(None, None, len(answers), certain, estimate)
    return Answer(best, given.count(best) / len(answers), len(answers), certain, estimate)


def adjudicated(person: UUID, label: str, labels: Sequence[str | None]) -> Answer:
    """Return the answer of an adjudicator, which is final. `labels`: the answers of all, the adjudicator's too."""
    return Answer(label, labels.count(label) / len(labels), len(labels), certainty=1.0, adjudicator=person)


def needed(overlap: int, before: int) -> int:
    """Return how many people an answer needs. `before`: people behind the newest answer, 0 if there is none.

    A larger overlap takes no answer back that fewer people gave while that was enough.
    """
    return min(overlap, before) if before else overlap


def wants_more(answer: Answer | None, most: int, sure: float) -> bool:
    """Whether one more person is to be asked about an item that at most `most` people answer.

    By majority that is while no label is ahead; otherwise while the certainty is below `sure`.
    """
    if answer is None or answer.reviewers >= most or answer.adjudicator is not None:
        return False
    return answer.label is None or (answer.certainty is not None and answer.certainty < sure)


def unsettles(before: Answer, now: Answer, sure: float) -> bool:
    """Whether a new estimate of people's quality may replace an answer that no new opinion has touched.

    Without a label it may, as soon as there is one. A label stays, unless another one is certain: at least `sure`.
    Its certainty is replaced once it has moved by MOVED. An adjudicator's answer begins or ends when `adjudicators` of
    loop.yaml changes.
    """
    if now.adjudicator != before.adjudicator:
        return True
    if now.certainty is None or now.reviewers != before.reviewers:
        return False
    if before.label is None:
        return now.label is not None
    if now.label != before.label:
        return now.label is not None and now.certainty >= sure
    return before.certainty is None or abs(now.certainty - before.certainty) >= MOVED


def certainty(agreement: float, reviewers: int) -> float:
    """Return the probability that most people would give this answer, above 0 and below 1. It weights the answer in
    training.

    More than half of all people would give it with this probability, given only that `agreement` of the `reviewers` did
    (Sheng, Provost and Ipeirotis 2008, doi:10.1145/1401890.1401965, label uncertainty). One of one gives 0.75, three of
    three 0.94, two of three 0.69. With the share alone, a single answer would count as much as three that agree.
    """
    agree = round(agreement * reviewers)
    return sum(comb(reviewers + 1, i) for i in range(agree + 1)) / float(2 ** (reviewers + 1))

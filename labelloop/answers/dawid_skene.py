"""Dawid-Skene: how reliable each person is, and the answer that this makes most probable. Pure numpy.

Each person has a confusion matrix: with which probability the person answers with a label where another one is correct.
Matrices, label shares and the correct labels are estimated together by expectation maximization (Dawid and Skene 1979,
doi:10.2307/2346806). Few answers say little about a matrix. So each one is drawn towards the matrix of a person
with this accuracy and average mistakes ("one coin"), and the accuracy towards that of all people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Person = TypeVar("Person")

PRIOR_ACCURACY = 0.7
"""Accuracy that a person has before there are answers."""
PRIOR_ANSWERS = 4.0
"""How many answers this accuracy, or that of all people, counts as."""
ROW_ANSWERS = 1.0
"""How many answers the person's accuracy counts as, in each row of the person's matrix. With 4, five labels and three
answers an item, `benchmarks.promises.crowd` was 3 points less accurate."""
MOST_STEPS = 50
CONVERGED = 1e-4
"""The estimate is finished when no probability changes by more."""
KNOWN = 0.5
"""Share of a person's answers that count for the interval of the accuracy: the quality of the others, from which the
correct labels follow, is an estimate too. With 1 the intervals held for 86 to 92 % of planted people, with 0.5 for 91
to 98 % (`benchmarks.promises.crowd --planted`)."""
LEAST_KNOWN = 1.0
"""Smallest number of answers with a known correct label from which a person's accuracy is estimated."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Estimated accuracy of a person, 0 to 1, with its 95 % interval; all None if the answers do not say it."""

    value: float | None
    low: float | None
    high: float | None
    answers: int
    """Clear answers of the person."""
    shared: int
    """Those of them about items that somebody else answered too. The others say nothing about the person."""


@dataclass(frozen=True, slots=True)
class Quality(Generic[Person]):
    """The quality of a loop's people, with all arrays in the order of `labels`."""

    labels: tuple[str, ...]
    shares: Floats
    """Share of each label among the correct ones, shape (n_labels,), sums to 1."""
    newcomer: Floats
    """Confusion matrix of a person of whom nothing is known, shape (n_labels, n_labels): a row for each correct label,
    a column for each given one; rows sum to 1."""
    people: Mapping[Person, Floats]
    """Confusion matrix of each person, as `newcomer`."""

    def posterior(self, answers: Sequence[tuple[Person, str | None]]) -> Floats:
        """Return the probability of each label given these people's answers about one item, shape (n_labels,).

        Unclear answers (None), and labels that are not among `labels`, say nothing.
        """
        logs = np.log(self.shares)
        for person, label in answers:
            if label in self.labels:
                logs = logs + np.log(self.people.get(person, self.newcomer)[:, self.labels.index(label)])
        return np.asarray(_normalized(logs[None, :])[0])


@dataclass(frozen=True, slots=True)
class Estimate:
    """Result of EM: arrays over items, people and labels, which are numbered from 0."""

    posterior: Floats
    """Probability of each label of each item, shape (n_items, n_labels); rows sum to 1."""
    confusion: Floats
    """Shape (n_people, n_labels, n_labels): person, correct label, given label; the last axis sums to 1."""
    shares: Floats
    """Share of each label, shape (n_labels,)."""
    newcomer: Floats
    """Matrix of an unknown person, shape (n_labels, n_labels)."""
    accuracy: list[Accuracy]
    """Accuracy of each person."""


def newcomers(labels: Sequence[str]) -> Quality[Person]:
    """Return what is assumed before there is any answer: equal shares, and PRIOR_ACCURACY for everybody."""
    k = len(labels)
    return Quality(tuple(labels), np.full(k, 1 / k), _one_coin(np.array(PRIOR_ACCURACY), _evenly(k)), {})


def estimate(item: Ints, person: Ints, label: Ints, *, items: int, people: int, labels: int) -> Estimate:
    """Estimate from these answers, in any order: answer i is that of `person[i]` about `item[i]`, with `label[i]`.

    The three arrays have one length, and numbers from 0 to below `items`, `people` and `labels` (at least 2). A person
    has at most one answer about an item. The same answers give the same estimate.
    """
    if labels < 2:
        raise ValueError(f"needs at least two labels; there are {labels}")
    votes = np.bincount(item * labels + label, minlength=items * labels).reshape(items, labels).astype(np.float64)
    given = votes.sum(axis=1)
    shared = given[item] > 1
    checked = float((given > 1).sum() / max(1, (given > 0).sum()))
    posterior = votes + 0.5 / labels
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(MOST_STEPS):
        # While hardly any item has two answers, nothing corrects a person's word, and the most frequent label would win
        # all items. So single answers count as given in the shares of labels, less so the more items have several.
        once = checked * posterior[given == 1] + (1 - checked) * votes[given == 1]
        shares = posterior[given > 1].sum(axis=0) + once.sum(axis=0) + 1.0
        shares /= shares.sum()
        confusion, newcomer = _confusions(posterior[item], person, label, people)
        logs = np.log(confusion)[person, :, label]
        found = _normalized(np.log(shares) + _sums(item, logs, items))
        moved = np.abs(found - posterior).max(initial=0.0)
        posterior = found
        if moved < CONVERGED:
            break
    right = posterior[item, label]
    accuracy = _accuracies(right[shared], person[shared], np.bincount(person, minlength=people))
    return Estimate(posterior, confusion, shares, newcomer, accuracy)


def _confusions(weights: Floats, person: Ints, label: Ints, people: int) -> tuple[Floats, Floats]:
    """Return the matrix of each person, and that of an unknown one. `weights`: the probability of each correct label
    of each answer's item, shape (n_answers, n_labels).
    """
    k = weights.shape[1]
    counts = _sums(person * k + label, weights, people * k).reshape(people, k, k).transpose(0, 2, 1)
    right, answers = np.trace(counts, axis1=1, axis2=2), np.bincount(person, minlength=people)
    everybody = (right.sum() + PRIOR_ACCURACY * PRIOR_ANSWERS) / (answers.sum() + PRIOR_ANSWERS)
    alone = (right + everybody * PRIOR_ANSWERS) / (answers + PRIOR_ANSWERS)
    mistakes = counts.sum(axis=0) + PRIOR_ANSWERS * _one_coin(np.array(PRIOR_ACCURACY), _evenly(k))
    mistakes[np.arange(k), np.arange(k)] = 0.0
    mistakes /= mistakes.sum(axis=1, keepdims=True)
    confusion = counts + ROW_ANSWERS * _one_coin(alone, mistakes)
    return confusion / confusion.sum(axis=2, keepdims=True), _one_coin(everybody, mistakes)


def _one_coin(accuracy: Floats, mistakes: Floats) -> Floats:
    """Return the matrix of people with these accuracies who make `mistakes`: rows sum to 1, 0 on the diagonal."""
    share = accuracy[..., None, None]
    return np.asarray(share * np.eye(len(mistakes)) + (1 - share) * mistakes)


def _evenly(k: int) -> Floats:
    """Return mistakes of which each is equally frequent."""
    return (1 - np.eye(k)) / (k - 1)


def _sums(group: Ints, rows: Floats, groups: int) -> Floats:
    """Return the sum of the rows of each group, shape (groups, n_columns)."""
    columns = [np.bincount(group, weights=column, minlength=groups) for column in rows.T]
    return np.stack(columns, axis=1)


def _normalized(logs: Floats) -> Floats:
    """Return the probabilities with these logarithms, up to a factor of each row."""
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _accuracies(right: Floats, person: Ints, answers: Ints) -> list[Accuracy]:
    """Return the accuracy of each person, by the probability `right` that each shared answer of `person` is correct.

    Where the correct label is uncertain, an answer says less. Louis 1982 (doi:10.1111/j.2517-6161.1982.tb01203.x) gives
    the share that is left; Wilson's interval counts the answers by it.
    """
    people = len(answers)
    shared = np.bincount(person, minlength=people)
    correct = np.bincount(person, weights=right, minlength=people)
    doubt = np.bincount(person, weights=right * (1 - right), minlength=people)
    found = []
    for i in range(people):
        n = int(shared[i])
        value = correct[i] / n if n else 0.0
        # The share of a person who is always correct has no variance, so one answer of each kind is added.
        middle = (correct[i] + 1) / (n + 2)
        known = KNOWN * n * max(0.0, 1 - doubt[i] / (n * middle * (1 - middle))) if n else 0.0
        if known < LEAST_KNOWN:
            found.append(Accuracy(None, None, None, int(answers[i]), n))
        else:
            found.append(Accuracy(float(value), *_wilson(value, known), int(answers[i]), n))
    return found


def _wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval; `n` need not be whole."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)

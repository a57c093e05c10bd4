"""Recipes: choose how the learner `auto` reads texts, by cross-validation on the training set, from few answers on."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from backend.learners import make
from backend.train.groups import related
from backend.train.weights import weights_of
from labelloop.errors import Failed
from labelloop.versions.items import TrainingItem

if TYPE_CHECKING:
    from backend.learners.texts.auto import Auto

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Report = Callable[[int, int], None]
MIN_COMPARED = 30
"""With fewer, `auto` keeps its defaults: they are good on most sets of texts, and the figures would be chance."""
MOST_COMPARED = 1_500
"""Answers used; from more, evenly spaced ones are taken."""
RECIPE_FOLDS = 5
REPEATED = 200
"""Up to this many answers, the folds are drawn REPEATS times, since the draw then decides much."""
REPEATS = 3
KINDS = {
    "both": "words and sentence vectors",
    "sentences": "sentence vectors alone",
    "words": "words alone",
    "bayes": "words by naive Bayes",
}
"""The recipes in words."""
SHARPNESSES = np.geomspace(0.5, 32.0, 13)
MIN_LEAD = 1.5
"""Standard errors by which a setting has to lead. The best of ten leads by one through chance too often."""
CAUTION = 2.0
"""Divides how much likelier the labels' shares make the answers, since few answers overstate it."""
SMALLEST = 1e-4
"""Lower bound of a probability, so that a single answer, perhaps a mistake, never decides."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A recipe with what cross-validation found."""

    params: Mapping[str, Any]
    """Parameters of `auto`, with `sharpness` and `shares` for logistic regression."""
    losses: Floats
    """Minus the logarithm of the probability of each answer whose label has another one."""
    right: float
    """Share of the answers that are predicted."""


def choose(
    learner: Auto, fixed: Mapping[str, Any], rows: Sequence[TrainingItem], seed: int, limit_s: float, report: Report
) -> tuple[Auto, dict[str, Any] | None]:
    """Return the learner with the chosen recipe, and the recipes tried; None if none were.

    `fixed`: parameters that loop.yaml sets. With `recipe` among them nothing is chosen. The first recipe holds back
    from mistakes. Another replaces it only if its mean loss is lower by more than MIN_LEAD standard errors of the
    paired difference (after Breiman et al. 1984, section 3.4.3). The largest such lead wins. The same rows and seed
    choose the same recipe, unless time runs out.
    """
    from backend.learners.texts.auto import CANDIDATES

    if "recipe" in fixed or len(rows) < MIN_COMPARED:
        return learner, None
    rows = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, min(len(rows), MOST_COMPARED))]
    tried: dict[str, Any] = {"answers": len(rows), "folds": RECIPE_FOLDS}
    codes = np.unique([row.label for row in rows], return_inverse=True)[1]
    folds = list(_folds(codes, related(rows, learner.field), seed, REPEATS if len(rows) <= REPEATED else 1))
    if not folds:
        why = f"the answers have fewer than 2 labels, or form fewer than {RECIPE_FOLDS} groups of related items"
        return learner, {**tried, "given_up": why}
    ends = time.monotonic() + limit_s
    inputs = Inputs(learner, rows)
    found: list[Measured] = []
    for done, candidate in enumerate(CANDIDATES):
        report(done, len(CANDIDATES))
        try:
            proba = _unseen(inputs, candidate, codes, weights_of(rows), folds, ends)
        except Failed as exc:
            return learner, {**tried, "given_up": str(exc)}
        found.append(_measured(candidate, proba, codes))
    leads = [lead(found[0].losses - one.losses) for one in found]
    best = max(range(len(found)), key=lambda i: (leads[i], -i))
    tried["tried"] = [
        {"params": dict(one.params), "right": round(one.right * len(rows)), "of": len(rows)} for one in found
    ]
    chosen = make(learner.name, {**learner.params, **found[best].params})
    tried |= {"chosen": dict(found[best].params), "said": in_words(found, found[best], len(rows))}
    return cast("Auto", chosen), tried


def in_words(found: Sequence[Measured], chosen: Measured, answers: int) -> str:
    """Return a sentence that says which recipe was chosen, and the best figure of each other kind of recipe."""

    def correct(one: Measured) -> int:
        return round(one.right * answers)

    recipe = chosen.params["recipe"]
    others: dict[str, Measured] = {}
    for one in found:
        kind = str(one.params["recipe"])
        if kind != recipe and (kind not in others or one.right > others[kind].right):
            others[kind] = one
    beside = ", ".join(f"{KINDS[kind]} {correct(one)}" for kind, one in others.items())
    strength = f", C {chosen.params['C']:g}" if "C" in chosen.params else ""
    reads = f"the learner reads {KINDS[recipe]}{strength}"
    return f"{reads}: {correct(chosen)} of {answers} answers are correct in cross-validation ({beside})"


class Inputs:
    """The input of each recipe for all rows, computed once. Words and vectors are read without any answer."""

    def __init__(self, learner: Auto, rows: Sequence[TrainingItem]) -> None:
        from backend.learners.texts.auto import words_of

        pairs = learner.featurize([row.data for row in rows])
        self._words = words_of([text for text, _ in pairs])[1]
        self._vectors = np.asarray([vector for _, vector in pairs], dtype=np.float64)
        self._known: dict[tuple[str, float], Any] = {}

    def of(self, candidate: Mapping[str, Any]) -> Any:
        """Return the candidate's input, shape (n, d), dense if it is for logistic regression."""
        recipe, weight = candidate["recipe"], candidate.get("words", 1.0)
        if recipe == "bayes":
            return self._words
        if recipe == "sentences":
            return self._vectors
        if (recipe, weight) not in self._known:
            products = (self._words @ self._words.T).toarray() * weight**2
            if recipe == "both":
                products += self._vectors @ self._vectors.T
            self._known[recipe, weight] = _coordinates(products)
        return self._known[recipe, weight]


def _coordinates(products: Floats) -> Floats:
    """Return rows with these inner products, shape (n, at most n).

    Logistic regression with a quadratic penalty depends on inner products alone, so n columns give the same result as
    tens of thousands of words.
    """
    values, vectors = np.linalg.eigh(products)
    kept = values > values[-1] * 1e-7
    found: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return found


def _unseen(
    inputs: Inputs,
    candidate: Mapping[str, Any],
    codes: Ints,
    weights: Sequence[float] | None,
    folds: Sequence[tuple[Ints, Ints]],
    ends: float,
) -> Floats:
    """Return the probabilities of each row from models that saw no related row: shape (repeats, n, k).

    Raises Failed if the time is over.
    """
    from backend.learners.refit import weighing
    from backend.learners.texts.auto import classifier

    numbers, n = inputs.of(candidate), len(codes)
    found = np.zeros((len(folds) // RECIPE_FOLDS, n, int(codes.max()) + 1))
    for place, (training, held_out) in enumerate(folds):
        if time.monotonic() > ends:
            raise Failed("the choice of a recipe would have taken too much of the run's time")
        if len(set(codes[training].tolist())) < 2:
            continue
        model = classifier(candidate["recipe"], candidate.get("C", 1.0))
        some = None if weights is None else np.asarray(weights)[training]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about answers with nearly as many labels
            model.fit(numbers[training], codes[training], **weighing(model, some))
        found[place // RECIPE_FOLDS, held_out[:, None], model.classes_] = model.predict_proba(numbers[held_out])
    return found


def _measured(candidate: Mapping[str, Any], proba: Floats, codes: Ints) -> Measured:
    """Return what the probabilities say: with labels as frequent as the answers, as far as that makes them likelier."""
    from backend.learners.texts.prior import prior

    counts = np.bincount(codes)
    judged = counts[codes] > 1  # a label with one answer is unknown whenever that answer is held out
    if not judged.any():
        judged[:] = True
    logs, answers = np.log(np.maximum(proba, SMALLEST)), codes[judged]
    shares = np.zeros(len(counts)) if candidate["recipe"] == "bayes" else prior(counts)

    def losses(times: float, share: float) -> Floats:
        found: Floats = np.mean([_losses((one * times + share * shares)[judged], answers) for one in logs], axis=0)
        return found

    totals = [np.array([losses(times, share).sum() for times in SHARPNESSES]) for share in (0.0, 1.0)]
    equal, counted = (_centre(one) for one in totals)
    difference = float(totals[1].min() - totals[0].min()) / CAUTION
    share = round(1.0 / (1.0 + float(np.exp(np.clip(difference, -50.0, 50.0)))), 3)
    times = round((1 - share) * equal + share * counted, 3)
    right = float(np.mean([((one * times + share * shares).argmax(axis=1) == codes).mean() for one in logs]))
    if candidate["recipe"] == "bayes":
        return Measured(candidate, losses(times, share), right)
    return Measured({**candidate, "sharpness": times, "shares": share}, losses(times, share), right)


def _centre(totals: Floats) -> float:
    """Return the mean sharpness, on a logarithmic scale, each weighing as much as it makes the answers likely."""
    likely = np.exp(totals.min() - totals)
    return float(np.exp(likely @ np.log(SHARPNESSES) / likely.sum()))


def _losses(scores: Floats, answers: Ints) -> Floats:
    from scipy.special import log_softmax

    found: Floats = -np.maximum(log_softmax(scores, axis=1)[np.arange(len(answers)), answers], np.log(SMALLEST))
    return found


def lead(gains: Floats) -> float:
    """Return the sum of the gains less MIN_LEAD times its standard error; 0 for equals."""
    return float(gains.sum() - MIN_LEAD * np.sqrt(((gains - gains.mean()) ** 2).sum()))


def _folds(codes: Ints, groups: Ints, seed: int, repeats: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield RECIPE_FOLDS pairs of rows to train on and held-out rows for each repeat, none with too few groups."""
    from sklearn.model_selection import StratifiedGroupKFold

    if len(set(codes.tolist())) < 2 or len(set(groups.tolist())) < RECIPE_FOLDS:
        return
    few = {code for code, n in Counter(codes.tolist()).items() if n < RECIPE_FOLDS}
    strata = np.where(np.isin(codes, list(few)), -1, codes)
    for repeat in range(repeats):
        draw = StratifiedGroupKFold(RECIPE_FOLDS, shuffle=True, random_state=seed % 2**31 + repeat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield from draw.split(codes, strata, groups)

"""A text that people write: a transcription, a translation, a caption, an edited answer. Written as the text itself.

It is in Unicode's form NFC, so that texts that look equal are equal. Blanks around it and at the ends of lines are left
out; a line ends with a line feed.

Consensus: the text that most gave. Without one it is the medoid, the text with the largest sum of similarities to all
texts. The longer of two such texts counts, since transcribers leave out more than they add. It is a tie if at most half
of the texts are CLOSE to it, so two people who differ agree only if their texts are CLOSE.

The similarity of two texts is 1 - edit distance / length of the longer one. Agreement is the mean similarity to each
person's text.

The item score is 1 - the character error rate, at least 0.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.edits import character_edits, distance, similarity, words_of

CLOSE = 0.8
"""Smallest similarity of two texts that mean the same answer."""


def canonical(control: ControlTag, answer: object) -> str:
    if not isinstance(answer, str):
        raise ValueError("must be a text")
    lines = unicodedata.normalize("NFC", answer).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = "\n".join(line.rstrip() for line in lines).strip()
    if not text:
        raise ValueError("must be a text that is not empty")
    return text


def nearest(control: ControlTag, answer: str) -> str:
    return canonical(control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    counts = Counter(answers)
    (text, most), *others = counts.most_common(2)
    if most == 1 or (others and others[0][1] == most):
        found = _medoid(counts)
        if found is None:
            return None, 0.0
        text = found
    similarities = {one: similarity(text, one) for one in counts}
    if not _is_close_to_most(similarities, counts):
        return None, 0.0
    return text, sum(similarities[one] for one in answers)


def _medoid(counts: Mapping[str, int]) -> str | None:
    """Return the text with the largest sum of similarities to all texts; None if no text is CLOSE to most.

    The similarity of two texts that are not CLOSE takes longest. It is computed only where the medoid depends on it.
    """
    near = {one: {one: 1.0} for one in counts}
    for one, other in combinations(counts, 2):
        found = similarity(one, other, CLOSE)
        if found >= CLOSE:
            near[one][other] = near[other][one] = found
    if not any(_is_close_to_most(near[one], counts) for one in counts):
        return None
    least = {one: sum(counts[other] * found for other, found in near[one].items()) for one in counts}
    far = {one: sum(n for other, n in counts.items() if other not in near[one]) for one in counts}
    first = max(least.values()) - 1e-6  # less than a difference that is rounded away below
    for one in [one for one in counts if least[one] + CLOSE * far[one] > first]:
        for other in counts:
            if other not in near[one]:
                near[one][other] = near[other][one] = similarity(one, other)
    sums = {one: sum(counts[other] * near[one].get(other, 0.0) for other in counts) for one in counts}
    return max(counts, key=lambda one: (round(sums[one], 9), len(one), one))


def _is_close_to_most(similarities: Mapping[str, float], counts: Mapping[str, int]) -> bool:
    close = sum(counts[one] for one, found in similarities.items() if found >= CLOSE)
    return 2 * close > sum(counts.values())


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return max(0.0, 1.0 - character_edits(answer, predicted) / max(1, len(answer)))


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    """Return the error rates of characters, `cer`, and of words, `wer`: edit distance / length of the answer.

    So Morris, Maier and Green 2004 (doi:10.21437/Interspeech.2004-668) define the word error rate. Both may be above 1.
    Words are what stands between blanks, as it is written: case and punctuation count.
    Languages that put no blanks between words have no `wer`.
    """
    found = {"cer": character_edits(answer, predicted) / max(1, len(answer))}
    words = words_of(answer)
    if words:
        found["wer"] = distance(words, predicted.split()) / len(words)
    return found


def weights(control: ControlTag, answer: str) -> Mapping[str, float]:
    """Return the weight of each measure of this answer in a mean: the answer's length in characters or words.

    So the mean is all edits / all characters or words, as error rates of several texts are given.
    """
    return {"cer": float(max(1, len(answer))), "wer": float(len(words_of(answer) or ()))}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    pass

"""The table of learners: what each one predicts, what it reads of an item, and whether it trains. One line each.

Their classes are in backend/learners, under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labelloop.labeling.controls import Kind

NONE = "none"
"""Learner name of a loop without a learner: nothing is trained, and the pipeline's own confidence ranks the outputs."""
ESTIMATOR = "estimator"
"""Name of the learner that wraps a scikit-learn classifier, which loop.yaml names by its import path."""
AUTO = "auto"
"""Name of the learner of texts whose runs choose how it reads them."""
TEXT = "text"
IMAGES = "images"


@dataclass(frozen=True, slots=True)
class LearnerFacts:
    """Facts about a learner that are known without importing its class."""

    predicts: Kind | None = None
    """The kind of answer; None if only the learner itself knows. Then it is checked when training starts."""
    reads: str = ""
    """Part of an item that it reads: text, images, tabular or vectors; "" if its model decides.

    A loop can override it with `learner.params.reads`.
    """
    is_frozen: bool = False
    """Whether it never trains. New answers never trigger a run for such a learner."""
    takes_form: bool = False
    """Whether its constructor takes the labeling config, as `label_config`."""
    reads_vectors: bool = False
    """Whether it reads the sentence vector of its text. `learner.params.encoder` then names the encoder."""
    paths: tuple[str, ...] = ()
    """Parameters that are paths. In loop.yaml one that begins with ./ is in the loop's folder."""


LEARNERS: Mapping[str, LearnerFacts] = {
    AUTO: LearnerFacts(Kind.LABEL, TEXT, reads_vectors=True),
    "sentences": LearnerFacts(Kind.LABEL, TEXT, reads_vectors=True),
    "text": LearnerFacts(Kind.LABEL, TEXT),
    "multilabel": LearnerFacts(Kind.LABELS, TEXT),
    "spans": LearnerFacts(Kind.SPANS, TEXT),
    "numbers": LearnerFacts(Kind.NUMBER, TEXT),
    "committee": LearnerFacts(Kind.LABEL, TEXT),
    "estimator": LearnerFacts(Kind.LABEL, TEXT),
    "images": LearnerFacts(Kind.LABEL, IMAGES, paths=("model",)),
    "incremental": LearnerFacts(Kind.LABEL, TEXT),
    "tabular": LearnerFacts(Kind.LABEL, "tabular"),
    "vectors": LearnerFacts(Kind.LABEL, "vectors"),
    "label-studio-ml": LearnerFacts(takes_form=True, paths=("folder", "python")),
    "remote": LearnerFacts(takes_form=True, is_frozen=True),
}
"""Facts by learner name. The first learner that predicts a kind of answer is the default of that kind."""


def facts_of(name: str) -> LearnerFacts:
    """Return the facts of the learner with this name; those of `estimator` for an import path.

    For a name that is not in the table, nothing is known: the facts are the defaults.
    """
    return LEARNERS.get(ESTIMATOR if "." in name else name, LearnerFacts())


def default_learner(kind: Kind) -> str:
    """Return the learner of a loop whose loop.yaml names none; NONE if none of ours predicts this kind of answer."""
    return next((name for name, facts in LEARNERS.items() if facts.predicts is kind), NONE)

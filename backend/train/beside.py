"""Beside the answers: the accepted outputs that a run is trained on, with `accept: {teach: true}`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from backend.encode.inputs import with_inputs_in
from backend.learners import Learner
from backend.learners.of_spec import field_of
from backend.train.cut import Cut, readable, with_known_labels, without_leaks
from backend.train.retrying import retrying
from labelloop.answers.consensus import certainty
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.promises import taught, trials
from labelloop.versions.items import AcceptedItem
from labelloop.versions.runs import RetrainRun

ONE_PERSON = certainty(1.0, 1)
"""Weight of the answer of one person of whom nothing is known."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The accepted outputs that a run is trained on."""

    rows: Sequence[AcceptedItem]
    """At most as many as there are answers, each with its `weight`, in the order of the keys."""
    of: int
    """Number of accepted outputs that they were drawn from."""

    @property
    def note(self) -> str:
        """Return a sentence for the run's report."""
        if not self.rows:
            drawn = f": none of the {self.of:,} that could is used" if self.of else ""
            return f"no accepted output trained it{drawn or ', since no certificate stands whose outputs could'}"
        return (
            f"also trained on {len(self.rows):,} of {self.of:,} outputs that passed unseen, with the pipeline's label: "
            f"no person confirmed them, and each counts less than one person's answer"
        )


def beside_answers(
    database: Database, settings: Settings | None, spec: LoopSpec, learner: Learner, run: RetrainRun, cut: Cut
) -> Beside | None:
    """Return the accepted outputs for this run; None if loop.yaml asks for none.

    Those that are alike to a held-out item, or that the learner cannot read, are left out, as among the answers. Each
    weighs less than any answer, also where people disagree or are known to err.
    """
    if spec.accept is None or not spec.accept.teach:
        return None
    since = run.started_at
    assert since is not None

    def gather() -> taught.Teachable:
        with database.transaction() as conn:
            return taught.teachable(conn, spec.name, trials.basis(spec), since, len(cut.training))

    found = retrying(gather)
    rows, _ = with_known_labels(spec, found.rows)
    rows = retrying(partial(with_inputs_in, database, settings, spec, rows))
    rows, _ = without_leaks(rows, cut.held_out, None if spec.learner.reads == "tabular" else field_of(spec))
    rows, _ = readable(learner, rows)
    least = min((row.weight for row in cut.training), default=ONE_PERSON)
    return Beside([replace(row, weight=(1.0 - row.error) * min(ONE_PERSON, least)) for row in rows], found.of)

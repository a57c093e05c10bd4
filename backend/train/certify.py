"""Certify: test the confidences of the model whose labels are shown, and let what the test covers pass unseen.

The worker looks again and again. A look changes nothing unless there are enough new answers for the next look of the
test (labelloop/gate/looks.py). Another model ends the certificate, and so do another promise, trigger or form, drift,
and answers that show more errors than promised.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from backend.train.drifted import drifted
from labelloop.answers.item_scores import item_score
from labelloop.gate import accept as gate
from labelloop.gate import looks
from labelloop.gate.accept import Answers, Found
from labelloop.labeling.config import LabelingConfig
from labelloop.selection import design_effect
from labelloop.spec.accept import ALL, Accept
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.promises import accepted, certificates, scored, trials
from labelloop.store.promises.certificates import Certificate
from labelloop.store.promises.scored import Scored
from labelloop.store.promises.trials import Labeller, PromiseTest
from labelloop.store.tables import jobs, loops, projects

logger = logging.getLogger(__name__)
LEVEL = 0.25
"""Population stability index that ends a certificate in a loop that does not retrain on drift."""
BROKEN = 0.01
"""If the answers since the certificate was made would be as bad as they are with less than this probability, although
the promise holds, the certificate ends.
"""
UNNAMED = (
    "the pipeline's outputs name no model_version, so that nobody could see when the model changes: send model_version "
    "with each output"
)


@dataclass(frozen=True, slots=True)
class Part:
    """The test of one row of thresholds, which is about all labels or about one."""

    answers: Answers
    received: Sequence[datetime]
    """Time of arrival of each answered output."""
    scores: looks.Floats
    """The model's confidences in outputs with and without answers."""
    row: Sequence[float]
    alpha: float
    found: Found


@dataclass(frozen=True, slots=True)
class Look:
    """All that is known about the promise of one loop now."""

    labeller: Labeller | None
    """None if nothing has come in."""
    test: PromiseTest | None
    """None before its thresholds were fixed."""
    answers: int = 0
    """Number of answers that count."""
    alpha: float = 0.0
    """Chance of error that this test may use, for all labels together."""
    number: int = 1
    parts: Mapping[str, Part] = field(default_factory=dict)
    """By label, or by ALL."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the certified thresholds by label, or by ALL."""
        return {label: part.found.threshold for label, part in self.parts.items() if part.found.threshold is not None}

    @property
    def look(self) -> int | None:
        """Return the number of answers at the last look; None before the first one."""
        upto = [size for size in looks.SIZES if size <= self.answers]
        return upto[-1] if upto else None


def certify(conn: Conn, spec: LoopSpec, *, drift: bool = True) -> Certificate | None:
    """Bring the certificate of the loop up to date, and return the one in force. The caller owns the transaction.

    `drift`: whether to look for drift even if the certificate would stay as it is; that reads many outputs.
    """
    projects.lock_hop(conn, spec.name, "certify")
    now = certificates.in_force(conn, spec.name)
    if spec.accept is None:
        if now is not None:
            certificates.end(conn, now.id, "`accept` was taken out of loop.yaml")
        return None
    who = scored.labeller(conn, spec.name)
    if now is not None and (why := _overtaken(spec, now, who)):
        certificates.end(conn, now.id, why, succeeded=now.basis == trials.basis(spec))
        now = None
    if who is None or not who.version:
        return None
    found = look_at(conn, spec, who, begin=True)
    broken = None if now is None else _contradicted(spec.accept, found, now)
    is_new = now is None or now.thresholds != found.thresholds
    if broken is None and (drift or (is_new and found.thresholds)):
        broken = drifted(conn, spec, spec.retrain.drift or LEVEL)
    if broken is not None:
        if now is not None:
            _withdraw(conn, now, broken)
        return None
    return _renew(conn, spec.accept, found, now)


def certify_all(database: Database, *, drift: bool) -> None:
    """Bring the certificates of all loops up to date, each in a transaction of its own."""
    with database.transaction() as conn:
        names = loops.names(conn)
    for name in names:
        with database.transaction() as conn:
            spec = loops.at_work(conn, name)
            if spec is not None and (spec.accept is not None or certificates.in_force(conn, name) is not None):
                certify(conn, spec, drift=drift)


def revoke(conn: Conn, spec: LoopSpec, certificate: Certificate, by: str, why: str) -> int | None:
    """Revoke a certificate: all that it let pass goes back to people. Returns how many; None if it was revoked before.

    Later certificates that rest on the same answers are revoked with it, for the same reason. The tests are closed, so
    that the same answers make no certificate again.
    """
    projects.lock_hop(conn, spec.name, "certify")
    if not certificates.revoke(conn, certificate.id, by, why):
        return None
    n = accepted.revoke(conn, certificate, why)
    for later in certificates.on_answers_of(conn, certificate):
        certificates.revoke(conn, later.id, by, why)
        n += accepted.revoke(conn, later, why)
    closed = f"{by} revoked certificate {str(certificate.id)[:8]}: {why}"
    trials.close_all(conn, spec.name, certificate.of, certificate.made_at, closed)
    if n:
        for job in (jobs.PRELABEL, jobs.PUSH):
            jobs.ask(conn, job, spec.name)
    return n


def look_at(conn: Conn, spec: LoopSpec, who: Labeller, *, begin: bool = False) -> Look:
    """Return what the answers say about the promise now. Writes nothing, unless a test begins and `begin` is true.

    A test begins at the first look's number of answers: its thresholds are chosen by confidences alone.
    """
    assert spec.accept is not None
    basis = trials.basis(spec)
    test = trials.open_(conn, spec.name, who, basis)
    closed = None if test else trials.last_closed(conn, spec.name, who)
    since = test.since if test else None if closed is None else closed.closed_at
    number = test.number if test else trials.next_number(conn, spec.name, who)
    rows = scored.answered(conn, spec, who, since)
    losses = [loss_of(spec.config, row) for row in rows]
    rows = [row for row, loss in zip(rows, losses, strict=True) if loss is not None]
    known = _Known(spec, rows, [loss for loss in losses if loss is not None], scored.scores(conn, spec, who, since))
    alpha = (1.0 - spec.accept.confidence) * looks.of_model(number)
    each = alpha / len(known.labels)
    thresholds = test.thresholds if test else known.rows(each)
    if test is None and begin and len(rows) >= looks.SIZES[0]:
        test = trials.begin(conn, spec.name, who, basis, number, thresholds, since)
    parts = {label: known.part(label, thresholds.get(label, ()), each, len(rows)) for label in known.labels}
    return Look(who, test, len(rows), alpha, number, parts)


def loss_of(config: LabelingConfig, row: Scored) -> float | None:
    """Return the share of the reviewers for whom the model's label is not exactly correct, 0 to 1; None if unclear.

    A structured answer counts as incorrect unless all of it is correct: its item score is 1.
    """
    opinions = row.opinions if row.answer is None else [row.answer]
    if not opinions:
        return None
    wrong = [label is None or item_score(config, label, row.label) < 1.0 - 1e-9 for label in opinions]
    return sum(wrong) / len(wrong)


class _Known:
    """The answers and confidences of one model, by label if the promise is."""

    def __init__(
        self, spec: LoopSpec, rows: Sequence[Scored], losses: Sequence[float], scores: Sequence[tuple[str, float]]
    ) -> None:
        assert spec.accept is not None
        self.error = spec.accept.error
        self.labels = spec.labels if spec.accept.by else (ALL,)
        self._rows = rows
        _, groups = np.unique([row.group_key for row in rows], return_inverse=True)
        confidence = np.array([row.confidence for row in rows], dtype=np.float64)
        self._all = Answers(confidence, np.array(losses, dtype=np.float64), groups.astype(np.intp))
        self._of = np.array([row.label for row in rows], dtype=object)
        self._scores = np.array([confidence for _, confidence in scores], dtype=np.float64)
        self._labels = np.array([label for label, _ in scores], dtype=object)

    def rows(self, alpha: float) -> dict[str, tuple[float, ...]]:
        """Return the thresholds to test, by label or by ALL."""
        found = {}
        for label in self.labels:
            mine = self._scores[self._are(self._labels, label)]
            share = len(mine) / len(self._scores) if len(self._scores) else 1.0
            found[label] = gate.begin(mine, self.error, alpha, share)
        return found

    def part(self, label: str, row: Sequence[float], alpha: float, total: int) -> Part:
        """Return the test of one label's thresholds."""
        mine = self._are(self._of, label)
        # The looks go by all answers. Those of other labels count as below every threshold.
        confidence = np.where(mine, self._all.confidence, -1.0)
        answers = Answers(confidence, self._all.loss, self._all.group)
        return Part(
            answers,
            [row.received_at for row in self._rows],
            self._scores[self._are(self._labels, label)],
            row,
            alpha,
            gate.examine(answers, row, self.error, alpha),
        )

    @staticmethod
    def _are(
        labels: np.ndarray[tuple[int], np.dtype[np.object_]], label: str
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if label == ALL:
            return np.ones(len(labels), dtype=np.bool_)
        return np.asarray(labels == label, dtype=np.bool_).reshape(len(labels))


def _overtaken(spec: LoopSpec, now: Certificate, who: Labeller | None) -> str | None:
    """Return why the certificate is about something else than what the loop does now; None if it is not."""
    if now.basis != trials.basis(spec):
        return certificates.CHANGED
    if who != now.of:
        instead = "no model" if who is None else who.words
        return f"labels are from {instead} now; it was made for {now.of.words}"
    return None


def _contradicted(promise: Accept, found: Look, now: Certificate) -> str | None:
    """Return the reason if outputs since the certificate was made have more errors: all that pass, or one label's."""
    each = {label: _later(part, now, label) for label, part in found.parts.items() if label in now.thresholds}
    together = {ALL: (sum(n for n, _ in each.values()), sum(wrong for _, wrong in each.values()))}
    for label, (n, wrong) in (together | each).items():
        broken = BROKEN if label == ALL else BROKEN / len(each)
        if n >= 1 and gate.at_least(int(wrong), int(n), promise.error) < broken:
            what = "outputs" if label == ALL else f"outputs with the label {label!r}"
            return (
                f"{wrong:.0f} of {n:.0f} answers to {what} that came since it was made say incorrect; it promised at "
                f"most {100 * promise.error:g} %"
            )
    return None


def _later(part: Part, now: Certificate, label: str) -> tuple[float, float]:
    """Return the number of independent answers to outputs that came since the certificate was made and that it covers,
    and how many of them say incorrect.
    """
    later = np.array([at > now.made_at for at in part.received], dtype=np.bool_)
    newer = part.answers.take(later & (part.answers.confidence >= now.thresholds[label]))
    effect = design_effect.of_groups(newer.loss, newer.group)
    return len(newer) / effect, float(newer.loss.sum()) / effect


def _withdraw(conn: Conn, now: Certificate, why: str) -> None:
    """End the certificate, and let the answers before this moment count no more."""
    certificates.end(conn, now.id, why)
    trials.close(conn, now.test_id, why)
    logger.info("loop %s: certificate %s ended: %s", now.loop, now.id, why)


def _renew(conn: Conn, promise: Accept, found: Look, now: Certificate | None) -> Certificate | None:
    """Make the certificate that the answers support, if it differs from the one in force."""
    thresholds, look = found.thresholds, found.look
    if now is not None and now.thresholds == thresholds and found.test is not None and now.test_id == found.test.id:
        if look is not None:
            certificates.seen(conn, now.id, look)
        return now
    if not thresholds or found.test is None or look is None:
        if now is not None:
            why = "too few of the answers that it rests on count now"
            if found.test is not None and look is not None:
                rate = f"more than {100 * promise.error:g} % of the answers are incorrect above its threshold"
                why = f"the newest answers do not support it: {rate}"
            certificates.end(conn, now.id, why)
        return None
    if now is not None:
        certificates.end(conn, now.id, f"renewed with {look:,} answers", replaced=True)
    made = certificates.make(conn, found.test, promise.error, promise.confidence, thresholds, look)
    n = accepted.accept_all(conn, made)
    logger.info("loop %s: certificate %s made with %d answers, %d outputs pass", made.loop, made.id, look, n)
    return made

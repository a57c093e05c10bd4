"""Steps: the error rate, the corrections and what rests on them, for each step of the pipeline."""

from __future__ import annotations

from backend.report.error_rate import Report, error_rate_report
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import chains, error_rate

MOST_STEPS = 50
"""Steps in one report, those with the most outputs; each one is an estimate of its own."""


MOST_ON_A_PAGE = 20


def step_reports(conn: Conn, spec: LoopSpec, most: int = MOST_STEPS) -> list[Report]:
    """Return a report for each step that the outputs of the loop name, the one with the most outputs first.

    Each is the `error_rate_report` of the step with four more keys. `step` is None for the outputs that name none.
    `reviewed_outputs` are answered and have a label of the pipeline, and `corrections` counts the incorrect ones.
    `rests_on_correction` counts the outputs after a corrected step of their trace. The list is empty if no output names
    a step.
    """
    found = error_rate.steps(conn, spec.name, most)
    if not found:
        return []
    answers, resting = chains.corrections(conn, spec), chains.resting(conn, spec)
    reports = []
    for step in found:
        answered, corrected = answers.get(step.name, (0, 0))
        reports.append(
            {
                "step": step.name,
                **error_rate_report(conn, spec, step),
                "reviewed_outputs": answered,
                "corrections": corrected,
                "rests_on_correction": resting.get(step.name, 0),
            }
        )
    return reports

"""The pages below a loop's page, and the same reports as JSON below /v1/review: one line each.

A page's template has the name of the page. A new page needs a line in PAGES and one in backend/description.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backend.report.corrections import ANSWERS_ON_A_PAGE, corrections_of
from backend.report.estimates.accuracy import accuracy_report
from backend.report.estimates.judge import judge_report
from backend.report.estimates.opinions import opinions_report
from backend.report.estimates.progress import progress_report
from backend.report.estimates.threshold import threshold_report
from backend.report.estimates.working import working_report
from backend.report.parts import Report, as_json
from backend.report.people import people_report
from backend.review import estimate_charts, progress_charts, threshold_charts
from backend.review.alerts import alerts_report
from backend.review.guard import identity
from backend.review.opinions_charts import opinions_charts
from labelloop.errors import UnknownValue
from labelloop.store.database import Conn

Charts = Callable[[Report], Mapping[str, str]]
"""Returns SVG by the name of the chart; "" where there is nothing to draw."""


@dataclass(frozen=True, slots=True)
class LoopPage:
    report: Callable[..., Report]
    """Makes the report of a loop from a connection and the loop's name. Raises UsageError if there is no such loop."""
    charts: Charts = lambda report: {}
    takes: Sequence[str] = ()
    """Parameters of the address that `report` takes by name, each a text."""

    def of(self, conn: Conn, loop: str, asked: Mapping[str, str]) -> Report:
        """Return the report that the parameters ask for.

        Raises UsageError if there is no such loop, and UnknownValue for a parameter or value that is not known.
        """
        for name in asked:
            if name not in self.takes:
                takes = f"it takes: {', '.join(self.takes)}" if self.takes else "it takes none"
                raise UnknownValue(f"this report has no parameter {name!r}; {takes}")
        return self.report(conn, loop, **asked)


def _accuracy(conn: Conn, loop: str) -> Report:
    return as_json(accuracy_report(conn, loop))


def _judge(conn: Conn, loop: str, model_version: str | None = None) -> Report:
    return as_json(judge_report(conn, loop, model_version))


def _corrections(conn: Conn, loop: str) -> Report:
    return corrections_of(conn, loop, datetime.now(UTC), most=ANSWERS_ON_A_PAGE)


def _people(conn: Conn, loop: str) -> Report:
    known = identity()
    return people_report(conn, loop, "" if known is None else known.name)


def _working(conn: Conn, loop: str, person: str | None = None) -> Report:
    return working_report(conn, loop, datetime.now(UTC), person)


PAGES: Mapping[str, LoopPage] = {
    "accuracy": LoopPage(_accuracy, estimate_charts.of_accuracy),
    "alerts": LoopPage(alerts_report, takes=("state",)),
    "corrections": LoopPage(_corrections),
    "judge": LoopPage(_judge, estimate_charts.of_judge, takes=("model_version",)),
    "opinions": LoopPage(opinions_report, opinions_charts),
    "people": LoopPage(_people),
    "progress": LoopPage(progress_report, progress_charts.drawn),
    "threshold": LoopPage(threshold_report, threshold_charts.curves, takes=("by",)),
    "working": LoopPage(_working, takes=("person",)),
}

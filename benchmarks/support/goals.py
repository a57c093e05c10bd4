"""Goals: the value that each benchmark is to reach beside the measured value, as rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table. `limit` is a ratio ours / peer, or megabytes where `unit` says so."""

    name: str
    against: str
    limit: float
    unit: str = "x"
    at_least: bool = False
    """True: more is better."""

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def shown(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured values for a goal, one for each repeat in their order; the median decides."""

    goal: Goal
    values: Sequence[float]
    facts: str
    """Times of both sides, in plain units."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def reached(self) -> bool:
        return self.goal.reached(self.median)


SERVICE_GOALS = (
    INTAKE_RATE := Goal("intake, rate", "COPY to a temporary table, then insert of the same rows", 0.5, at_least=True),
    INTAKE_TWO := Goal("intake, rate over two connections", "the same bare side over one", 0.8, at_least=True),
    INTAKE_ONE := Goal("intake, one output, p50", "a bare Flask route that inserts one row", 2),
    INTAKE_MEMORY := Goal("intake, peak memory of the service, 1 million lines", "a fixed limit", 300, "MB"),
    INTAKE_FULL_RATE := Goal("intake, rate, 10 million stored", "the same bare side", 0.5, at_least=True),
    INTAKE_FULL_TWO := Goal("intake, two connections, 10 million stored", "the same bare side", 0.8, at_least=True),
    INTAKE_FULL_MEMORY := Goal("intake, peak memory, 10 million stored", "a fixed limit", 300, "MB"),
    PUSH := Goal("push", "Label Studio's bare import of the same tasks in the same batches", 1.15),
    PULL := Goal("pull, stored and resolved", "Label Studio's bare incremental read of the same tasks", 1.2),
    CATCHES_UP := Goal("10,000 answers given while the sync worker was down are stored", "a fixed limit", 60, "s"),
    KAFKA_RATE := Goal("intake from Kafka, rate", "the same outputs over HTTP", 0.8, at_least=True),
    SUBMIT_P50 := Goal("submit while training runs, p50", "the same project without labelloop", 1.15),
    SUBMIT_P95 := Goal("submit while training runs, p95", "the same project without labelloop", 1.15),
    QUIET_P50 := Goal("submit while nothing trains, p50", "the same project without labelloop", 1.1),
    QUIET_P95 := Goal("submit while nothing trains, p95", "the same project without labelloop", 1.1),
    SUBMIT_CPU := Goal("Label Studio's processor time of a Submit, training", "the same without labelloop", 1.15),
    QUIET_CPU := Goal("Label Studio's processor time of a Submit, no training", "the same without labelloop", 1.15),
    SUBMIT_ARRIVES := Goal("from the click to the answer in Postgres, the latest", "a fixed limit", 5, "s"),
    SUBMIT_DRY := Goal("served no task, five people who answer every 3 s", "a fixed limit", 0, "times"),
    PREDICT_P50 := Goal("/predict, p50", "a bare Flask route around a bare predict_proba", 2),
    PREDICT_P99 := Goal("/predict, p99", "a bare Flask route around a bare predict_proba", 3),
    BUSY_P50 := Goal("/predict while training runs, p50", "the same bare route while nothing trains", 2),
    BUSY_P99 := Goal("/predict while training runs, p99", "the same bare route while nothing trains", 3),
    PREDICT_HUNDRED := Goal("/predict for 100 tasks, p50", "the same bare route for 100", 2),
    PREDICT_THOUSAND := Goal("/predict for 1,000 tasks, p50", "the same bare route for 1,000", 2),
    PREDICT_TEXT := Goal("/predict for a text of 100,000 characters, p50", "a bare route around that model", 2),
    PREDICT_BESIDE := Goal("/predict for one task beside 1,000, p50", "the bare route under the same load", 2),
    PREDICT_EIGHT := Goal("/predict, eight askers at once, rate", "the same bare route", 1, at_least=True),
    MEMORY := Goal("memory at rest, one loop with a champion (PSS)", "Label Studio's own", 1),
)
"""Goals of the services and the hops."""

RANKING_GOALS = (
    LEAST_CONFIDENCE_NUMPY := Goal("least confidence, 1 million x 10", "plain numpy over rows", 4, at_least=True),
    LEAST_CONFIDENCE_MODAL := Goal("least confidence, the same rows", "modAL's measure", 6, at_least=True),
    MARGIN_NUMPY := Goal("margin, 1 million x 10", "plain numpy over rows", 4, at_least=True),
    MARGIN_MODAL := Goal("margin, the same rows", "modAL's measure", 6, at_least=True),
    ENTROPY_MODAL := Goal("entropy, the same rows", "modAL's measure", 2, at_least=True),
    WIDE_MARGIN_NUMPY := Goal("margin, 1 million x 100", "plain numpy over rows", 1.5, at_least=True),
    WIDE_MARGIN_MODAL := Goal("margin, the same 100 columns", "modAL's measure", 2, at_least=True),
    TOP_K := Goal("the 100 best of 10 million", "np.argpartition", 5, at_least=True),
)
"""Goals for arrays in memory alone: how many times as fast as the peer."""

DIVERSE_GOALS = (
    DIVERSE_MODAL := Goal("100 diverse of 100,000 x 384", "modAL's ranked batch, 64 columns", 100, at_least=True),
    DIVERSE_CORESET := Goal("100 diverse, the same rows", "scikit-activeml's CoreSet, 64 columns", 30, at_least=True),
    DIVERSE_MEMORY := Goal("100 diverse, peak memory", "the vectors of all that waits", 2),
)
"""Goals for waiting outputs in memory: how many times as fast as the peer."""

WAITING_GOALS = (
    NEXT_FRESH := Goal("next 50 of 10 million, all of them fresh", "a fixed limit", 5, "ms"),
    NEXT_HALF := Goal("next 50, half of them fresh", "a fixed limit", 5, "ms"),
    NEXT_STALE := Goal("next 50, none of them fresh", "a fixed limit", 5, "ms"),
    RENEWAL := Goal("window of 50 renewed after a promotion, 100,000 waiting", "a fixed limit", 10, "s"),
    RESCORE := Goal("re-score 1 million, stored", "predict_proba and COPY of the same rows", 2),
)
"""Goals for waiting outputs in Postgres."""

ANSWERING_GOALS = (
    WAITERS_LAST := Goal("1,000 waiters, from the answers to the last response", "a fixed limit", 5, "s"),
    WAITERS_MEMORY := Goal("memory of 1,000 waiters", "a fixed limit", 50, "MB"),
    WAITERS_SUBMIT := Goal("one output submitted beside 1,000 waiters, p50", "the same without waiters", 1.2),
    DECIDE := Goal("submit and decide without review, p95", "a fixed limit", 20, "ms"),
)
"""Goals of the ways out. Their table is in docs/pipelines/waiting.md."""

ENCODING_GOALS = (
    ENCODE_RATE := Goal("texts of 50 characters encoded by one core", "a fixed limit", 500, "texts/s", at_least=True),
    ENCODE_MEMORY := Goal("memory of a process that encodes", "a fixed limit", 200, "MB"),
    ENCODE_SUBMIT_P50 := Goal("submit while texts are encoded, p50", "the same while nothing is encoded", 1.15),
    ENCODE_SUBMIT_P95 := Goal("submit while texts are encoded, p95", "the same while nothing is encoded", 1.15),
    COMPARE := Goal("window of 50 chosen by sentence vectors", "the same texts compared by their letters", 1.5),
    ENCODE_ALL := Goal("100,000 short texts encoded by the worker, nobody at work", "a fixed limit", 10, "minutes"),
)
"""Goals of sentence vectors. Their table is in docs/engineers/sentences.md."""

ADOPTING_GOALS = (ADOPT := Goal("adopt 10,000 annotated tasks, beyond the export", "the bare export", 180, "s"),)
"""Goals of an adoption. Their table is in docs/operators/adopt.md."""

RECORD_GOALS = (
    RECORD_INTAKE := Goal("2,000 outputs taken over HTTP", "the same without the record", 1.15),
    RECORD_STATES := Goal("processor time of 2,000 outputs through three states", "the same without the record", 1.15),
    RECORD_ANSWER := Goal("an answer over HTTP, p50", "the same without the record", 1.15),
    RECORD_SEAL := Goal("entries sealed", "a fixed limit", 10_000, "rows/s", at_least=True),
)
"""Goals of the record. Their table is in docs/operators/record.md."""

GOALS = (*SERVICE_GOALS, *RANKING_GOALS, *DIVERSE_GOALS, *WAITING_GOALS)
"""The goals in the order of the table in docs/operators/performance.md."""

HEAD = ("what", "measured beside it", "median", "range", "goal", "reached")


def row(measured: Measured) -> tuple[str, ...]:
    """As the table shows it."""
    goal, values = measured.goal, measured.values
    digits = {"x": 2, "ms": 1, "s": 1}.get(goal.unit, 0)
    number = f"{{:.{digits}f}} {goal.unit}".format
    spread = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else "one run"
    # A digit more than the range has, so that a median beside its limit does not look as if it stood on it.
    middle = f"{measured.median:.3f} x" if goal.unit == "x" else number(measured.median)
    return (goal.name, goal.against, middle, spread, goal.shown(), "yes" if measured.reached else "no")


def markdown(results: Sequence[Measured]) -> str:
    """The table as it stands in docs/operators/performance.md."""
    rows = [HEAD, ("---",) * len(HEAD), *map(row, results)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)

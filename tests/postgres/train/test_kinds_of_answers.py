"""A model of others in loops whose answers are texts, regions, orders or several controls: taught, judged, promoted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.report.card import card
from backend.report.error_rate import error_rate_report
from backend.report.runs import run_report
from backend.score.prelabel import prelabel
from backend.train.retrain import retrain
from labelloop.labeling.kinds import canonical
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs, runs, versions
from tests.support.backend_factory import answer, settings_for
from tests.support.data.every_kind import FAMILIES, Family
from tests.support.network.chat_server import KEY, ChatServer, chat_server

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.5
  audit: 0.0
  {answer}
  gate: {{rule: expected_loss, min_holdout: 10}}
  learner: {{name: remote, field: say, params: {{url: "{url}", model: m-1, key_env: CHAT_KEY}}}}
"""
N, ANSWERED = 60, 50
MEASURES = {
    "text": ["Character error rate (CER)", "Word error rate (WER)"],
    "regions": ["Mean IoU"],
    "order": ["Kendall's tau"],
    "form": [
        "boxes: item score",
        "boxes: Mean IoU",
        "caption: item score",
        "caption: Character error rate (CER)",
        "caption: Word error rate (WER)",
        "sky: item score",
    ],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("CHAT_KEY", KEY)
    with chat_server() as found:
        yield found


def worse(kind: str, family: Family, n: int) -> str:
    """The pipeline's answer: never the true one."""
    return family.texts[(n + 1) % len(family.texts)] if kind != "text" else family.texts[n % 3] + " no"


@pytest.mark.parametrize("kind", sorted(MEASURES))
def test_a_loop_of_any_kind_is_taught_judged_promoted_and_prelabelled(
    database: Database, database_url: str, tmp_path: Path, server: ChatServer, kind: str
) -> None:
    family, settings = FAMILIES[kind], settings_for(database_url, tmp_path)
    named = f"answer: [{', '.join(family.answer)}]" if family.answer else ""
    form = f'<View><Text name="say" value="$say"/>{family.form}</View>'
    spec = parse(kind, YAML.format(url=server.url, answer=named), form)
    control = spec.config.answer
    truths = [family.texts[n % 3] for n in range(N)]
    with database.transaction() as conn:
        loops.register(conn, spec)
        made = []
        for n, truth in enumerate(truths):
            data = family.data(n) | {"say": f"item {n} answers {truth}"}
            said = canonical(control, worse(kind, family, n))
            made.append(Output(f"item-{n}", data, label=said, confidence=0.5, model_version="weak-1"))
        new, known, _ = outputs.insert(conn, spec.name, [outputs.Row.of(one, place(one, spec)) for one in made])
        ids = {stored.key: stored.id for stored in [*new, *known]}
        answer(conn, spec.name, {ids[f"item-{n}"]: truths[n] for n in range(ANSWERED)})
        runs.request(conn, spec.name, "a test")
    retrain(database, settings, spec.name, threading.Event())
    with database.transaction() as conn:
        [run] = runs.latest(conn, spec.name)
        assert run.status == "promoted", (run.error, run.reasons)
        report = run_report(conn, run.id)
        accuracy = error_rate_report(conn, spec)
    assert report["challenger"]["accuracy"] == 1
    assert report["champion"]["accuracy"] < 1
    assert [row["name"] for row in report["measured"]] == MEASURES[kind]
    if kind != "form":  # its controls are not answered by every item
        assert all(row["challenger"].endswith(f"({report['held_out']} items)") for row in report["measured"])
    assert any("item score" in sentence for sentence in accuracy["sentences"])
    assert prelabel(database, spec.name, settings.models_dir) > 0
    with database.transaction() as conn:
        labels = {row["key"]: row["label"] for row in conn.execute("select key, label from pool")}
        champion = versions.champion(conn, spec.name)
    assert champion is not None
    assert labels
    assert all(label == truths[int(key.partition("-")[2])] for key, label in labels.items())
    metrics = card(database, champion.id)["metrics"]
    assert [row["name"] for row in metrics["measures"]] == MEASURES[kind]

"""The error rate by step: the estimate of each step is that of a loop which has only this step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from backend.report.error_rate import error_rate_report
from backend.report.loops import loop_report
from backend.report.steps import step_reports
from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import answer, texts_spec
from tests.support.hops.chained import review

ERRORS = {"retrieve": 0.4, "draft": 0.1, None: 0.2}
SPEC = texts_spec(audit=0.3, holdout=0.3)


def stream(conn: Conn, spec: LoopSpec = SPEC, n: int = 600) -> None:
    """Outputs of traces of three steps, of which the last one has no name; chance chose many, and people answered."""
    rng = np.random.default_rng(5)
    loops.register(conn, spec)
    truths = {}
    for i in range(n):
        step = list(ERRORS)[i % 3]
        said = Output(
            f"k{i}", {"text": "x"}, label="ham", confidence=float(rng.random()), trace=f"t{i // 3}", step=step
        )
        [stored], _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(said, place(said, spec))])
        truths[stored.id] = "spam" if rng.random() < ERRORS[step] else "ham"
    answer(conn, spec.name, {id_: truth for i, (id_, truth) in enumerate(truths.items()) if i % 5})
    conn.execute("update outputs set received_at = now() - interval '9 day' + substr(key, 2)::int * interval '1 min'")


def test_each_step_has_the_estimate_of_a_loop_that_has_only_this_step(database: Database) -> None:
    with database.transaction() as conn:
        stream(conn)
        reports = {report["step"]: report for report in step_reports(conn, SPEC)}
        everything = error_rate_report(conn, SPEC)
    assert set(reports) == set(ERRORS)
    assert sum(report["outputs"] for report in reports.values()) == everything["outputs"] == 600
    assert sum(report["answers"] for report in reports.values()) == everything["answers"]
    for step, report in reports.items():
        assert report["low"] < ERRORS[step] < report["high"]
        with database.transaction() as conn, conn.transaction(force_rollback=True):
            for table in ("answers", "pool", "told_answers", "feedback_changes"):
                conn.execute(
                    f"delete from {table} using outputs o where o.id = output_id and o.step is distinct from %s", [step]
                )
            conn.execute("delete from outputs where step is distinct from %s", [step])
            alone = error_rate_report(conn, SPEC)
        assert {name: report[name] for name in alone} == alone


def test_the_command_and_the_page_count_corrections_and_what_rests_on_them(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        stream(conn, n=9)
        conn.execute("delete from answers")
        [key, first] = conn.execute("select key from outputs where lane <> 'pass' and step = 'retrieve'").fetchall()[:2]
    review(database, key["key"], "spam")
    review(database, first["key"], "ham")
    found = json.loads(accuracy(database, tmp_path, "--loop", "texts", "--by", "step", "--json").stdout)
    counts = {s["step"]: (s["reviewed_outputs"], s["corrections"], s["rests_on_correction"]) for s in found["steps"]}
    assert counts == {"retrieve": (2, 1, 0), "draft": (0, 0, 1), None: (0, 0, 1)}
    table = accuracy(database, tmp_path, "--loop", "texts", "--by", "step").stdout
    assert "rest on a corrected step" in table
    assert "(none)" in table
    with database.transaction() as conn:
        page = loop_report(conn, "texts")
    assert [step["step"] for step in page["steps"]] == [step["step"] for step in found["steps"]]
    status = json.loads(command(database, tmp_path, "status", "--loop", "texts", "--json").stdout)
    assert (status[0] if isinstance(status, list) else status)["rests_on_correction"] == 2


def test_where_no_output_names_a_step_the_command_says_so(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loops.register(conn, SPEC)
        said = Output("k", {"text": "x"}, label="ham", confidence=0.5)
        outputs.insert(conn, SPEC.name, [outputs.Row.of(said, place(said, SPEC))])
    assert accuracy(database, tmp_path, "--by", "step").stdout == "No output of loop texts names a step.\n"
    assert json.loads(accuracy(database, tmp_path, "--by", "step", "--json").stdout)["steps"] == []
    assert "steps" not in json.loads(accuracy(database, tmp_path, "--json").stdout)


def accuracy(database: Database, folder: Path, *words: str) -> Result:
    return command(database, folder, "report", "accuracy", *words)


def command(database: Database, folder: Path, *words: str) -> Result:
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(folder)}
    return CliRunner().invoke(main, words, env=env)

"""The error rate of all outputs on the real Postgres: a backlog, disagreements, and outputs that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from backend.report.error_rate import error_rate_report
from console.cli import main
from labelloop.labeling.kinds.labels import write_labels
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.loop import complete
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import answer
from tests.support.review.stream import RANDOM, N, Stream, a_spec


def accuracy(database: Database, folder: Path, *words: str) -> Result:
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(folder)}
    return CliRunner().invoke(main, ["report", "accuracy", *words], env=env)


def test_with_a_backlog_the_command_holds_the_true_rate_and_says_how_far_the_reviewed_one_is_off(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec())
        stream.answer(conn, rule=0.2, control=0.7, audit=0.8, holdout=0.9)
    printed = accuracy(database, tmp_path, "--loop", "texts", "--json")
    found = json.loads(printed.stdout)
    assert found["outputs"] == N
    assert found["low"] < stream.rate() < found["high"]
    assert found["high"] - found["low"] < 0.12
    by_trigger = {row["triggered"]: row for row in found["strata"]}
    assert "The model's own confidence, compared with these answers, makes the interval narrower." in found["sentences"]
    for triggered, row in by_trigger.items():
        assert row["low"] < stream.rate(triggered=triggered) < row["high"]
        assert row["outputs"] == sum(p.triggered is triggered for p in stream.placed.values())
        assert set(row["lanes"]) == {"holdout", "control" if triggered else "audit"}
        assert row["waiting"] > 0
    assert found["answers"] == sum(len(stream.first(lane, s)) for lane, s in zip(RANDOM, (0.9, 0.7, 0.8), strict=True))
    assert found["reviewed"]["difference"] > 0.05
    text = accuracy(database, tmp_path, "--loop", "texts").stdout.splitlines()
    assert text == [*found["sentences"], *found["champion_sentences"]]
    assert text[0].startswith(f"About {100 * found['value']:.1f} % of all 1,200 outputs that came in are incorrect (95")
    assert any(line.startswith("Do not take the rate of all ") and "above the estimate" in line for line in text)


def test_without_an_answer_that_chance_chose_it_says_how_many_are_missing_and_from_which_lane(
    database: Database,
) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 300)
        stream.answer(conn, rule=1.0)
        found = error_rate_report(conn, stream.spec)
    assert found["value"] is None
    assert found["reviewed"]["value"] > 0
    assert found["reviewed"]["difference"] is None
    text = "\n".join(found["sentences"])
    assert text.startswith("The error rate of all 300 outputs that came in cannot be estimated yet.")
    sent, not_sent = found["strata"]
    assert sent["missing"] > 0 < not_sent["missing"]
    assert "For +- 5 points in the total of all outputs, about" in text
    assert f"about {not_sent['missing']} more answers of the audit or hold-out lane are needed" in text
    assert f"about {sent['missing']} more answers of the control or hold-out lane are needed" in text


def test_where_no_lane_draws_outputs_it_says_what_to_set(database: Database) -> None:
    with database.transaction() as conn:
        spec = a_spec().model_copy(update={"holdout": 0.0, "audit": 0.0})
        found = error_rate_report(conn, Stream(conn, spec, 50).spec)
    assert any("set audit or holdout above 0 in loop.yaml" in sentence for sentence in found["sentences"])


def test_a_loop_without_outputs_has_nothing_to_estimate(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loops.register(conn, a_spec())
    assert accuracy(database, tmp_path, "--loop", "texts").stdout == (
        "No output with a label of the pipeline has come in, so there is nothing to estimate.\n"
    )
    unknown = accuracy(database, tmp_path, "--loop", "cats")
    assert unknown.exit_code == 2
    assert "cats" in unknown.stderr


@pytest.mark.parametrize(("opinions", "loss"), [(("spam", "eggs"), 1.0), (("ham", "spam"), 0.5), ((None,), 1.0)])
def test_a_disagreement_counts_by_the_share_of_reviewers_who_find_an_error(
    database: Database, opinions: tuple[str | None, ...], loss: float
) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 60)
        [first, *_] = held = stream.first("holdout", 1.0)
        answer(conn, "texts", dict.fromkeys(held, "ham") | {first: None})
        instance = UUID(int=7)
        for i, label in enumerate(opinions):
            conn.execute(
                """
                with r as (insert into reviewers (instance, label_studio_user_id) values (%(i)s, %(n)s) returning id)
                insert into feedback (model_output_id, reviewer_id, approval, label, annotation_id, created_at,
                                      updated_at)
                select %(output)s, id, %(approval)s, %(label)s, %(n)s, now(), now() from r
                """,
                {"i": instance, "n": i, "output": first, "label": label, "approval": label == "ham"},
            )
        found = error_rate_report(conn, stream.spec)
    assert found["reviewed"]["value"] == pytest.approx(loss / len(held))
    assert (found["disagreements"], found["unclear"]) == (1, 0)
    assert any(sentence.startswith("The reviewers of 1 such output disagree.") for sentence in found["sentences"])


def test_outputs_that_tell_nothing_are_left_out_and_counted(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 200)
        stream.answer(conn, holdout=1.0)
        [unclear, back, old, bare, *_] = stream.first("holdout", 1.0)
        answer(conn, "texts", {unclear: None})
        conn.execute("insert into answers (output_id, loop, reviewers) values (%s, 'texts', 0)", [back])
        conn.execute("update outputs set triggered = null where id = %s", [old])
        conn.execute("update outputs set label = null where id = %s", [bare])
        [gold] = stream.first("rule", 0.02)[:1]
        conn.execute("update outputs set lane = 'gold', triggered = null where id = %s", [gold])
        answer(conn, "texts", {gold: "spam"})
        found = error_rate_report(conn, stream.spec)
    assert found["outputs"] == 200 - 3, "not the old, the bare and the gold one"
    assert found["answers"] == len(stream.first("holdout", 1.0)) - 4
    assert found["left_out"] == {"without_label": 1, "unknown_stratum": 1, "repeats": 0, "chosen_by_people": 0}
    assert (found["unclear"], found["disagreements"]) == (1, 0)
    assert sum(row["waiting"] for row in found["strata"]) >= 1, "an answer that was taken back is none"
    text = "\n".join(found["sentences"])
    assert "1 held-out output is left out" in text
    assert "1 output is left out: the pipeline gave no label." in text
    assert "1 output is left out: no reviewer gave a clear answer." in text


def test_outputs_that_came_after_the_last_answered_one_are_mentioned(database: Database) -> None:
    with database.transaction() as conn:
        stream = Stream(conn, a_spec(), 200)
        stream.answer(conn, holdout=1.0, audit=1.0, control=1.0)
        conn.execute("update outputs set received_at = now() where substr(key, 2)::int >= 100")
        late = [id_ for i, id_ in enumerate(stream.placed) if i >= 100]
        conn.execute("delete from answers where output_id = any(%s)", [late])
        found = error_rate_report(conn, stream.spec)
    assert 100 <= sum(row["later"] for row in found["strata"]) < 130
    assert "taken to be like those before" in "\n".join(found["sentences"])


def test_structured_answers_have_a_mean_loss(database: Database) -> None:
    tags = '<View><Text name="t" value="$text"/><Choices name="label" toName="t" choice="multiple">'
    choices = "".join(f'<Choice value="{label}"/>' for label in ("a", "b", "c"))
    xml = f"{tags}{choices}</Choices></View>"
    spec = complete({"name": "texts", "trigger": "model_confidence < 0.8", "holdout": 0.99, "labels_xml": xml})
    with database.transaction() as conn:
        loops.register(conn, spec)
        for i, given in enumerate((["a"], ["a", "b"], ["c"])):
            output = Output(f"k{i}", {"text": "x"}, label=given, confidence=0.5, model_version="m")
            [stored], _, _ = outputs.insert(conn, "texts", [outputs.Row.of(output, place(output, spec))])
            answer(conn, "texts", {stored.id: write_labels(["a"])})
        found = error_rate_report(conn, spec)
    assert found["metric"] == "loss"
    assert found["value"] == pytest.approx((0 + 0.5 + 1) / 3), "1 - the Jaccard index"
    assert found["sentences"][0].startswith(
        "The mean loss (1 - item score) of all 3 outputs that came in is about 50.0"
    )

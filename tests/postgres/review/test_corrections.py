"""Changes of shown answers on the real Postgres: as a report, a page and a command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from backend.report.corrections import corrections_report
from console.cli import main
from labelloop.labeling.kinds import canonical
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, outputs
from tests.support.review.desk import Desk, check

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  holdout: 0.0\n  audit: 0.0\n'
BOXES = """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image">
<Label value="car"/><Label value="bus"/></RectangleLabels></View>"""
HEARD = '<View><Text name="text" value="$text"/><TextArea name="said" toName="text"/></View>'
PETS = """<View><Text name="text" value="$text"/><Choices name="label" toName="text"><Choice value="cat"/>
<Choice value="dog"/></Choices></View>"""


def shown_and_answered(
    conn: Conn,
    spec: LoopSpec,
    rows: list[tuple[Any, Any]],
    champions: tuple[str, ...] = ("pipeline",),
    days_ago: tuple[int, ...] = (1,),
) -> None:
    """Write outputs with a task that showed the first of each pair, and one person's answer, the second."""
    loops.register(conn, spec)
    conn.execute(
        "insert into projects (loop, label_studio_url, signing_key) values (%s, 'http://x', 'key')", (spec.name,)
    )
    batch = conn.execute("insert into batches (loop, version, size) values (%s, 'm', 1) returning id", (spec.name,))
    [batch_row] = batch.fetchall()
    reviewer = conn.execute(
        "insert into reviewers (instance, label_studio_user_id) select instance, 1 from projects where loop = %s"
        " returning id",
        (spec.name,),
    ).fetchall()[0]
    for i, (shown, given) in enumerate(rows):
        texts = [None if one is None else canonical(spec.config.answer, one) for one in (shown, given)]
        data = {"image": "https://x.example/a.png", "text": "x"}
        output = Output(f"k{i}", data, label=texts[0], confidence=0.5, model_version="v1")
        [stored], _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(output, place(output, spec))])
        conn.execute(
            "insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,"
            " champion, ranker, shown_version) select %s, loop, %s, instance, %s, 'rule', 0.5, 0.5, %s, %s, 'pipeline',"
            " 'v' from projects where loop = %s",
            (stored.id, batch_row["id"], i, texts[0], champions[i % len(champions)], spec.name),
        )
        at = NOW - timedelta(days=days_ago[i % len(days_ago)])
        conn.execute(
            "insert into feedback (model_output_id, reviewer_id, approval, label, annotation_id, created_at,"
            " updated_at, prelabel_kept) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (stored.id, reviewer["id"], texts[0] == texts[1], texts[1], i, at, at, texts[0] == texts[1]),
        )


def box(x: float, y: float, label: str = "car") -> dict[str, Any]:
    return {"box": [x, y, 20, 20], "label": label}


def test_the_labels_that_are_corrected_most_come_first(database: Database) -> None:
    spec = parse("streets", YAML, BOXES)
    assert spec.learner.name == "none"
    with database.transaction() as conn:
        shown_and_answered(
            conn,
            spec,
            [
                ([box(0, 0), box(40, 40, "bus")], [box(0, 0), box(40, 40, "bus")]),
                ([box(0, 0), box(40, 40, "bus")], [box(1, 0), box(40, 40)]),
                ([box(0, 0)], []),
                ([], [box(5, 5, "bus")]),
            ],
            champions=("pipeline", "aaaaaaaaaaaa"),
            days_ago=(1, 9),
        )
        found = corrections_report(conn, spec, NOW)
    assert (found["answers"], found["unchanged"], found["parts"], found["corrections"]) == (4, 1, 5, 3)
    assert found["counts"] == {"kept": 2, "moved": 1, "relabelled": 1, "edited": 0, "added": 1, "deleted": 1}
    car, bus = found["labels"]
    assert (car["label"], car["shown"], car["corrections"]) == ("car", 3, 2)
    assert (bus["label"], bus["shown"], bus["corrected"], bus["counts"]["added"]) == ("bus", 2, 0.5, 1)
    assert found["confusions"] == [{"control": "boxes", "shown": "bus", "given": "car", "n": 1}]
    assert [(row["week"], row["answers"]) for row in found["weeks"]] == [("2026-05-11", 2), ("2026-05-18", 2)]
    assert {row["version"]: row["answers"] for row in found["versions"]} == {"pipeline v1": 2, "aaaaaaaaaaaa": 2}
    assert found["sentences"][0] == "1 of 4 answers to items with a prelabel were submitted unchanged (25.0 %)."
    assert "The label that is corrected most often is 'car': 2 of 3 (66.7 %)." in found["sentences"]


def test_words_of_texts_and_confusions_of_labels(database: Database) -> None:
    heard, pets = parse("heard", YAML, HEARD), parse("pets", YAML, PETS)
    with database.transaction() as conn:
        shown_and_answered(conn, heard, [("teh cat", "the cat"), ("teh dog", "the dog"), ("a bird", "a bird")])
        shown_and_answered(conn, pets, [("cat", "dog")] * 3 + [("cat", "cat")] * 5 + [("dog", "cat")])
        texts, labels = (corrections_report(conn, spec, NOW) for spec in (heard, pets))
    assert texts["words"] == [{"control": "said", "shown": "teh", "given": "the", "n": 2}]
    assert (texts["labels"][0]["label"], texts["labels"][0]["corrected"]) == ("", pytest.approx(2 / 3))
    assert [(row["shown"], row["given"], row["n"]) for row in labels["confusions"]] == [
        ("cat", "dog", 3),
        ("dog", "cat", 1),
    ]


def test_the_command_and_the_page_show_the_same(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = parse("pets", YAML, PETS)
    with database.transaction() as conn:
        shown_and_answered(conn, spec, [("cat", "dog"), ("cat", "cat")])
        conn.execute("update feedback set updated_at = now()")
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", database_url)
    said = CliRunner().invoke(main, ["corrections", "--loop", "pets"])
    assert said.exit_code == 0, said.output
    assert "1 of 2 answers to items with a prelabel were submitted unchanged (50.0 %)." in said.output
    for by in ("week", "version"):
        assert CliRunner().invoke(main, ["corrections", "--loop", "pets", "--by", by]).exit_code == 0
    as_json = json.loads(CliRunner().invoke(main, ["corrections", "--loop", "pets", "--json"]).stdout)
    assert (as_json["loop"], as_json["confusions"][0]["n"]) == ("pets", 1)


def test_the_page_and_the_report_of_a_program_show_them(desk: Desk) -> None:
    """Streets with a label of two words and one in Hebrew, and a text with a tag in it."""
    streets = parse("streets", YAML, BOXES.replace('"bus"', '"אוטובוס"').replace('"car"', '"car &lt;b&gt;"'))
    heard = parse("heard", YAML, HEARD)
    car = "car <b>"
    with desk.database.transaction() as conn:
        shown_and_answered(conn, streets, [([box(0, 0, car)], [box(0, 0, "אוטובוס")]), ([box(0, 0, car)], [])])
        shown_and_answered(conn, heard, [("teh <b>cat</b>", "the <b>cat</b>")] * 2)
        conn.execute("update feedback set updated_at = now() where model_output_id in"
                     " (select id from outputs where loop in ('streets', 'heard'))")  # fmt: skip
    with desk.page() as page:
        desk.log_in(page)
        for loop, words in (("streets", ["car <b>", "אוטובוס", "100.0 %"]), ("heard", ["teh", "the"])):
            page.goto(f"{desk.base}/review/loops/{loop}/corrections")
            page.get_by_role("heading", name=f"Corrections in {loop}").wait_for()
            for word in words:
                page.get_by_text(word, exact=False).first.wait_for()
            check(page)
            token = {"Authorization": f"Bearer {desk.token}"}
            told = page.request.get(f"{desk.base}/v1/review/loops/{loop}/corrections", headers=token).json()
            assert (told["loop"], told["answers"]) == (loop, 2)
        assert page.request.get(f"{desk.base}/v1/review/loops/no/corrections", headers=token).status == 404
    assert not desk.strays


def test_a_loop_without_prelabels_says_so(database: Database) -> None:
    spec = parse("pets", YAML, PETS)
    with database.transaction() as conn:
        loops.register(conn, spec)
        assert corrections_report(conn, spec, NOW)["sentences"] == [
            "Nobody answered an item with a prelabel in the last 90 days."
        ]

"""Questions of a pipeline about an output: its answer, and whether people approved."""

from __future__ import annotations

import pytest

from labelloop.outputs.output import OutputState
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from tests.support.intake_client import URL, Intake, output
from tests.support.rows import move_outputs


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database)


@pytest.mark.parametrize("key", ["a/1", "/a", "a/", "a//b", ".", "a/../b", "x:y-z_0.9"])
def test_any_key_that_is_taken_can_be_asked_for(intake: Intake, key: str) -> None:
    assert intake.post(output(key)).status_code == 201
    assert intake.get(f"{URL}/{key}").json["key"] == key


def test_an_answer_is_shown_once_people_agreed_and_only_while_it_stands(intake: Intake) -> None:
    intake.post(output(group="g", confidence=0.6))
    before = intake.get(f"{URL}/a/1").json
    assert (before["state"], before["label"], before["model_label"]) == ("waiting", None, "cat")
    intake.sql(
        """
        insert into answers (output_id, loop, label, agreement, reviewers)
        select id, loop, 'dog', 0.75, 4 from outputs returning output_id
        """
    )
    with intake.database.transaction() as conn:
        ids = [row["id"] for row in conn.execute("select id from outputs")]
        for state in (OutputState.PUSHING, OutputState.IN_REVIEW, OutputState.ANSWERED):
            assert move_outputs(conn, ids, state) == 1
            assert move_outputs(conn, ids, state) == 0
    after = intake.get(f"{URL}/a/1").json
    said = (after["state"], after["label"], after["approval"], after["correction"], after["agreement"])
    assert said == ("answered", "dog", False, "dog", 0.75)
    counts = intake.get("/v1/loops/pets").json
    assert counts["states"]["answered"] == 1
    assert sum(counts["lanes"].values()) == 1
    with intake.database.transaction() as conn:
        move_outputs(conn, ids, OutputState.IN_REVIEW)
    assert intake.get(f"{URL}/a/1").json["label"] is None


STARS = '<View><Text name="text" value="$text"/><Rating name="stars" toName="text"/></View>'


VERDICT = """<View><Text name="text" value="$text"/><Choices name="verdict" toName="text">
<Choice value="approve"/><Choice value="reject"/></Choices></View>"""


@pytest.mark.parametrize(
    ("xml", "said", "answer", "approval", "shown"),
    [
        (STARS, 3.7, "4", True, (True, None)),
        (STARS, 3.7, "2", False, (False, "2")),
        (VERDICT, "cat", None, False, (False, None)),
        (VERDICT, "cat", None, None, (None, None)),
    ],
)
def test_approval_is_what_feedback_has(
    database: Database, xml: str, said: object, answer: str | None, approval: bool | None, shown: object
) -> None:
    """A person cannot choose 3.7 stars, and a reject without a correction names no label."""
    intake = Intake(database, parse("pets", "feedback_loop: {trigger: model_confidence < 0.8}", xml))
    new = {"key": "a/1", "data": {"text": "miaow"}, "label": said, "confidence": 0.5}
    assert intake.post(new).status_code == 201
    with database.transaction() as conn:
        conn.execute(
            """
            insert into reviewers (instance, label_studio_user_id) values (gen_random_uuid(), 1);
            update outputs set state = 'pushing';
            update outputs set state = 'in_review';
            update outputs set state = 'answered'
            """
        )
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) select id, loop, %s, 1, 1 from outputs",
            [answer],
        )
        conn.execute(
            """
            insert into feedback (model_output_id, reviewer_id, approval, label, annotation_id, created_at, updated_at)
            select o.id, r.id, %s, %s, 1, now(), now() from outputs o, reviewers r
            """,
            [approval, answer],
        )
    status = intake.get(f"{URL}/a/1").json
    assert (status["approval"], status["correction"]) == shown

"""The form's own rule for an empty answer, on the real Label Studio."""

from __future__ import annotations

import pytest

from labelloop.store.database import Database
from sync.project.project import ensure_project
from tests.support.raw_answers import CHOICES, answers, give
from tests.support.servers import LabelStudio
from tests.support.sync_loop import sync_loop


@pytest.mark.parametrize(
    ("control", "empty"),
    [
        ('<Choices name="label" toName="text" choice="multiple">%s</Choices>', "[]"),
        ('<Choices name="label" toName="text" choice="multiple" required="true">%s</Choices>', None),
        ('<Taxonomy name="label" toName="text">%s</Taxonomy>', "[]"),
        ('<Labels name="label" toName="text"><Label value="cat"/></Labels>', "[]"),
    ],
)
def test_the_project_takes_an_empty_answer_where_it_says_that_there_is_none(
    database: Database, label_studio: LabelStudio, control: str, empty: str | None
) -> None:
    xml = f'<View><Text name="text" value="$text"/>{control.replace("%s", CHOICES)}</View>'
    with sync_loop(database, label_studio.url, label_studio.token, labels_xml=xml) as loop:
        [key] = loop.submit(1, probabilities=None, label="[]")
        loop.push()
        assert loop.gateway.project(loop.project_id).takes_empty is (empty is not None)
        loop.gateway.update_project(loop.project_id, enable_empty_annotation=empty is None)
        ensure_project(database, loop.gateway, loop.spec, loop.settings)
        assert loop.gateway.project(loop.project_id).takes_empty is (empty is not None)
        give(loop, key, [])
        loop.pull()
        assert answers(loop) == ([] if empty is None else [(empty, 1)])

"""The words of an alert about a form that somebody changed."""

from __future__ import annotations

import pytest

from sync.alerts.form import changes

FORM = '<View><Text name="text" value="$text"/><Choice value="eel"/></View>'
MORE = FORM.replace("</View>", '<Choice value="newt"/></View>')


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (FORM.replace("eel", "newt"), ('<Choice value="eel"/>', '<Choice value="newt"/>')),
        (MORE, ("nothing of this kind", '<Choice value="newt"/>')),
        (
            FORM.replace("<View>", '<View><Choice value="eel"/>'),
            ("the same tags and texts, in another order or number",) * 2,
        ),
    ],
)
def test_the_tags_that_only_one_form_has_are_named(theirs: str, told: tuple[str, str]) -> None:
    assert changes(FORM, theirs) == told
    assert changes(theirs, FORM) == told[::-1]

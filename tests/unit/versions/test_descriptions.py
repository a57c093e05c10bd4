from __future__ import annotations

import pytest

from labelloop.errors import UsageError
from labelloop.versions.descriptions import Description


def test_typed_text_is_kept_without_blanks_and_each_tag_once() -> None:
    made = Description.of("  Sevens ", ["audited", " ", "audited", "eu west"], "one\r\ntwo\n")
    assert made == Description("Sevens", ("audited", "eu west"), "one\ntwo")
    assert Description.of("", [], " ") == Description()


@pytest.mark.parametrize(
    ("name", "tags", "note", "said"),
    [
        ("x" * 61, [], "", "a name has at most 60 characters; 61 were given"),
        ("", ["x" * 31], "", "a tag has at most 30 characters; 31 were given"),
        ("", [str(i) for i in range(11)], "", "a version has at most 10 tags; 11 were given"),
        ("", ["a,b"], "", "a tag holds no comma, which separates tags; 'a,b' was given"),
        ("", [], "x" * 2001, "a note has at most 2000 characters; 2001 were given"),
        ("a\0b", [], "", "characters that cannot be seen"),
        ("", [], "a\u202eb", "characters that cannot be seen"),
        ("", [], "\ud800", "characters that cannot be seen"),
        ("a\nb", [], "", "characters that cannot be seen"),
    ],
)
def test_a_description_that_is_too_long_or_no_text_is_refused_with_a_sentence(
    name: str, tags: list[str], note: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Description.of(name, tags, note)

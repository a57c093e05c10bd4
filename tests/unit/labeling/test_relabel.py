"""Labels put into files as editors save them: only what names these labels changes, and every other byte stays."""

from __future__ import annotations

import pytest

from labelloop.errors import SpecError
from labelloop.labeling.relabel import relabel
from labelloop.spec.relabel import relabelled

FORM = (
    '\ufeff<?xml version="1.0"?>\r\n<View>\r\n  <!-- not <Choice value="cat"/> -->\r\n'
    '  <Text name="t" value="$text"/>\r\n'
    "  <Choices name='label' toName='t'>\r\n"
    '    <Choice hotkey="c"  value = "cat"  background=\'#fff\'/>\r\n'
    '    <View><Choice value="Dog &amp; co" alias=\'dog\' predicted_values="hund"></Choice></View>\r\n'
    '    <Choice value="eel > é"/><Choice value="fox"/></Choices>\r\n</View>'
)
YAML = (
    "# Pets\r\nfeedback_loop:\r\n  trigger: 'model_confidence < 0.8'  # unsure\r\n"
    "  labels: [cat, \"dog\", 'eel']\r\n  definitions:\r\n    cat: it meows\r\n    dog: 'it barks'"
)


@pytest.mark.parametrize(
    ("removed", "added", "rename", "old", "new"),
    [
        (["cat"], ['fe"l>ine'], True, 'value = "cat"', 'value = "fe&quot;l&gt;ine"'),
        (["dog"], ["hound"], True, "alias='dog'", "alias='hound'"),
        (["dog"], ["hound"], False, "value=\"Dog &amp; co\" alias='dog'", 'value="hound"'),
        (["fox"], [], False, '<Choice value="fox"/>', ""),
        (["eel > é", "fox"], ["other"], False, '"eel > é"/><Choice value="fox"/>', '"other"/>'),
        (["cat"], [], False, '    <Choice hotkey="c"  value = "cat"  background=\'#fff\'/>\r\n', ""),
        (
            ["cat"],
            ["lion", "lynx"],
            False,
            "value = \"cat\"  background='#fff'/>",
            'value = "lion"  background=\'#fff\'/>\r\n    <Choice value="lynx"/>',
        ),
        ([], ["gnu"], False, '<Choice value="fox"/>', '<Choice value="fox"/><Choice value="gnu"/>'),
    ],
)
def test_only_the_tags_of_the_labels_change(
    removed: list[str], added: list[str], rename: bool, old: str, new: str
) -> None:
    assert FORM.count(old) == 1
    assert relabel(FORM, "label", removed, added, rename=rename) == FORM.replace(old, new)


def test_a_condition_of_the_form_that_names_the_label_is_refused_with_its_line() -> None:
    view = '  <View visibleWhen="choice-selected" whenTagName="label" whenChoiceValue="cat"/>\r\n</View>'
    with pytest.raises(SpecError, match="whenChoiceValue names 'cat'") as found:
        relabel(FORM.replace("</View>", view)[: -len("</View>")] + "</View>", "label", ["cat"], [])
    assert found.value.line is not None


@pytest.mark.parametrize(
    ("removed", "added", "rename", "changes"),
    [
        (["cat"], ["feline"], True, [("[cat,", "[feline,"), ("    cat: it", "    feline: it")]),
        (["dog"], ["a: b"], True, [('"dog"', '"a: b"'), ("    dog: 'it", '    "a: b": \'it')]),
        (
            ["cat", "eel"],
            ["other"],
            False,
            [("[cat, \"dog\", 'eel']", '[other, "dog"]'), ("    cat: it meows\r\n", "")],
        ),
        (["eel"], ["moray", "conger"], False, [("'eel'", "'moray', conger")]),
        (["eel"], [], False, [(", 'eel'", "")]),
    ],
)
def test_labels_in_loop_yaml_and_their_definitions_change(
    removed: list[str], added: list[str], rename: bool, changes: list[tuple[str, str]]
) -> None:
    for ends in ("\r\n", "\n"):
        text, expected = YAML.replace("\r\n", ends), YAML
        for old, new in changes:
            assert expected.count(old) == 1
            expected = expected.replace(old, new)
        assert relabelled("pets", text, "", removed, added, rename=rename)[0] == expected.replace("\r\n", ends)


def test_labels_on_lines_of_their_own_change() -> None:
    block = YAML.replace("[cat, \"dog\", 'eel']", "\r\n    - cat  # small\r\n    - dog\r\n    - eel")
    done = relabelled("pets", block, "", ["cat"], ["lion", "lynx"])[0]
    assert "    - lion  # small\r\n    - lynx\r\n    - dog\r\n" in done
    assert "    - dog\r\n" not in relabelled("pets", block, "", ["dog"], [])[0]


def test_what_else_names_a_label_follows_a_rename_and_refuses_other_changes() -> None:
    more = YAML + "\r\n  budget: {per_label: {eel: 4}}\r\n"
    assert "{per_label: {conger: 4}}" in relabelled("pets", more, "", ["eel"], ["conger"], rename=True)[0]
    with pytest.raises(SpecError, match=r"line 8, .*budget.per_label names 'eel'; take it out first"):
        relabelled("pets", more, "", ["eel"], [])
    named = YAML.replace("model_confidence < 0.8", 'label == "cat"')
    with pytest.raises(SpecError, match=r"line 3, .*trigger names 'cat'; write it without this label first"):
        relabelled("pets", named, "", ["cat"], ["feline"], rename=True)

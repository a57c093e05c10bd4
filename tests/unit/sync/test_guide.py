"""The part of the instruction that explains the labels."""

from __future__ import annotations

from labelloop.spec.folder import parse
from sync.project.guide import MAX_EXAMPLE, example_field, guide, without_examples
from sync.project.signposts import INSTRUCTION, words

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [billing, delivery, other]
  definitions: {billing: "About money & <invoices>", other: "All else"}
  instruction: "Our own words."
"""
SPEC = parse("tickets", YAML)


def test_each_label_has_its_definition_and_two_examples_in_the_order_of_the_form() -> None:
    found = guide(SPEC, {"delivery": ["where is it?"], "billing": ["one", "two", "three"], "gone": ["never shown"]})
    assert found == (
        "<br><h3>Labels</h3>"
        "<p><b>billing</b>: About money &amp; &lt;invoices&gt;<br><i>“one”</i><br><i>“two”</i></p><br>"
        "<p><b>delivery</b><br><i>“where is it?”</i></p><br>"
        "<p><b>other</b>: All else</p><br>"
    )
    plain = parse(
        "tickets", YAML.replace('  definitions: {billing: "About money & <invoices>", other: "All else"}\n', "")
    )
    assert guide(plain, {}) == ""


def test_examples_of_forgotten_texts_go_and_all_other_words_stay() -> None:
    gone = ["a <b> & “c”\n", "long " * 100]
    was = f"A person's words. {guide(SPEC, {'billing': [gone[0], 'kept'], 'delivery': [gone[1]]})} a <b>"
    now = f"A person's words. {guide(SPEC, {'billing': ['kept'], 'delivery': []})} a <b>"
    assert without_examples(was, gone) == now.replace("<p><b>other", "<p><b>delivery</b></p><br><p><b>other")
    assert without_examples(was, ["kep", "another"]) == was


def test_a_text_is_shown_as_text_on_one_line_and_cut() -> None:
    found = guide(SPEC, {"billing": ["<script>alert(1)</script>\n\n" + "long " * 100]})
    assert "<script" not in found
    assert "&lt;script&gt;alert(1)&lt;/script&gt; long" in found
    shown = found.partition("“")[2].partition("”")[0].replace("&lt;", "<").replace("&gt;", ">")
    assert len(shown) <= MAX_EXAMPLE
    assert shown.endswith("…")


def test_what_people_wrote_comes_first_and_the_guide_last() -> None:
    text = words(SPEC, "mark", 0, None, {"delivery": ["where is it?"]})["expert_instruction"]
    places = [text.index(part) for part in ("Our own words.", INSTRUCTION, "<h3>Labels</h3>", "where is it?")]
    assert places == sorted(places)


def test_only_texts_about_labels_are_examples() -> None:
    assert example_field(SPEC) == "text"
    image = parse("pictures", YAML.replace('"Our own words."', '"x"\n  show: {image: "$image"}'))
    assert example_field(image) is None
    spans = '<View><Labels name="l" toName="t"><Label value="a"/></Labels><Text name="t" value="$t"/></View>'
    base = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
    assert example_field(parse("spans", base, spans)) is None
    several = '<View><Text name="t" value="$t"/><Taxonomy name="x" toName="t"><Choice value="a"/></Taxonomy></View>'
    several_spec = parse("several", base, several)
    assert (
        guide(several_spec, {'["a"]': ["one"], '["a","b"]': ["two"]})
        == "<br><h3>Labels</h3><p><b>a</b><br><i>“one”</i></p><br>"
    )

"""A labels.xml that could not work is refused with its place; what Label Studio can show is taken as it reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_checks import MAX_LABELS, label_fault
from labelloop.labeling.form_xml import plain, same_form, sent, shown_data
from labelloop.spec.folder import load, load_all

LOOPS = Path(__file__).parents[3] / "labeling_configs"
YAML = 'feedback_loop: {trigger: "model_confidence < 0.8"}'
AB = '<Choice value="a"/><Choice value="b"/>'
KEYS = '<Choices name="k" toName="text"><Choice value="x"/><Choice value="y" hotkey="1"/></Choices>'
LABEL = f'<Choices name="label" toName="text">{AB}</Choices>'


def form(inside: str = LABEL, text: str = "$text") -> str:
    return f'<View>\n  <Text name="text" value="{text}"/>\n  {inside}\n</View>'


def boxes(labels: str, field: str = "$image") -> str:
    return f'''<View>
<RectangleLabels name="label" toName="i">{labels}</RectangleLabels>
<Image name="i" value="{field}"/><Header value="$title"/></View>'''


def over(tag: str) -> str:
    return f"""<View>
<{tag} name="shown" value="$shown"/>
<Labels name="l" toName="shown"><Label value="a"/></Labels></View>"""


def folder_of(tmp_path: Path, xml: str | bytes, name: str = "mail") -> Path:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "loop.yaml").write_text(YAML)
    (folder / "labels.xml").write_bytes(xml if isinstance(xml, bytes) else xml.encode())
    return folder


@pytest.mark.parametrize(
    ("xml", "place", "words"),
    [
        (
            form('<Choices name="c" toName="text"><choice value="a"/></Choices>'),
            (3, 35),
            "<choice> is written <Choice>",
        ),
        (form('<choices name="c" toName="text"/>'), (3, 3), "<choices> is written <Choices>"),
        (form('<Choices name="label" toName="text"/>'), (3, 3), "has no <Choice>"),
        (form(f'<Repeater on="$x" indexFlag="{{{{idx}}}}">{LABEL}</Repeater>'), (3, 3), "Repeater creates controls"),
        (form(f'<Choices name="c" toName="text" perRegion="true">{AB}</Choices>'), (3, 3), "perRegion"),
        (form(LABEL + '<TextArea name="comment" toName="text" perRegion="true"/>'), (3, 87), "perRegion"),
        (
            form('<RectangleLabels name="r" toName="text"><Label value="a"/></RectangleLabels>'),
            (3, 3),
            "RectangleLabels 'r' is for an Image, and 'text' is a Text",
        ),
        (
            form('<RectangleLabels name="r" toName="text"><Label value="a"/></RectangleLabels>' + LABEL),
            (3, 3),
            "RectangleLabels 'r' is for an Image, and 'text' is a Text",
        ),
        (
            over("Paragraphs"),
            (3, 1),
            "Labels 'l' over a Paragraphs lets nobody mark anything; use ParagraphLabels",
        ),
        (
            over("Video"),
            (3, 1),
            "Labels 'l' over a Video lets nobody mark anything; use TimelineLabels, or add a VideoRectangle",
        ),
        (form(LABEL.replace('"b"', '"a"')), (3, 58), "'label' has 'a' twice"),
        (form(LABEL.replace('"b"', '"b\u2028c"')), (3, 58), "line breaks and control characters"),
        (form(LABEL.replace('"b"', '"b&#9;c"')), (3, 58), "line breaks and control characters"),
        (form(LABEL.replace('"b"', '"b\u00a0"')), (3, 58), "without blanks around"),
        (form(LABEL.replace('<Choice value="b"/>', "")), (3, 3), "with one label there is nothing to choose"),
        (boxes('<Label value="a"/><Label value="a"/>'), (2, 60), "'label' has 'a' twice"),
        (boxes(""), (2, 1), "RectangleLabels 'label' has no <Label>, so nobody can mark anything with it"),
        (boxes('<Label value="a"/>', "image"), (3, 1), "Image shows the word 'image' itself; write value=\"$image\""),
        (form(text="text"), (2, 3), "Text shows the word 'text' itself; write value=\"$text\""),
        (form('<Rating name="r" toName="text" maxRating="0"/>'), (3, 3), "maxRating of 'r' must be a whole number"),
        (
            form(
                LABEL + f'<View visibleWhen="choice-selected" whenTagName="labl">{LABEL.replace("label", "b")}</View>'
            ),
            (3, 87),
            "whenTagName: no control 'labl' (did you mean 'label'?)",
        ),
        (form(KEYS + LABEL.replace('"b"', '"b" hotkey="1"')), (3, 149), "the hotkey '1' of 'b' is that of 'y' too"),
        (form(KEYS.replace('"x"', '"x" hotkey="1"')), (3, 65), "the hotkey '1' of 'y' is that of 'x' too"),
        (form() + "\n<View>", (5, 1), "junk after document element"),
        ("<View>\n  <Text>\n", (2, 3), "the tag <Text> is not closed"),
        ("<View>\n  <Text></View>", (2, 11), "the tag <Text> of line 2 is closed by another one"),
        (form(text="$a and $b"), (2, 3), "Label Studio takes all of 'a and $b' as one field"),
        (form(text="$my-doc.text"), (2, 3), "Label Studio takes all of 'my-doc.text' as one field"),
    ],
)
def test_a_form_that_could_not_work_is_refused_by_loop_file_line_and_column(
    tmp_path: Path, xml: str, place: tuple[int, int], words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder_of(tmp_path, xml))
    assert str(caught.value).startswith(f"loop 'mail': line {place[0]}, column {place[1]}: labels.xml: ")
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == place


def test_the_name_of_a_folder_that_is_no_name_of_a_loop_is_blamed_on_the_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the folder gives the loop its name: 1 to 41 lower-case letters"):
        load(folder_of(tmp_path, form(), name="a" * 42))
    assert load(folder_of(tmp_path, form(), name="a" * 41)).name == "a" * 41


def test_the_good_loops_of_a_folder_are_loaded_and_each_bad_one_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path, "<View>", name="broken")
    folder_of(tmp_path, form(), name="good")
    folder_of(tmp_path, b"\xff\xfe<", name="utf-sixteen")
    (folder_of(tmp_path, form(), name="without") / "loop.yaml").unlink()
    specs, faults = load_all(tmp_path)
    assert [spec.name for spec in specs] == ["good"]
    assert [str(fault).split(":")[0] for fault in faults] == [
        "loop 'broken'",
        "loop 'utf-sixteen'",
        "loop 'without'",
    ]
    assert "there is a labels.xml and no loop.yaml" in str(faults[-1])


@pytest.mark.parametrize(
    "label",
    [
        "می\u200cخواهم",
        "क्\u200dष",
        "prix\u00a0élevé",
        "👨\u200d👩\u200d👧",
        "\u200fשלום\u200e",
        "🏴\U000e0067\U000e0062\U000e007f",
    ],
)
def test_letters_that_languages_need_may_stand_in_a_label(tmp_path: Path, label: str) -> None:
    folder = folder_of(tmp_path, form(LABEL.replace('"b"', f'"{label}"')))
    assert load(folder).labels == ("a", label)
    (folder / "labels.xml").unlink()
    (folder / "loop.yaml").write_text(f'feedback_loop: {{trigger: "label == \'{label}\'", labels: [a, "{label}"]}}')
    assert load(folder).config.labels == ("a", label)


@pytest.mark.parametrize(
    "label", ["", " a", "a\n", "a\tb", "a\x00", "a\x7f", "a\x85b", "a\u2029b", "\u200d\u200f", "a" * 201]
)
def test_what_nobody_could_read_or_keep_on_one_line_is_no_label(label: str) -> None:
    assert label_fault(label)


def test_the_limit_of_labels_is_the_one_in_the_docs(tmp_path: Path) -> None:
    many = [f'<Choice value="label {i}"/>' for i in range(MAX_LABELS + 1)]
    xml = form(f'<Choices name="label" toName="text">{"".join(many[:-1])}</Choices>')
    assert len(load(folder_of(tmp_path, xml)).labels) == MAX_LABELS
    with pytest.raises(SpecError, match=f"labels.xml: 'label' has {MAX_LABELS + 1} labels; at most {MAX_LABELS}"):
        load(folder_of(tmp_path, xml.replace(many[0], many[0] + many[-1]), name="more"))


WAYS: dict[str, Callable[[str], str]] = {
    "with a last newline": lambda xml: xml + "\n",
    "without one": lambda xml: xml,
    "with a byte order mark": lambda xml: "\ufeff" + xml + "\n",
    "with the line ends of Windows": lambda xml: xml.replace("\n", "\r\n") + "\r\n",
    "with a declaration": lambda xml: '<?xml version="1.0" encoding="UTF-8"?>\n' + xml,
    "with blank lines around": lambda xml: f"\n \n{xml}\n\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_shipped_form_is_the_same_however_an_editor_saves_it(tmp_path: Path, way: str) -> None:
    shipped = (LOOPS / "digits" / "labels.xml").read_text().strip()
    spec = load(folder_of(tmp_path, WAYS[way](shipped)))
    assert same_form(spec.labels_xml, shipped)
    assert spec.labels == load(LOOPS / "digits").labels
    assert not same_form(spec.labels_xml, shipped.replace("Which", "What")), "another form is another form"


def test_an_error_below_a_declaration_is_at_its_place_in_the_file() -> None:
    xml = '\ufeff<?xml version="1.0" encoding="UTF-8"?><View>\n<Text</View>'
    assert plain(xml).index("<View>") == xml.index("<View>") - 1, "no editor counts the byte order mark"
    with pytest.raises(SpecError, match="line 2, column 6"):
        LabelingConfig.parse(xml)


@pytest.mark.parametrize("field", ["my-text", "my text", "größe", "a:b", "a__b-c", "_2d_-"])
def test_a_field_that_the_editor_cannot_read_is_shown_under_a_name_that_it_can(field: str) -> None:
    xml = form(text=f"${field}")
    [given] = LabelingConfig.parse(xml).data_fields
    assert given == field
    there = sent(xml)
    [named] = [key for key in shown_data([field], {field: "shown"}) if key != field]
    assert f'value="${named}"' in there
    assert named.isascii()
    assert named.isidentifier()
    assert LabelingConfig.parse(there).data_fields == (field,), "what Label Studio sends back is read as the field"
    assert same_form(xml, there)
    assert there.replace(named, field) == xml, "nothing else of the form is changed"


def test_fields_are_read_as_label_studio_reads_them() -> None:
    inside = '<Header value="$title: by $who"/><Header value="$my-head"/><Image name="i" valueList="$pages"/>' + LABEL
    assert LabelingConfig.parse(form(inside, text="$doc.parts[0].text")).data_fields == (
        "doc.parts[0].text",
        "title",
        "who",
        "my-head",
        "pages",
    )
    assert sent(form()) == form(), "a form that both sides read alike is sent as it is"
    assert shown_data(["text", "doc.text"], {"text": "x"}) == {"text": "x"}


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (form(f'<Choices name="label" toName="">{AB}</Choices>'), "line 3, column 3: .*has toName ''; there are: text"),
        (
            form(
                '<Taxonomy name="label" toName="text">'
                + '<Choice value="a">' * 1500
                + "</Choice>" * 1500
                + "</Taxonomy>"
            ),
            "tags are nested more than 100 deep",
        ),
        (form(text="$"), "labels.xml shows no field of the data"),
    ],
)
def test_what_nobody_could_answer_is_refused_and_stops_no_other_loop(tmp_path: Path, xml: str, words: str) -> None:
    folder_of(tmp_path, xml)
    folder_of(tmp_path, form(), "other")
    specs, [fault] = load_all(tmp_path)
    assert [spec.name for spec in specs] == ["other"]
    with pytest.raises(SpecError, match=words):
        raise fault


@pytest.mark.parametrize("number", ["ffffff", "d800", "6d"])
def test_a_name_that_only_begins_as_those_of_ours_stays_as_it_is(number: str) -> None:
    shown = f"$labelloop_shows_x_{number}_"
    assert LabelingConfig.parse(form(text=shown)).data_fields == ()
    assert sent(form(text=shown)) == form(text=shown)


def test_fields_of_a_learner_that_are_no_list_are_left_to_the_learner(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, form())
    (folder / "loop.yaml").write_text(
        'feedback_loop: {trigger: "model_confidence < 0.8", learner: {name: tabular, params: {fields: 3}}}'
    )
    assert load(folder).learner.params == {"fields": 3}


def test_a_hotkey_may_be_given_again_where_people_see_one_control_at_a_time(tmp_path: Path) -> None:
    hidden = '<View visibleWhen="choice-selected" whenTagName="k" whenChoiceValue="x">'
    xml = form(KEYS + hidden + LABEL.replace('"b"', '"b" hotkey="1"') + "</View>")
    assert load(folder_of(tmp_path, xml)).config.by_name.keys() == {"k", "label"}

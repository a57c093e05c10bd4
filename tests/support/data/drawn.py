"""Forms that mark sounds, videos, time series, pages and dialogues, and answers to them as hypothesis draws them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from labelloop.labeling.config import LabelingConfig

_AB = '<Label value="a"/><Label value="b"/>'
ASKED = (
    '<TextArea name="words" toName="it" perRegion="true"/><Choices name="sure" toName="it" perRegion="true">'
    '<Choice value="yes"/><Choice value="no"/></Choices>'
)
"""Two controls that ask about each region."""
DATES = "%Y-%m-%d %H:%M:%S.%f"
FORMS = {
    "audio": f'<Labels name="label" toName="it">{_AB}</Labels><Audio name="it" value="$it"/>',
    "timeline": f'<TimelineLabels name="label" toName="it">{_AB}</TimelineLabels><Video name="it" value="$it"/>',
    "series": f'<TimeSeriesLabels name="label" toName="it">{_AB}</TimeSeriesLabels>'
    '<TimeSeries name="it" value="$it" valueType="json" timeColumn="t"><Channel column="v"/></TimeSeries>',
    "dates": f'<TimeSeriesLabels name="label" toName="it">{_AB}</TimeSeriesLabels>'
    f'<TimeSeries name="it" value="$it" timeColumn="t" timeFormat="{DATES}"><Channel column="v"/></TimeSeries>',
    "html": f'<HyperTextLabels name="label" toName="it">{_AB}</HyperTextLabels><HyperText name="it" value="$it"/>',
    "html labels": f'<Labels name="label" toName="it">{_AB}</Labels><HyperText name="it" value="$it"/>',
    "dialogue": f'<ParagraphLabels name="label" toName="it">{_AB}</ParagraphLabels>'
    '<Paragraphs name="it" value="$it" layout="dialogue"/>',
    "text": f'<Labels name="label" toName="it">{_AB}</Labels><Text name="it" value="$it"/>',
    "video": f'<Labels name="label" toName="it">{_AB}</Labels><Video name="it" value="$it" frameRate="10"/>'
    '<VideoRectangle name="box" toName="it"/>',
    "bare video": '<Video name="it" value="$it"/><VideoRectangle name="label" toName="it"/>',
}
KINDS = {
    "segments": ("audio", "timeline", "series", "dates"),
    "marks": ("html", "html labels", "dialogue", "text"),
    "tracks": ("video", "bare video"),
}


def form(name: str, asked: bool = True) -> LabelingConfig:
    """Return the form, with controls about each region."""
    return LabelingConfig.parse(f"<View>{FORMS[name]}{ASKED if asked else ''}</View>", ("label",))


def _ordered(numbers: st.SearchStrategy[Any], equal: bool) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(numbers, numbers).map(sorted).filter(lambda pair: equal or pair[0] < pair[1])
    return pairs.map(lambda pair: {"start": pair[0], "end": pair[1]})


def _date(milliseconds: int) -> str:
    return f"20{milliseconds % 90 + 10}-03-0{milliseconds % 9 + 1} 10:00:00.{milliseconds:03d}000"


_places = st.tuples(st.integers(0, 4), st.integers(0, 50)).map(list)
_seconds = st.integers(0, 10**7).map(lambda n: n / 10**4)
_percent = st.integers(0, 99 * 10**4).map(lambda n: n / 10**4)
_size = st.integers(1, 100 * 10**4).map(lambda n: n / 10**4)


@st.composite
def _tracks(draw: st.DrawFn) -> dict[str, Any]:
    numbers = sorted(draw(st.sets(st.integers(1, 500), min_size=1, max_size=6)))
    box = st.tuples(_percent, _percent, _size, _size, st.integers(-1800, 1800).map(lambda n: n / 10))
    gone = st.sampled_from([[], [], [False]])
    return {"frames": [[n, *draw(box), *draw(gone)] for n in numbers]}


_GEOMETRY = {
    "audio": _ordered(_seconds, equal=False),
    "timeline": _ordered(st.integers(1, 10_000), equal=True),
    "series": _ordered(st.integers(-999, 999) | st.floats(-1e6, 1e6), equal=True),
    "dates": _ordered(st.integers(0, 999).map(_date), equal=True),
    "html": _ordered(st.integers(0, 99), equal=False),
    "dialogue": _ordered(_places, equal=False),
    "video": _tracks(),
}
_ALIKE = {"html labels": "html", "text": "html", "bare video": "video"}


@st.composite
def answers(draw: st.DrawFn, name: str) -> list[dict[str, Any]]:
    """Draw an answer to this form: regions with labels, and with answers about some of them."""
    found = []
    for geometry in draw(st.lists(_GEOMETRY[_ALIKE.get(name, name)], max_size=4)):
        region = dict(geometry)
        if name != "bare video":
            region["label"] = draw(st.sampled_from("ab"))
        said = draw(
            st.fixed_dictionaries({}, optional={"words": st.sampled_from(["hi", "😀 a"]), "sure": st.just("yes")})
        )
        found.append(region | ({"with": said} if said else {}))
    return found

"""Segments of a sound, a video's timeline or a time series: a JSON list of objects, sorted.

{"start":0.5,"end":1.2,"label":"speech"}

Audio         seconds, at most 4 decimals, the end after the start. "channel":1 and so on for a further channel
Video         numbers of frames, the first is 1. Both ends are included, so one frame has start = end
TimeSeries    values of its time column: numbers, or texts if the form has a timeFormat (in that format, UTC). An
              instant has start = end

Similarity: the intersection over union in time, and 0 if one is an instant or the channels differ. Two instants have
2 ** -(their distance): 1 at the same one, and 0.5 at a distance of 1. The unit is that of the time column, or with a
timeFormat a second, or what it writes last if that is a minute, an hour or a day.

labelloop/labeling/kinds/marked.py says how segments are compared, and what people agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from statistics import median, median_low
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import marked, moments
from labelloop.labeling.kinds.marked import Geometry, Region
from labelloop.labeling.kinds.pairing import Interval
from labelloop.reading import paths
from labelloop.reading.strict_json import INT64

DIGITS = 4
"""Decimals of a second of a sound: a tenth of a millisecond."""
MOST_FRAMES = 10_000_000
"""Largest number of a frame: more than four days at 25 frames a second."""
FARTHEST = 1e300
"""Bound of a value of a time column: the difference of two larger ones may be no number."""
REACH = 16
"""Half of the distance at which two instants have no similarity that counts: 2 ** -32."""
_EXAMPLE = {"Audio": '{"start":0.5,"end":1.2,"label":"speech"}', "Video": '{"start":3,"end":8,"label":"goal"}'}
_NUMBERS = '{"start":10,"end":20,"label":"peak"}'
Number = int | float


def canonical(control: ControlTag, answer: object) -> str:
    return marked.canonical(geometry_of(control), control, answer)


def nearest(control: ControlTag, answer: str) -> str:
    return marked.nearest(geometry_of(control), control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    return marked.agreed(geometry_of(control), control, answers)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return marked.score(geometry_of(control), answer, predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return marked.measures(geometry_of(control), answer, predicted)


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return marked.labels_in(geometry_of(control), answer)


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError if a segment lies outside a time series that is in the data itself."""
    shown = paths.value_at(data, control.data_field) if control.data_field else None
    times = shown.get(control.over_attributes.get("timecolumn", "")) if isinstance(shown, Mapping) else None
    if not isinstance(times, list) or not times or not all(_is_number(one) for one in times):
        return
    for region in marked.read(geometry_of(control), answer):
        start, end = region["start"], region["end"]
        if _is_number(start) and _is_number(end) and (start < min(times) or end > max(times)):
            raise ValueError(f"a segment is from {start} to {end}; the series is from {min(times)} to {max(times)}")


def geometry_of(control: ControlTag) -> Geometry:
    """Return how segments over this control's object are read and compared."""
    return _geometry(control.over, control.over_attributes.get("timeformat", ""))


@lru_cache(maxsize=64)
def _geometry(over: str, time_format: str) -> Geometry:
    if over == "Video":
        similarity, interval = partial(_similarity, one_more=1), partial(_interval, one_more=1)
        return Geometry(_frames, similarity, partial(_middle, ndigits=0), _EXAMPLE["Video"], interval=interval)
    if over == "TimeSeries" and time_format:
        return _of_moments(time_format)
    if over == "TimeSeries":
        return Geometry(_values, _similarity, partial(_middle, ndigits=None), _NUMBERS, interval=_around)
    middle = partial(_middle, ndigits=DIGITS)
    return Geometry(_seconds, _similarity, middle, _EXAMPLE["Audio"], interval=_interval)


def _seconds(region: Mapping[str, Any]) -> Region:
    start, end = _ends(region, _EXAMPLE["Audio"], ("channel",))
    start, end = (_shortest(round(one, DIGITS)) for one in (start, end))
    if start < 0 or end <= start:
        raise ValueError(f"a segment ends after it starts, both from 0 seconds on; one is from {start} to {end}")
    channel = region.get("channel") or 0
    if type(channel) is not int or not 0 <= channel < 256:
        raise ValueError(f"`channel` is the number of a channel, 0 for the first one; one is {str(channel)[:40]}")
    return {"start": start, "end": end} | ({"channel": channel} if channel else {})


def _frames(region: Mapping[str, Any]) -> Region:
    start, end = _ends(region, _EXAMPLE["Video"])
    if start != int(start) or end != int(end) or not 1 <= start <= end <= MOST_FRAMES:
        raise ValueError(
            f"a segment of a video is from one frame to the same or a later one, counted from 1 to {MOST_FRAMES:,}; "
            f"one is from {start} to {end}"
        )
    return {"start": int(start), "end": int(end)}


def _values(region: Mapping[str, Any]) -> Region:
    start, end = map(_shortest, _ends(region, _NUMBERS))
    if end < start:
        raise ValueError(f"a segment does not end before it starts; one is from {start} to {end}")
    return {"start": start, "end": end}


def _ends(region: Mapping[str, Any], example: str, more: Sequence[str] = ()) -> tuple[Number, Number]:
    start, end = region.get("start"), region.get("end")
    if not _is_number(start) or not _is_number(end) or set(region) - {"start", "end", *more}:
        raise ValueError(f"a segment is an object such as {example}; one is {str(dict(region))[:80]}")
    return start, end  # type: ignore[return-value]


def _is_number(value: object) -> bool:
    return (type(value) is int and abs(value) < INT64) or (type(value) is float and abs(value) < FARTHEST)


def _shortest(number: Number) -> Number:
    """Return a whole number as an integer: 2.0 and 2 are the same."""
    return int(number) if abs(number) < INT64 and number == int(number) else number


def _similarity(one: Region, other: Region, one_more: int = 0) -> float:
    """`one_more` is 1 if both ends are included."""
    if one.get("channel") != other.get("channel"):
        return 0.0
    (start, end), (begin, until) = ((it["start"], it["end"] + one_more) for it in (one, other))
    if start == end and begin == until:
        return float(2.0 ** -min(abs(start - begin), 1000))
    both = min(end, until) - max(start, begin)
    return both / (max(end, until) - min(start, begin)) if both > 0 else 0.0


def _interval(region: Region, one_more: int = 0) -> Interval:
    return region["start"], region["end"] + one_more


def _around(region: Region) -> Interval:
    """Return the interval of a segment of a time series. That of an instant reaches to where others are like it."""
    start, end = region["start"], region["end"]
    reach = REACH + abs(start) * 1e-9 if start == end else 0  # a large float needs more to change at all
    return start - reach, end + reach


def _middle(regions: Sequence[Region], ndigits: int | None) -> Region:
    """Return the medians of start and end; of two middle ones the lower if a rounded mean would leave nothing."""
    starts, ends = ([one[name] for one in regions] for name in ("start", "end"))
    start, end = median(starts), median(ends)
    if ndigits is not None:
        start, end = round(start, ndigits), round(end, ndigits)
    if start >= end:
        start, end = median_low(starts), median_low(ends)
    return {**regions[0], "start": start, "end": end}


def _of_moments(time_format: str) -> Geometry:
    understood = moments.understood(time_format)
    moment = moments.text_of(0.0, time_format) if understood else "..."
    example = f'{{"start":"{moment}","end":"{moment}","label":"peak"}}'
    if not understood:
        return Geometry(partial(_texts, time_format="", example=example), _same, lambda regions: regions[0], example)
    unit = moments.resolution(time_format)

    def numbers(region: Region) -> Region:
        return {name: moments.seconds_of(region[name], time_format) / unit for name in ("start", "end")}

    def middle(regions: Sequence[Region]) -> Region:
        found = _middle([numbers(one) for one in regions], ndigits=None)
        return {name: moments.text_of(seconds * unit, time_format) for name, seconds in found.items()}

    read: Callable[[Mapping[str, Any]], Region] = partial(_texts, time_format=time_format, example=example)
    return Geometry(
        read,
        lambda one, other: _similarity(numbers(one), numbers(other)),
        middle,
        example,
        interval=lambda region: _around(numbers(region)),
    )


def _texts(region: Mapping[str, Any], time_format: str, example: str) -> Region:
    """`time_format` is "" for one that is not understood."""
    match region:
        case {"start": str() as start, "end": str() as end, **more} if not more:
            if not time_format:
                return {"start": start, "end": end}
            begin, until = (moments.seconds_of(one, time_format) for one in (start, end))
            if until < begin:
                raise ValueError(f"a segment does not end before it starts; one is from {start} to {end}")
            return {name: moments.text_of(one, time_format) for name, one in (("start", begin), ("end", until))}
    raise ValueError(f"a segment is an object such as {example}; one is {str(dict(region))[:80]}")


def _same(one: Region, other: Region) -> float:
    return float((one["start"], one["end"]) == (other["start"], other["end"]))

"""Results that the editor of Label Studio 1.23.2 wrote in Chromium for TextArea, Ranker, Pairwise and DateTime.

Each has the form, the prediction that was shown (None for a fresh page), the submitted result, and the answer in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TEXT = '<Text name="text" value="$text"/>'
LIST = '<List name="answers" value="$items" title="All"/>'
ITEMS = [{"id": name, "title": f"Title {name}", "body": f"Body {name}"} for name in ("a", "b", "c")]


class Written(NamedTuple):
    what: str
    form: str
    shown: dict[str, Any] | None
    result: list[dict[str, Any]]
    answer: str | None
    kept: bool | None
    """Whether the person left the shown answer as it was; None if none was shown."""


def _form(inside: str) -> str:
    return f"<View>{inside}</View>"


AREA = _form(TEXT + '<TextArea name="t" toName="text" rows="4" editable="true" maxSubmissions="1"/>')
AREAS = _form(TEXT + '<TextArea name="t" toName="text" editable="true"/>')
PAIR = _form(
    '<Pairwise name="pw" toName="a,b" leftClass="L1" rightClass="R1"/>'
    '<Text name="a" value="$a"/><Text name="b" value="$b"/>'
)
RANKER = _form(LIST + '<Ranker name="rank" toName="answers"/>')
PICK = _form(
    LIST + '<Ranker name="rank" toName="answers"><Bucket name="best" title="Best"/><Bucket name="worst" title="Worst"/>'
    "</Ranker>"
)
GROUP = _form(
    LIST + '<Ranker name="rank" toName="answers"><Bucket name="best" title="Best"/>'
    '<Bucket name="rest" title="Rest" default="true"/></Ranker>'
)


def _when(attributes: str = "") -> str:
    return _form(f'{TEXT}<DateTime name="d" toName="text" {attributes}/>')


def _area(*texts: str, origin: str) -> list[dict[str, Any]]:
    value = {"text": list(texts)}
    return [{"value": value, "id": "p1", "from_name": "t", "to_name": "text", "type": "textarea", "origin": origin}]


def _side(selected: str) -> dict[str, Any]:
    value = {"selected": selected}
    return {"value": value, "id": "p1", "from_name": "pw", "to_name": "a", "type": "pairwise", "origin": "prediction"}


def _rank(origin: str, **lists: list[str]) -> dict[str, Any]:
    value = {"ranker": lists}
    return {"value": value, "id": "p1", "from_name": "rank", "to_name": "answers", "type": "ranker", "origin": origin}


def _date(written: str, origin: str) -> dict[str, Any]:
    value = {"datetime": written}
    return {"value": value, "id": "p1", "from_name": "d", "to_name": "text", "type": "datetime", "origin": origin}


ASIS, CHANGED, MANUAL = "prediction", "prediction-changed", "manual"
_HELLO = _area("he said hello", origin=ASIS)
_MIXED = "changed text\nsecond 😀 שלום"
WRITTEN = (
    Written("a text left as it is", AREA, _HELLO[0], _HELLO, "he said hello", True),
    Written("a text changed", AREA, _HELLO[0], _area(_MIXED, origin=CHANGED), _MIXED, False),
    Written("nothing written", AREA, None, [], None, None),
    Written("a fresh text", AREA, None, _area("  my text  \n line ", origin=MANUAL), "my text\n line", None),
    Written(
        "two texts", AREAS, _area("one", "two", origin=ASIS)[0], _area("one", "two", origin=ASIS), "one\ntwo", True
    ),
    Written("left stays", PAIR, _side("left"), [_side("left")], "left", True),
    Written("the other side, without a trace in origin", PAIR, _side("left"), [_side("right")], "right", False),
    Written("no side, or the same side clicked twice", PAIR, None, [], None, None),
    Written("an untouched list", RANKER, None, [_rank(MANUAL, rank=["a", "b", "c"])], '["a","b","c"]', None),
    Written(
        "an order that stays",
        RANKER,
        _rank(ASIS, rank=["c", "a", "b"]),
        [_rank(ASIS, rank=["c", "a", "b"])],
        '["c","a","b"]',
        True,
    ),
    Written(
        "an order changed, without a trace in origin",
        RANKER,
        _rank(ASIS, rank=["c", "a", "b"]),
        [_rank(ASIS, rank=["a", "c", "b"])],
        '["a","c","b"]',
        False,
    ),
    Written("nothing picked", PICK, None, [_rank(MANUAL, _=["a", "b", "c"], best=[], worst=[])], "{}", None),
    Written("one picked", PICK, None, [_rank(MANUAL, _=["a", "c"], best=["b"], worst=[])], '{"best":["b"]}', None),
    Written(
        "items that stay in the list have no order",
        PICK,
        _rank(ASIS, best=["c"]),
        [_rank(ASIS, _=["b", "a"], best=["c"], worst=[])],
        '{"best":["c"]}',
        True,
    ),
    Written(
        "untouched groups", GROUP, None, [_rank(MANUAL, best=[], rest=["a", "b", "c"])], '{"rest":["a","b","c"]}', None
    ),
    Written(
        "groups left as they are",
        GROUP,
        _rank(ASIS, best=["c"], rest=["b", "a"]),
        [_rank(ASIS, best=["c"], rest=["b", "a"])],
        '{"best":["c"],"rest":["b","a"]}',
        True,
    ),
    Written("date and time", _when(), None, [_date("2023-02-01T00:00", MANUAL)], "2023-02-01T00:00", None),
    Written(
        "date and time changed",
        _when(),
        _date("2024-05-06T07:08", ASIS),
        [_date("2023-02-01T23:59", CHANGED)],
        "2023-02-01T23:59",
        False,
    ),
    Written("a date", _when('only="date"'), _date("2024-05-06", ASIS), [_date("2024-05-06", ASIS)], "2024-05-06", True),
    Written("a time", _when('only="time"'), None, [_date("11:22", MANUAL)], "11:22", None),
    Written("a year", _when('only="year"'), None, [_date("2020-01-01", MANUAL)], "2020-01-01", None),
    Written(
        "a format",
        _when('only="date" format="%d.%m.%Y"'),
        _date("06.05.2024", ASIS),
        [_date("01.02.2023", CHANGED)],
        "01.02.2023",
        False,
    ),
)

"""A form of each family, items for it, and answers about them: what learners, gates and reports must cope with."""

from __future__ import annotations

from typing import Any, NamedTuple

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds import canonical

_TEXT = '<Text name="text" value="$text"/>'
_BOXES = '<RectangleLabels name="boxes" toName="image"><Label value="car"/><Label value="bus"/></RectangleLabels>'
_ITEMS = [{"id": name, "title": name} for name in "abc"]


class Family(NamedTuple):
    form: str
    """The controls and objects inside the View."""
    answers: list[Any]
    answer: tuple[str, ...] = ()
    field: str = "text"

    @property
    def xml(self) -> str:
        return f"<View>{self.form}</View>"

    @property
    def config(self) -> LabelingConfig:
        return LabelingConfig.parse(self.xml, self.answer)

    @property
    def texts(self) -> list[str]:
        """The answers as the tables hold them."""
        return [canonical(self.config.answer, answer) for answer in self.answers]

    def data(self, n: int) -> dict[str, Any]:
        return {"text": f"item {n}", "image": f"https://x.example/{n}.png", "items": _ITEMS, "n": n}


def _box(x: int, label: str) -> dict[str, Any]:
    return {"box": [x, 10, 20, 20], "label": label}


FAMILIES = {
    "spans": Family(
        _TEXT + '<Labels name="label" toName="text"><Label value="org"/></Labels>',
        [[[0, 4, "org"]], [], [[1, 3, "org"]]],
    ),
    "number": Family(_TEXT + '<Rating name="stars" toName="text"/>', [1, 5, 3]),
    "labels": Family(
        _TEXT + '<Choices name="tags" toName="text" choice="multiple"><Choice value="x"/><Choice value="y"/></Choices>',
        [["x"], [], ["x", "y"]],
    ),
    "regions": Family(
        '<Image name="image" value="$image"/>' + _BOXES,
        [[_box(5, "car")], [_box(40, "bus"), _box(70, "car")], []],
        field="image",
    ),
    "text": Family(_TEXT + '<TextArea name="said" toName="text"/>', ["one two", "two\nlines", "שלום 😀"]),
    "order": Family(
        '<List name="answers" value="$items"/><Ranker name="rank" toName="answers"/>',
        [["c", "a", "b"], ["a", "b", "c"], ["b", "c", "a"]],
        field="items",
    ),
    "pairwise": Family(
        _TEXT + '<Text name="other" value="$text"/><Pairwise name="better" toName="text,other"/>',
        ["left", "right", "left"],
    ),
    "date": Family(_TEXT + '<DateTime name="when" toName="text"/>', [f"2024-05-0{n}T07:08" for n in (1, 2, 3)]),
    "form": Family(
        '<Image name="image" value="$image"/>'
        + _BOXES
        + '<TextArea name="caption" toName="image"/><Choices name="sky" toName="image"><Choice value="sun"/>'
        '<Choice value="rain"/></Choices>',
        [{"boxes": [_box(5, "car")], "sky": "sun"}, {"boxes": [], "caption": "a bus"}, {"boxes": [], "sky": "rain"}],
        answer=("boxes", "caption", "sky"),
        field="image",
    ),
}

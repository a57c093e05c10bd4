"""A form with every kind of control, and answers to its controls."""

from __future__ import annotations

from hypothesis import strategies as st

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds.number import LARGEST

TEXT = '<View><Text name="t" value="$text"/>'
TAGS = {
    "label": '<Choices name="label" toName="t"><Choice value="a"/><Choice value="b"/></Choices>',
    "labels": '<Choices name="label" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/>'
    '<Choice value="c"/></Choices>',
    "spans": '<Labels name="label" toName="t"><Label value="a"/><Label value="b"/></Labels>',
    "rating": '<Rating name="label" toName="t"/>',
    "number": '<Number name="label" toName="t"/>',
}


def config(tag: str) -> LabelingConfig:
    return LabelingConfig.parse(f"{TEXT}{TAGS[tag]}</View>")


NUMBERS = st.floats(-LARGEST, LARGEST)
LABELS = st.sets(st.sampled_from("abc")).map(list)
SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(6, 9), st.sampled_from("ab")).map(list), max_size=4)

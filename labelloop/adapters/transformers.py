"""Hugging Face transformers: outputs from the results of a `pipeline()`.

transformers.text_classification(pipe(texts, top_k=None), keys, texts, model_version="roberta-2")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.adapters.items import about, answer, keywords, listed, paired
from labelloop.adapters.tokens import spans_of
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output


@keywords
def text_classification(
    results: Any,
    keys: Any,
    data: Any,
    *,
    names: Mapping[str, str] | None = None,
    several: bool = False,
    field: str = "text",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output for each result of a text-classification or image-classification pipeline.

    A result is {label, score}, or a list of them with `top_k`. If `top_k` left out labels, the output has the best
    label and its confidence; `top_k=None` gives all probabilities. With `function_to_apply="none"` the scores are
    no confidences, and people are asked. `several` is True for a model whose labels are independent of each other.

    `names` replaces labels of the model such as LABEL_0. `keys` and `data` have one entry a result; a text in `data`
    becomes the field `field`. `others` are more fields of Output, the same for all.
    """
    wanted = len(listed(keys))
    each = _one_an_item(results, wanted)
    for result, (key, item) in zip(each, paired(keys, data, len(each), field), strict=True):
        with about(key, "a result of the pipeline"):
            ranked = [result] if isinstance(result, Mapping) else result
            found = answer(_scores([(one["label"], one["score"]) for one in ranked], names), several=several)
        yield Output(key=key, data=item, **found, **others)


@keywords
def zero_shot(
    results: Any,
    keys: Any,
    data: Any = None,
    *,
    names: Mapping[str, str] | None = None,
    several: bool = False,
    field: str = "text",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output for each result of a zero-shot-classification pipeline: {sequence, labels, scores}.

    `several` is True if the pipeline was called with `multi_label=True`. `names` and `data` are as in
    `text_classification`; None as `data` means the sequence of each result.
    """
    found = listed(results)
    shown = [result["sequence"] for result in found] if data is None else data
    for result, (key, item) in zip(found, paired(keys, shown, len(found), field), strict=True):
        with about(key, "a result of the pipeline"):
            scores = _scores(list(zip(result["labels"], result["scores"], strict=True)), names)
            answered = answer(scores, several=several)
        yield Output(key=key, data=item, **answered, **others)


@keywords
def token_classification(
    results: Any,
    keys: Any,
    data: Any,
    *,
    names: Mapping[str, str] | None = None,
    field: str = "text",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output with the spans of each result of a token-classification pipeline, aggregated or not.

    Tokens of one entity (B-PER, I-PER) become one span. Offsets count characters of the text in `field`. The
    confidence is the lowest score, and all scores are `evidence.tokens`. A result without tokens has no confidence.
    Call the pipeline with `ignore_labels=[]`: then it also gives the tokens without an entity.

    `names` replaces labels of the model: PER, or B-PER by a name that may have a prefix too.

    Raises InvalidOutput with the key if a slow tokenizer gave no offsets, or if they lie outside of the text.
    """
    wanted = len(listed(keys))
    each = _one_an_item(results, wanted, always_lists=True)
    for result, (key, item) in zip(each, paired(keys, data, len(each), field), strict=True):
        with about(key, "a result of the pipeline"):
            if not isinstance(item.get(field), str):
                raise InvalidOutput(f"data.{field}", "must be the text of the tokens")
            spans, scores = spans_of(result, item[field], names or {})
        yield Output(
            key=key,
            data=item,
            label=[list(span) for span in spans],
            confidence=min(scores) if scores else None,
            evidence={"tokens": scores} if scores else None,
            **others,
        )


@keywords
def object_detection(
    results: Any,
    keys: Any,
    data: Any,
    sizes: Any,
    *,
    label: str = "right",
    from_name: str = "boxes",
    to_name: str = "image",
    answer_name: str = "label",
    names: Mapping[str, str] | None = None,
    field: str = "image",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output with the boxes of each result of an object-detection pipeline, as Label Studio's rectangles.

    People judge the boxes of an image together. `label` is what the pipeline claims about them: the label of the form
    that says that they are right. `sizes` is the (width, height) in pixels of each image, or one for all. `from_name`,
    `to_name` and `answer_name` are the names of the form's RectangleLabels, Image and Choices. `names` replaces labels
    of the model.

    The confidence is the lowest score, and all scores are `evidence.boxes`. An image in which nothing was found has no
    confidence, so people are asked.
    """
    wanted = len(listed(keys))
    each = _one_an_item(results, wanted, always_lists=True)
    measured = [sizes] * len(each) if _is_size(sizes) else [tuple(size) for size in sizes]
    if len(measured) != len(each):
        raise UsageError(f"sizes has {len(measured)} items, and there are {len(each)} predictions; give one for each")
    for boxes, size, (key, item) in zip(each, measured, paired(keys, data, len(each), field), strict=True):
        scores = [float(box["score"]) for box in boxes]
        with about(key, "a result of the pipeline"):
            regions = [_rectangle(i, box, size, from_name, to_name, names or {}) for i, box in enumerate(boxes)]
        claim = {"from_name": answer_name, "to_name": to_name, "type": "choices", "value": {"choices": [label]}}
        found: dict[str, Any] = {"result": [*regions, claim], "score": min(scores)} if regions else {"label": label}
        yield Output(key=key, data=item, **found, evidence={"boxes": scores}, **others)


def _scores(ranked: Sequence[tuple[str, Any]], names: Mapping[str, str] | None) -> dict[str, float]:
    """Return the score of each label by its name."""
    scores = {(names or {}).get(label, label): float(score) for label, score in ranked}
    if len(scores) < len(ranked):
        raise InvalidOutput("probabilities", "two labels have one name")
    return scores


def _one_an_item(results: Any, wanted: int, *, always_lists: bool = False) -> list[Any]:
    """Return one result for each of the `wanted` items; a call with one item gives its result without a list."""
    found = listed(results)
    flat = any(isinstance(one, Mapping) for one in found) or (always_lists and not found)
    return [found] if flat and wanted == 1 and (always_lists or len(found) != 1) else found


def _is_size(sizes: Any) -> bool:
    return isinstance(sizes, Sequence) and len(sizes) == 2 and all(isinstance(one, int | float) for one in sizes)


def _rectangle(
    place: int,
    found: Mapping[str, Any],
    size: Sequence[float],
    from_name: str,
    to_name: str,
    names: Mapping[str, str],
) -> dict[str, Any]:
    width, height = size
    box = found["box"]
    left, top = max(0.0, box["xmin"]), max(0.0, box["ymin"])
    right, bottom = min(float(width), box["xmax"]), min(float(height), box["ymax"])
    if not (left < right and top < bottom):
        raise InvalidOutput(f"result[{place}]", f"the box {dict(box)} lies outside of an image of {width} x {height}")
    return {
        "id": f"box{place}",
        "from_name": from_name,
        "to_name": to_name,
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": float(found["score"]),
        "value": {
            "x": 100.0 * left / width,
            "y": 100.0 * top / height,
            "width": 100.0 * (right - left) / width,
            "height": 100.0 * (bottom - top) / height,
            "rotation": 0,
            "rectanglelabels": [names.get(found["label"], found["label"])],
        },
    }

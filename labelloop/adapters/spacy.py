"""spaCy: outputs from the categories and the entities of a Doc.

spacy.categories(nlp.pipe(texts), keys, model_version="tickets-3.1")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from labelloop.adapters.items import about, answer, keywords, paired
from labelloop.errors import UsageError
from labelloop.outputs.output import Output


@keywords
def categories(
    docs: Iterable[Any], keys: Any, data: Any = None, *, several: bool = False, field: str = "text", **others: Any
) -> Iterator[Output]:
    """Yield an output for the `cats` of each Doc.

    `several` is True for the component `textcat_multilabel`, whose labels are independent of each other. `data` is as
    in `items.paired`; None means the text of each Doc, as the field `field`. `others` are more fields of Output, the
    same for all. Raises InvalidOutput for a Doc without categories.
    """
    for doc, key, item in _items(docs, keys, data, field):
        with about(key):
            found = answer({str(label): float(score) for label, score in doc.cats.items()}, several=several)
        yield Output(key=key, data=item, **found, **others)


@keywords
def entities(
    docs: Iterable[Any], keys: Any, data: Any = None, *, group: str | None = None, field: str = "text", **others: Any
) -> Iterator[Output]:
    """Yield an output with the spans of each Doc: its `ents`, or those of the span group `group`.

    spaCy has no confidence for entities, so people are asked about each output. A `spancat` component gives scores in
    its span group: the confidence is the lowest of them, and all are `evidence.tokens`. Offsets count characters.
    """
    for doc, key, item in _items(docs, keys, data, field):
        if group is not None and group not in doc.spans:
            raise UsageError(f"there is no span group {group!r}; there are: {', '.join(doc.spans) or 'none'}")
        spans = list(doc.ents if group is None else doc.spans[group])
        scores = _scores(doc, group)
        known = 0 < len(scores) == len(spans)
        yield Output(
            key=key,
            data=item,
            label=[[int(span.start_char), int(span.end_char), str(span.label_)] for span in spans],
            confidence=min(scores) if known else None,
            evidence={"tokens": scores} if known else None,
            **others,
        )


def _scores(doc: Any, group: str | None) -> list[float]:
    scores = () if group is None else getattr(doc.spans[group], "attrs", {}).get("scores", ())
    return [float(score) for score in scores]


def _items(docs: Iterable[Any], keys: Any, data: Any, field: str) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    found = list(docs)
    texts = [doc.text for doc in found] if data is None else data
    for doc, (key, item) in zip(found, paired(keys, texts, len(found), field), strict=True):
        yield doc, key, item

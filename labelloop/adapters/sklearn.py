"""scikit-learn: outputs from `predict_proba`, of any classifier that follows its conventions (XGBoost, LightGBM, ...).

sklearn.outputs(model, model.predict_proba(X), keys=frame.index, data=frame[["text"]], model_version="v7")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labelloop.adapters.items import about, answer, is_frame, keywords, listed, name_of, paired
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output


@keywords
def outputs(
    model_or_classes: Any,
    proba: Any,
    keys: Any,
    data: Any,
    *,
    labels: Any = None,
    several: bool | None = None,
    field: str = "text",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output for each row of `proba`.

    `model_or_classes` is the fitted model, or its `classes_`. None if `proba` is a DataFrame whose columns are the
    classes. `proba` has the shape (n_samples, n_classes), columns as in the classes; two classes may have the shape
    (n_samples,), the probability of the second. A list of arrays (n_samples, 2), one for each label, is multi-label.

    `labels` names the columns of a multi-label model, such as `MultiLabelBinarizer.classes_`. `several` says that the
    columns are independent of each other; None if the model tells. A model that knows one class has no confidence.

    `keys` and `data` have one entry a row. A text in `data` becomes the field `field`. `others` are more fields of
    Output, the same for all.

    Raises UsageError for shapes that do not fit, and InvalidOutput with the key of a row that is not a prediction.
    """
    names, rows, independent = _read(model_or_classes, proba, labels)
    several = independent if several is None else several
    for row, (key, item) in zip(rows, paired(keys, data, len(rows), field), strict=True):
        if len(row) != len(names):
            raise UsageError(f"proba has {len(row)} columns, and there are {len(names)} classes ({', '.join(names)})")
        with about(key):
            found = answer(dict(zip(names, row, strict=True)), several=several)
        if len(names) == 1 and not several:
            found["confidence"] = None
        yield Output(key=key, data=item, **found, **others)


@keywords
def labels_only(labels: Any, keys: Any, data: Any, *, field: str = "text", **others: Any) -> Iterator[Output]:
    """Yield an output for each predicted label of a model without `predict_proba`.

    Such outputs have no confidence, so people are asked about each.
    """
    predicted = listed(labels)
    for label, (key, item) in zip(predicted, paired(keys, data, len(predicted), field), strict=True):
        with about(key):
            if label is None or label != label:
                raise InvalidOutput("label", "is missing")
        yield Output(key=key, data=item, label=name_of(label), **others)


def _read(given: Any, proba: Any, labels: Any) -> tuple[list[str], list[list[float]], bool]:
    """Return the names of the columns, the rows, and whether the columns are independent of each other."""
    model = given if hasattr(given, "classes_") else None
    classes = None if given is None else listed(given.classes_ if model is not None else given)
    if _is_an_array_a_label(proba):
        named = labels if labels is not None or model is not None else classes
        columns = _positives(proba, classes if model is not None else None)
        return _names(named, len(columns)), [list(row) for row in zip(*columns, strict=True)], True
    rows = _matrix(proba)
    if labels is None and classes is None:
        if not is_frame(proba):
            raise UsageError("give the model or its classes_, in the order of the columns of proba")
        classes = listed(proba.columns)
    chained = classes is not None and any(hasattr(one, "shape") and one.shape for one in classes)  # a ClassifierChain
    independent = chained or bool(getattr(model, "multilabel_", False)) or _is_a_multilabel_network(model)
    width = len(rows[0]) if rows else len(classes or ())
    names = _names(labels if chained or labels is not None else classes, width)
    if is_frame(proba):
        _refuse_another_order([name_of(column) for column in proba.columns], names)
    if len(names) == 2 and width == 1:
        rows = [[1.0 - row[0], row[0]] for row in rows]
    return names, rows, independent


def _names(labels: Any, width: int) -> list[str]:
    if labels is None:
        raise UsageError(
            f"the {width} outputs of this model have no names: pass labels=, in the order of its columns, such as "
            "MultiLabelBinarizer.classes_"
        )
    names = [name_of(label) for label in listed(labels)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"two classes are named {min(twice)!r}")
    return names


def _is_a_multilabel_network(model: Any) -> bool:
    """Return whether it is an MLPClassifier with several labels at once, whose `classes_` do not tell."""
    return str(getattr(getattr(model, "_label_binarizer", None), "y_type_", "")).startswith("multilabel")


def _refuse_another_order(columns: list[str], names: list[str]) -> None:
    """Raise UsageError if the columns of a DataFrame are the classes in another order: which of the two is meant?"""
    if columns != names and sorted(columns) == sorted(names):
        raise UsageError(
            f"the columns of proba are {', '.join(columns)}, and the classes {', '.join(names)}: give None for the "
            "model if the columns are correct, else an array"
        )


def _matrix(proba: Any) -> list[list[float]]:
    values = proba.to_numpy() if hasattr(proba, "to_numpy") else proba
    rows = values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return [[float(one) for one in row] if isinstance(row, list | tuple) else _row(row) for row in rows]
    except (TypeError, ValueError) as exc:
        raise UsageError(f"proba must hold numbers, in the shape (n_samples, n_classes): {exc}") from None


def _row(row: Any) -> list[float]:
    return [float(one) for one in row.tolist()] if getattr(row, "shape", ()) else [float(row)]


def _is_an_array_a_label(proba: Any) -> bool:
    if getattr(proba, "ndim", None) == 3:
        return True
    if not isinstance(proba, list | tuple) or not proba:
        return False
    first = proba[0]
    return getattr(first, "ndim", None) == 2 or (
        isinstance(first, list | tuple) and bool(first) and isinstance(first[0], list | tuple)
    )


def _positives(proba: Sequence[Any], classes: list[Any] | None) -> list[list[float]]:
    """Return for each label its probability of being given, one for each row."""
    found = []
    for place, array in enumerate(proba):
        rows = _matrix(array)
        widths = {len(row) for row in rows}
        if widths <= {2}:
            found.append([row[1] for row in rows])
        elif widths == {1} and classes is not None:  # all training items had it, or none
            found.append([float(bool(classes[place][0]))] * len(rows))
        else:
            raise UsageError(
                f"output {place} of the model has {max(widths)} classes: a label is given or not, so it has two. "
                "Submit an output of several classes to a loop of its own"
            )
    return found

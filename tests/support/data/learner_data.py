"""Items with answers that learners can learn from, each of another kind."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

Data = list[dict[str, object]]


def picture(pixels: Sequence[Sequence[float]], scale: int = 1, form: str = "PNG") -> str:
    """A data: URI; `pixels` 0 (paper) to 1 (ink)."""
    grey = np.kron(255 * (1 - np.asarray(pixels)), np.ones((scale, scale))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def digits(n: int = 120) -> tuple[Data, list[str]]:
    images, targets = load_digits(return_X_y=True)
    pixels = (images / 16).reshape(-1, 8, 8)
    return [{"item": picture(p), "n": i} for i, p in enumerate(pixels[:n])], [str(t) for t in targets[:n]]


def tickets(n: int = 120) -> tuple[Data, list[str]]:
    topics = {
        "billing": ["invoice", "refund", "charged twice", "credit card"],
        "login": ["password", "cannot sign in", "locked account", "reset link"],
        "shipping": ["parcel", "delivery is late", "tracking number", "courier"],
    }
    names = sorted(topics)
    labels = [names[i % 3] for i in range(n)]
    texts = [f"Hello, about my {topics[label][i % 4]}, case {i}" for i, label in enumerate(labels)]
    return [{"item": text} for text in texts], labels


def parcels(n: int = 120) -> tuple[Data, list[str]]:
    """Numbers and words, some of them missing."""
    rng = np.random.default_rng(0)
    data: Data = []
    labels = []
    for i in range(n):
        weight, colour = round(float(rng.uniform(0, 9)), 2), ["red", "green", "blue"][i % 3]
        labels.append("heavy" if weight > 6 else colour)
        data.append({"item": weight, "colour": colour, "note": None if i % 5 else "fragile"})
    return data, labels


def points(n: int = 120) -> tuple[Data, list[str]]:
    rng = np.random.default_rng(0)
    labels = [["a", "b", "c"][i % 3] for i in range(n)]
    return [{"item": [round(float(v), 3) for v in rng.normal("abc".index(x), 0.2, 4)]} for x in labels], labels

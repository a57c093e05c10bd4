"""Features: compare items without a model, and read their fields.

Euclidean distance is meaningful for all vectors. Texts and embeddings have unit length; for pictures the distance is
the mean difference of their pixels.
"""

from __future__ import annotations

import binascii
import io
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from labelloop.reading.addresses import looks_like_address
from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of
from labelloop.selection import likeness
from labelloop.selection.vectors import Ints, Vectors
from labelloop.threads import one_thread

MAX_LENGTH = 100_000
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_PIXELS = 20_000_000
SIDE = 8
"""Pixels a side by which pictures are compared, as in the learner of images."""
SAME = 1 / 255
"""Distance below which two items are near-duplicates. For pictures it is a mean of less than one of 255 grey levels."""
T = TypeVar("T")
_REMEMBERED = 10_000
_pictures: dict[bytes, Vectors | None] = {}
"""Pixels by hash of the picture: decoding is the main cost, and most pictures are the same from push to push."""


PNG, IN_COLOUR, IN_GREY = "data:image/png;", "fetched=colour;", "fetched=grey;"
"""The `data:` URI of a fetched picture begins with PNG, then says how the picture was kept."""
GREY = "grey="
"""Before the picture in grey, in the URI of one in colour that was kept in grey too."""


class Unfetched(str):
    """An address whose picture could not be fetched."""

    why: str

    def __new__(cls, address: str, why: str) -> Unfetched:
        made = super().__new__(cls, address)
        made.why = why
        return made


@dataclass(frozen=True, slots=True)
class Features:
    """Features of some items, in their order, comparable only with features of the same reading."""

    vectors: Vectors
    """Shape (n, d); zeros if the item could not be read."""
    groups: Ints
    """Shape (n,): equal numbers for near-duplicates."""
    readable: npt.NDArray[np.bool_]
    """Shape (n,): False for an item that could not be read, or has no embedding. It is similar to no other item."""

    def __len__(self) -> int:
        return len(self.vectors)


def read(
    reads: str,
    field: str | None,
    data: Iterable[Mapping[str, object]],
    embeddings: Sequence[npt.ArrayLike | None] | None = None,
) -> Features | None:
    """Return features of all items that are to be compared: candidates, open and recent tasks together.

    Items are compared by `embeddings` if the loop's pipeline gives them, or its encoder (None for an item without one).
    Otherwise they are compared by the field that the loop's learner reads: `reads` is "text" or "images". Returns None
    if it reads anything else. `data` is iterated at most once, and little of each item is kept.
    """
    if embeddings is None and (field is None or reads not in ("text", "images")):
        return None
    texts = None
    if reads == "text" and field is not None:
        texts = [_or_none(_beginning, value_at(item, field)) for item in data]
    rows: Sequence[npt.ArrayLike | None]
    if embeddings is not None:
        rows = embeddings
    elif texts is not None:
        return _of_texts(texts)
    else:
        rows = [_picture(value_at(item, str(field))) for item in data]
    vectors, readable = _of_vectors(rows, unit=embeddings is not None)
    if texts is not None:
        # The texts themselves show near-duplicates better than embeddings do.
        return Features(vectors, _groups_of_texts(texts), readable)
    groups = np.arange(len(rows))
    groups[readable] = np.flatnonzero(readable)[_same(vectors[readable])]
    return Features(vectors, groups, readable)


def split(known: Features | None, *sizes: int) -> tuple[Features | None, ...]:
    """Split the features of a reading into parts of these sizes, in order."""
    if known is None:
        return (None,) * len(sizes)
    if sum(sizes) != len(known):
        raise ValueError(f"parts of {' + '.join(map(str, sizes))} items, from a reading of {len(known)}")
    ends = np.cumsum(sizes)
    return tuple(
        Features(known.vectors[end - n : end], known.groups[end - n : end], known.readable[end - n : end])
        for n, end in zip(sizes, ends, strict=True)
    )


def read_text(value: object) -> str:
    """Return the text, cut at MAX_LENGTH characters; a number is the text that people see. Raises ValueError."""
    if (text := text_of(value)) is None:
        raise ValueError(f"is not text but {type(value).__name__}")
    return text[:MAX_LENGTH]


def _beginning(value: object) -> str:
    """Return the part of a text that is compared."""
    return read_text(value)[: likeness.SEEN]


def pixels(value: object, side: int = SIDE) -> npt.NDArray[np.float64]:
    """Return the picture of a `data:` URI as side x side grey pixels, 0 black to 1 white, row by row."""
    grey = open_image(value).resize((side, side), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float64).ravel() / 255


def colours(value: object, side: int, *, fetched: bool = True) -> npt.NDArray[np.float32]:
    """Return the picture of a `data:` URI as side x side pixels of three colours, 0 to 1: shape (side, side, 3).

    `fetched`: whether fetched pictures are in colour too; if not, all three colours of one are its grey. Raises
    ValueError for one that has no colours.
    """
    head = value.partition(",")[0] if isinstance(value, str) else ""
    if fetched and head.startswith(PNG + IN_GREY):
        raise ValueError("is kept in grey, and was not fetched in colour yet")
    if fetched or not head.startswith(PNG + IN_COLOUR):
        seen = open_image(value, "RGB")
    elif (grey := head.partition(GREY)[2].removesuffix(";base64")) != "":
        seen = open_image(f"{PNG}base64,{grey}", "RGB")
    else:
        seen = open_image(value, "L").convert("RGB")
    seen = seen.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(seen, dtype=np.float32) / np.float32(255)


def open_image(value: object, mode: str = "L") -> Image.Image:
    """Return the picture of a `data:` URI in grey, or in colour with the mode RGB, transparency as white paper.

    Raises ValueError with the reason.
    """
    if isinstance(value, Unfetched):
        raise ValueError(value.why)
    if looks_like_address(value) and not str(value).startswith("data:"):
        raise ValueError("is an address that is not fetched: learner.fetch in loop.yaml lists the allowed ones")
    if not isinstance(value, str) or not value.startswith("data:"):
        raise ValueError("is not a data: URI with an image")
    head, _, body = value.partition(",")
    if not head.endswith(";base64"):
        raise ValueError("is a data: URI that is not base64")
    try:
        raw = b64decode(body, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"is not valid base64: {exc}") from None
    return picture_of(raw, mode)


def picture_of(raw: bytes, mode: str = "L") -> Image.Image:
    """Return the picture in these bytes in grey, or in another mode, transparency as white paper.

    Raises ValueError with the reason.
    """
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"has {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
            if not image.has_transparency_data:
                return image.convert(mode)
            paper = Image.new("RGBA", image.size, "white")
            paper.alpha_composite(image.convert("RGBA"))
            return paper.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        reason = exc if type(exc) is ValueError else f"does not load as an image ({', '.join(FORMATS)})"
        raise ValueError(str(reason)) from None


def _of_texts(texts: Sequence[str | None]) -> Features:
    readable = np.array([text is not None for text in texts], dtype=bool)
    plain = [likeness.plain(text) for text in texts if text is not None]
    with one_thread:
        found = likeness.vectors(plain)
    vectors = np.zeros((len(texts), found.shape[1]), dtype=np.float32)
    vectors[readable] = found
    return Features(vectors, _groups_of_texts(texts), readable)


def _groups_of_texts(texts: Sequence[str | None]) -> Ints:
    """Return equal numbers for texts that are near-duplicates by their letters."""
    readable = np.array([text is not None for text in texts], dtype=bool)
    groups = np.arange(len(texts))
    with one_thread:
        groups[readable] = likeness.duplicates([likeness.plain(text) for text in texts if text is not None])
    # Numbers of groups must differ from those of unreadable items.
    groups[~readable] += len(texts)
    return groups


def _of_vectors(rows: Sequence[npt.ArrayLike | None], *, unit: bool) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    given = [None if row is None else np.asarray(row, dtype=np.float32) for row in rows]
    widths = sorted({len(row) for row in given if row is not None})
    if len(widths) > 1:
        raise ValueError(f"vectors of {widths[0]} and of {widths[-1]} numbers cannot be compared")
    readable = np.array([row is not None for row in given], dtype=bool)
    vectors = np.zeros((len(given), widths[0] if widths else 0), dtype=np.float32)
    for place, row in enumerate(given):
        if row is not None:
            vectors[place] = row
    if not np.isfinite(vectors).all():
        raise ValueError(f"vector {int((~np.isfinite(vectors)).any(1).argmax())} has a number that is not finite")
    lengths = np.sqrt((vectors * vectors).sum(1, keepdims=True)) if unit else np.sqrt(vectors.shape[1])
    vectors /= np.maximum(lengths, 1e-12)
    return vectors, readable


def _same(vectors: Vectors) -> Ints:
    """Return for each row the first row of its group: itself, or a row nearer than SAME."""
    group = np.full(len(vectors), -1, dtype=np.int64)
    for row in range(len(vectors)):
        if group[row] < 0:
            off = vectors[row:] - vectors[row]
            group[row:][(np.einsum("ij,ij->i", off, off) < SAME**2) & (group[row:] < 0)] = row
    return group


def _picture(value: object) -> Vectors | None:
    """Return the pixels of a picture; None if it cannot be read."""
    if not isinstance(value, str):
        return None
    name = blake2b(value.encode(errors="surrogatepass"), digest_size=16).digest()
    if name not in _pictures:
        if len(_pictures) >= _REMEMBERED:
            _pictures.clear()
        grey = _or_none(pixels, value)
        seen = None if grey is None else grey.astype(np.float32)
        _pictures[name] = seen
        return seen
    return _pictures[name]


def _or_none(reader: Callable[[object], T], value: object) -> T | None:
    try:
        return reader(value)
    except ValueError:
        return None

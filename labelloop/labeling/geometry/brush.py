"""Brush: masks as Label Studio writes them, as run lengths of its own (RLE) or as a PNG picture. Pure.

RLE is a list of bytes, which hold the bits of the format rle-pack. The values are those of an RGBA picture, row by row.

header  32 bits: the number of values. 5 bits: the bits of a value, less one. 4 times 4 bits: four sizes of lengths in
        bits, each less one
chunk   1 bit: whether one value is repeated. 2 bits: which of the four sizes. The length, less one. The value, or all
        values if they differ

The SDK's converter reads the same format, but importing it takes
seconds and one mask of 12 million pixels takes more than ten.

A pixel belongs to the region if its alpha is at least half of the largest alpha of the mask. So the soft edge of a
brush is cut where it covers half of a pixel, and a mask that was written with a low alpha is not lost.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from labelloop.labeling.geometry import masks, shapes
from labelloop.labeling.geometry.masks import MOST_PIXELS, Mask

_SIZES = (3, 4, 8, 16)
"""Bits of the lengths, as the editor chooses them."""
_CHANNELS = 4
_HEADER_BITS = 32 + 5 + 4 * 4
_PNG = "data:image/png;base64,"


def decode(rle: object, width: Any, height: Any) -> Mask:
    """Return the mask of an image of this size. Raises ValueError if the RLE is damaged, or of another size."""
    _check_size(width, height)
    if (
        not isinstance(rle, list)
        or len(rle) * 8 < _HEADER_BITS
        or not all(type(byte) is int and 0 <= byte <= 255 for byte in rle)
    ):
        raise ValueError("the RLE of a mask is a list of bytes, from 0 to 255; this one is damaged")
    bits = _Bits(bytes(rle))
    values = bits.read(32)
    if values != width * height * _CHANNELS:
        raise ValueError(
            f"the RLE of a mask has {values / _CHANNELS:g} pixels, and original_width x original_height is "
            f"{width} x {height}: it is the mask of an image of another size"
        )
    starts, alphas = _runs(bits, values)
    return _cut(starts // _CHANNELS, alphas, width, height)


def encode(mask: Mask) -> list[int]:
    """Return the RLE of a mask, with the alpha 255."""
    total = mask.width * mask.height * _CHANNELS
    bits = [f"{total:032b}{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    edges = np.concatenate([[0], mask.bounds * _CHANNELS, [total]])
    longest = 1 << _SIZES[-1]
    for i, length in enumerate(np.diff(edges).tolist()):
        value = "11111111" if i % 2 else "00000000"
        for chunk in [longest] * (length // longest) + [length % longest] * (length % longest > 0):
            choice = next(place for place, size in enumerate(_SIZES) if chunk <= 1 << size)
            bits.append(f"1{choice:02b}{chunk - 1:0{_SIZES[choice]}b}{value}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode_png(address: object, width: Any, height: Any) -> Mask:
    """Return the mask in a PNG picture, given as a data address. None for a size that is not given.

    Raises ValueError if it is damaged, or of another size.
    """
    try:
        if not isinstance(address, str) or not address.startswith(_PNG):
            raise ValueError
        picture = Image.open(io.BytesIO(base64.b64decode(address[len(_PNG) :], validate=True)), formats=["PNG"])
    except Image.DecompressionBombError:
        raise ValueError(
            f"the picture of a bitmask has at most {shapes.MOST_PNG_PIXELS:,} pixels; one has more"
        ) from None
    except (ValueError, binascii.Error, OSError, UnidentifiedImageError):
        raise ValueError(f"a bitmask is a PNG picture that begins with {_PNG}; one is {str(address)[:40]}") from None
    size = picture.size
    if (width or size[0], height or size[1]) != size:
        raise ValueError(
            f"the picture of a bitmask is {size[0]} x {size[1]}, and original_width x original_height is "
            f"{width} x {height}: it is the mask of an image of another size"
        )
    shapes.check_png(*size)
    try:
        alphas = np.asarray((picture if picture.mode == "RGBA" else picture.convert("RGBA")).getchannel("A")).ravel()
    except (OSError, SyntaxError, ValueError):
        raise ValueError("the PNG picture of a bitmask is damaged") from None
    changes = np.concatenate([[0], np.flatnonzero(np.diff(alphas)) + 1])
    return _cut(changes, alphas[changes], *size)


def encode_png(mask: Mask) -> str:
    """Return a mask as a PNG picture in a data address: black where the region is, transparent elsewhere."""
    pixels = np.zeros((mask.height, mask.width, 2), dtype=np.uint8)
    pixels[:, :, 1] = masks.array_of(mask) * np.uint8(255)
    out = io.BytesIO()
    Image.fromarray(pixels, "LA").convert("RGBA").save(out, "PNG")
    return _PNG + base64.b64encode(out.getvalue()).decode()


def _check_size(width: object, height: object) -> None:
    if type(width) is not int or type(height) is not int or width < 1 or height < 1:
        raise ValueError("a mask needs original_width and original_height, the size of its image in pixels")
    if width * height > MOST_PIXELS:
        raise ValueError(f"a mask has at most {MOST_PIXELS} pixels; one is {width} x {height}")


def _cut(starts: npt.NDArray[np.int64], alphas: npt.NDArray[np.uint8], width: int, height: int) -> Mask:
    """Return the mask of runs that start at these pixels with these alphas; a run without pixels counts nowhere."""
    lengths = np.diff(np.append(starts, width * height))
    starts, alphas = starts[lengths > 0], alphas[lengths > 0].astype(int)
    inside = (alphas > 0) & (2 * alphas >= alphas.max(initial=0))
    return masks.of_changes(width, height, starts[np.diff(inside, prepend=False)])


class _Bits:
    """Bits of a bytes object, read from the front. Raises ValueError at its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def read(self, bits: int) -> int:
        end = self._at + bits
        piece = self._content[self._at >> 3 : (end + 7) >> 3]
        if end > len(self._content) * 8:
            raise ValueError("the RLE of a mask ends before its last pixel")
        self._at = end
        return int.from_bytes(piece, "big") >> (-end % 8) & ((1 << bits) - 1)


def _runs(bits: _Bits, values: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return where each run of one value starts, and the value, for all the values after the header."""
    word = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if word != 8:
        raise ValueError(f"the RLE of a mask has values of 8 bits; one has {word}")
    starts, found, at = [], [], 0
    while at < values:
        repeated = bits.read(1)
        length = bits.read(sizes[bits.read(2)]) + 1
        if at + length > values:
            raise ValueError("the RLE of a mask goes on after its last pixel")
        if repeated:
            starts.append(at)
            found.append(bits.read(word))
        else:
            starts += range(at, at + length)
            found += bits.read(word * length).to_bytes(length, "big")
        at += length
    return np.array(starts, dtype=np.int64), np.array(found, dtype=np.uint8)

"""Masks as Label Studio writes them: held to the SDK's own converter, and to what the editor's brush wrote."""

from __future__ import annotations

import base64
import importlib.util
import io
import struct
import zlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.geometry import brush, masks
from tests.support.data.regions import editor_results, large_brush, mask_regions


def _converter() -> ModuleType:
    """The SDK's converter of brushes, without the rest of its package, whose import takes seconds."""
    sdk = importlib.util.find_spec("label_studio_sdk")
    assert sdk is not None
    assert sdk.submodule_search_locations is not None
    file = f"{sdk.submodule_search_locations[0]}/converter/brush.py"
    spec = importlib.util.spec_from_file_location("brush_of_the_sdk", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SDK: Any = _converter()


def pixels_of(region: Any) -> Any:
    return masks.array_of(masks.of_runs(*region["mask"]))


@settings(max_examples=40, deadline=None)
@given(mask_regions())
def test_the_sdk_reads_our_rle_and_we_read_its(region: Any) -> None:
    width, height, runs = region["mask"]
    ours = brush.encode(masks.of_runs(width, height, runs))
    alphas = np.reshape(SDK.decode_rle(ours), [height, width, 4])[:, :, 3]
    assert ((alphas == 255) == pixels_of(region)).all()
    assert masks.runs_of(brush.decode(ours, width, height)) == runs
    theirs = SDK.mask2rle(pixels_of(region).astype(np.uint8) * 255)
    assert masks.runs_of(brush.decode(theirs, width, height)) == runs


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_soft_edge_is_cut_at_half_of_the_largest_alpha(width: int, height: int, data: st.DataObject) -> None:
    n = width * height
    alphas = np.array(data.draw(st.lists(st.integers(0, 255), min_size=n, max_size=n)))
    channels = data.draw(st.lists(st.integers(0, 255), min_size=3 * n, max_size=3 * n))
    picture = np.column_stack([np.reshape(channels, (n, 3)), alphas])
    found = brush.decode(SDK.encode_rle(picture.ravel()), width, height)
    expected = (2 * alphas >= alphas.max()) & (alphas > 0)
    assert (masks.array_of(found).ravel() == expected).all()


def test_a_mask_with_a_low_alpha_is_not_lost() -> None:
    """The SDK writes contours with an alpha of 100, and masks of zeros and ones with one of 1."""
    for alpha in (1, 100):
        rle = SDK.mask2rle(np.array([[0, alpha], [alpha, 0]], dtype=np.uint8))
        assert masks.runs_of(brush.decode(rle, 2, 2)) == [1, 2, 1]


def test_the_editors_brush_is_read_as_the_sdk_reads_it() -> None:
    entry = editor_results()["brush"][0]
    width, height = entry["original_width"], entry["original_height"]
    found = brush.decode(entry["value"]["rle"], width, height)
    alphas = np.reshape(SDK.decode_rle(entry["value"]["rle"]), [height, width, 4])[:, :, 3]
    assert (masks.array_of(found) == (alphas >= 128)).all()
    assert masks.pixels_of(found) > 5_000


def test_the_editors_bitmask_is_read_as_the_picture_that_it_is() -> None:
    entry = editor_results()["bitmask"][0]
    size = entry["original_width"], entry["original_height"]
    found = brush.decode_png(entry["value"]["imageDataURL"], *size)
    content = base64.b64decode(entry["value"]["imageDataURL"].partition(",")[2])
    picture = Image.open(io.BytesIO(content))
    assert picture.size == size == (found.width, found.height)
    assert masks.pixels_of(found) == (np.asarray(picture.convert("RGBA"))[:, :, 3] >= 128).sum() > 5_000
    again = brush.decode_png(brush.encode_png(found), *size)
    assert masks.runs_of(again) == masks.runs_of(found)


def test_a_stroke_on_a_picture_of_twelve_million_pixels_is_read() -> None:
    entry = large_brush()
    found = brush.decode(entry["value"]["rle"], 4000, 3000)
    assert (found.width, found.height) == (4000, 3000)
    assert 1_000 < len(found.bounds) < 20_000
    assert masks.runs_of(brush.decode(brush.encode(found), 4000, 3000)) == masks.runs_of(found)


RLE = brush.encode(masks.of_runs(4, 2, [2, 3, 3]))


@pytest.mark.parametrize(
    ("rle", "size", "words"),
    [
        (RLE, (4, 3), "the RLE of a mask has 8 pixels, and original_width x original_height is 4 x 3"),
        (RLE[:-3], (4, 2), "ends before its last pixel"),
        (RLE[:4], (4, 2), "this one is damaged"),
        ([], (4, 2), "this one is damaged"),
        ([256, *RLE[1:]], (4, 2), "a list of bytes, from 0 to 255"),
        ([True, *RLE[1:]], (4, 2), "a list of bytes, from 0 to 255"),
        ([255, 255, 255, 255, *RLE[4:]], (4, 2), "it is the mask of an image of another size"),
        ([*RLE[:4], 0, *RLE[5:]], (4, 2), "has values of 8 bits; one has 1"),
        (RLE, (None, 2), "a mask needs original_width and original_height"),
        (RLE, (1 << 20, 1 << 20), "a mask has at most"),
        (RLE, (0, 2), "a mask needs original_width"),
    ],
)
def test_a_damaged_mask_is_refused_with_the_reason(rle: Any, size: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        brush.decode(rle, *size)
    assert words in str(caught.value)


def test_a_bitmask_of_too_many_pixels_is_refused_before_it_is_read() -> None:
    head = struct.pack(">II5B", 10_000, 5_001, 8, 6, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")))
    ]
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()
    with pytest.raises(ValueError, match="at most 50,000,000 pixels; one is 10000 x 5001"):
        brush.decode_png("data:image/png;base64," + picture, 10_000, 5_001)
    drawn = [{"mask": [10_000, 5_001, [0, 10_000 * 5_001]]}]
    with pytest.raises(ValueError, match="at most 50,000,000 pixels"):
        kinds.canonical(ControlTag("Bitmask", "c", "image"), drawn)
    assert kinds.canonical(ControlTag("Brush", "c", "image"), drawn)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "a bitmask is a PNG picture"),
        ("data:image/jpeg;base64,AAAA", "a bitmask is a PNG picture"),
        ("data:image/png;base64,AAAA", "a bitmask is a PNG picture"),
        ("data:image/png;base64,!!", "a bitmask is a PNG picture"),
        (brush.encode_png(masks.of_runs(3, 2, [2, 3, 1])), "the picture of a bitmask is 3 x 2"),
        (brush.encode_png(masks.of_runs(4, 2, [2, 3, 3]))[:-40], "a bitmask"),
    ],
)
def test_a_damaged_bitmask_is_refused_with_the_reason(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        brush.decode_png(address, 4, 2)
    assert words in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 255), max_size=60))
def test_no_bytes_end_in_anything_but_a_mask_or_a_reason(rest: list[int]) -> None:
    for rle in (rest, [*RLE[:7], *rest]):
        try:
            mask = brush.decode(rle, 4, 2)
        except ValueError:
            continue
        assert sum(masks.runs_of(mask)) == 8

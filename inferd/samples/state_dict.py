"""
Reads PyTorch's older weight files (``torch.save`` before 1.6) with NumPy alone.

Such a file is a row of pickles followed by the raw storages. A pickle can name any
function to call; the unpickler here knows the four names tensors are made of and
refuses every other, and each tensor is checked to lie within its storage.
"""

import collections
import io
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MALFORMED = (
    pickle.UnpicklingError,
    EOFError,
    struct.error,
    AttributeError,
    LookupError,
    TypeError,
)
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class StateDictError(ValueError):
    """The file is not a weight file of the expected form."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: "np.dtype[Any]"


@dataclass(frozen=True, slots=True)
class _TensorRecord:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read(data: bytes) -> dict[str, Array]:
    """
    Return the tensors of a weight file by name, each contiguous.

    Raises:
        StateDictError: It is not such a file, holds something else than tensors, or a
            tensor reaches outside its storage.
    """
    file = io.BytesIO(data)
    try:
        return _read(file)
    except _MALFORMED as error:
        raise StateDictError(f"not a PyTorch weight file: {error}") from error


def _read(file: BinaryIO) -> dict[str, Array]:
    if _unpickle(file) != _MAGIC or _unpickle(file) != _PROTOCOL:
        raise StateDictError("not a PyTorch weight file of the older form")
    _unpickle(file)
    records = _unpickle(file)
    keys = _unpickle(file)
    dtypes = {record.storage.key: record.storage.dtype for record in records.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _view(record, storages) for name, record in records.items()}


def _read_storage(file: BinaryIO, dtype: "np.dtype[Any]") -> Array:
    (count,) = struct.unpack("<q", file.read(8))
    raw = file.read(max(count, 0) * dtype.itemsize)
    if count < 0 or len(raw) != count * dtype.itemsize:
        raise StateDictError(f"a storage of {count} elements is cut short")
    return np.frombuffer(raw, dtype)


def _view(record: _TensorRecord, storages: dict[str, Array]) -> Array:
    storage = storages[record.storage.key]
    last = record.offset + sum(
        (size - 1) * step for size, step in zip(record.shape, record.stride, strict=True)
    )
    smallest = min((*record.shape, *record.stride, record.offset, 0))
    if smallest < 0 or 0 in record.shape or last >= len(storage):
        raise StateDictError(f"a tensor of shape {list(record.shape)} reaches outside its storage")
    strides = [step * storage.itemsize for step in record.stride]
    view = np.lib.stride_tricks.as_strided(
        storage[record.offset :], record.shape, strides, writeable=False
    )
    return np.ascontiguousarray(view)


def _unpickle(file: BinaryIO) -> Any:
    return _TensorUnpickler(file).load()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: Sequence[int], stride: Sequence[int], *_: object
) -> _TensorRecord:
    return _TensorRecord(storage, offset, tuple(shape), tuple(stride))


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that admits nothing but tensors."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module_name == "torch" and global_name in _STORAGES:
            return _STORAGES[global_name]
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not part of a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)

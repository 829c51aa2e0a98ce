"""
The classification extension: the best classes of an output, as strings.

Each element of the result is ``<value>:<index>`` or ``<value>:<index>:<label>``, the value
with six decimals for floating point and plain for integers.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inferd.errors import InvalidRequest
from inferd.protocol import bytes_tensor
from inferd.protocol.tensors import Tensor

MAX_ELEMENTS: Final = 1_000_000
"""The most classes an output may have (Triton's limit)."""

_UNSUPPORTED: Final = ("BOOL", "BYTES", "FP16", "BF16")


def classify(output: Tensor, count: int, labels: Sequence[str], *, batches: bool) -> Tensor:
    """
    Return the ``count`` largest elements of each row, largest first.

    Args:
        output: The model's output, shape ``[batch, ...]`` or ``[...]``; what follows the
            batch dimension is one row of classes.
        count: How many classes to return, at least 1.
        labels: The class labels; missing and empty ones are left out.
        batches: Whether dimension 0 is the batch.

    Returns:
        A ``BYTES`` tensor of shape ``[batch, min(count, classes)]`` or
        ``[min(count, classes)]``. Equal values are ordered by index.

    Raises:
        InvalidRequest: The datatype cannot be ordered or there are too many classes.
    """
    if output.datatype in _UNSUPPORTED:
        raise InvalidRequest(
            f"class result not available for output due to unsupported type '{output.datatype}'"
        )
    batch, classes = output.shape[:1] if batches else (), output.shape[1 if batches else 0 :]
    width = math.prod(classes)
    if width > MAX_ELEMENTS:
        raise InvalidRequest("classification output tensor too large")
    rows = output.array().reshape(math.prod(batch), width)
    best = min(count, width)
    elements = [element for row in rows for element in _best(row, best, labels)]
    array = bytes_tensor.to_array(elements, (*batch, best))
    return Tensor(output.name, "BYTES", array.shape, array=array)


def _best(row: npt.NDArray[Any], count: int, labels: Sequence[str]) -> list[bytes]:
    indices = _largest(row, count)
    style = "%f:%d" if row.dtype.kind == "f" else "%d:%d"
    elements = []
    for index, value in zip(indices.tolist(), row[indices].tolist(), strict=True):
        text = style % (value, index)
        label = labels[index] if index < len(labels) else ""
        elements.append((f"{text}:{label}" if label else text).encode())
    return elements


def _largest(row: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    """Return the indices of the largest elements, largest first, ``NaN`` last."""
    # Complementing reverses the order of integers, negating overflows for the smallest.
    keys = -row if row.dtype.kind == "f" else ~row
    candidates = np.arange(len(keys))
    if 0 < count < len(keys) // 4:
        boundary = np.partition(keys, count - 1)[count - 1]
        if boundary == boundary:
            candidates = np.flatnonzero(keys <= boundary)
    return candidates[np.argsort(keys[candidates], kind="stable")][:count]

"""
The classification extension: the best classes of an output, as strings.

Each element of the result is ``<value>:<index>`` or ``<value>:<index>:<label>``, the value
with six decimals for floating point and plain for integers.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy.typing as npt
from inferd_kernels import reference
from inferd_kernels.contract import TopKKernel

from inferd.errors import InvalidRequest
from inferd.protocol import bytes_tensor
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]

MAX_ELEMENTS: Final = 1_000_000
"""The most classes an output may have (Triton's limit)."""

_UNSUPPORTED: Final = ("BOOL", "BYTES", "FP16", "BF16")


def classify(
    output: Tensor,
    count: int,
    labels: Sequence[str],
    *,
    batches: bool,
    top_k: TopKKernel = reference.top_k,
) -> Tensor:
    """
    Return the ``count`` largest elements of each row, largest first.

    Args:
        output: The model's output, shape ``[batch, ...]`` or ``[...]``; what follows the
            batch dimension is one row of classes.
        count: How many classes to return, at least 1.
        labels: The class labels; missing and empty ones are left out.
        batches: Whether dimension 0 is the batch.
        top_k: Finds the greatest values of each row.

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
    elements: list[bytes] = []
    if best:
        style = "%f:%d" if rows.dtype.kind == "f" else "%d:%d"
        for values, indices in zip(*top_k(rows, best), strict=True):
            elements += _classes(style, values, indices, labels)
    array = bytes_tensor.to_array(elements, (*batch, best))
    return Tensor(output.name, "BYTES", array.shape, array=array)


def _classes(style: str, values: Array, indices: Array, labels: Sequence[str]) -> Iterator[bytes]:
    for value, index in zip(values.tolist(), indices.tolist(), strict=True):
        text = style % (value, index)
        label = labels[index] if index < len(labels) else ""
        yield (f"{text}:{label}" if label else text).encode()

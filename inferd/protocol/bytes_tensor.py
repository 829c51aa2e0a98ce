"""
The encoding of ``BYTES`` tensors: each element is ``<u32 little-endian length><bytes>``.

:func:`split`, :func:`unpack`, :func:`join` and :func:`join_array` are native where the kernels'
codec was built; those in Python are their specification.

Raises plain :class:`BytesFormatError`; whoever knows the model and the tensor turns
it into the client's message.
"""

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inferd.protocol.native import codec

_LENGTH = struct.Struct("<I")


class BytesFormatError(ValueError):
    """
    The buffer is not a sequence of length-prefixed elements.

    Attributes:
        length: The announced element length, or ``None`` when the length prefix
            itself is cut short.
        available: Bytes that were left.
    """

    def __init__(self, length: int | None, available: int) -> None:
        super().__init__(f"element of {length} bytes, {available} available")
        self.length = length
        self.available = available


def split_in_python(raw: bytes | bytearray | memoryview) -> list[bytes]:
    """
    Return the elements of an encoded tensor, in row-major order.

    Raises:
        BytesFormatError: An element is cut short.
    """
    view = memoryview(raw)
    end = len(view)
    elements: list[bytes] = []
    offset = 0
    while offset < end:
        if end - offset < 4:
            raise BytesFormatError(None, end - offset)
        (length,) = _LENGTH.unpack_from(view, offset)
        offset += 4
        if end - offset < length:
            raise BytesFormatError(length, end - offset)
        elements.append(bytes(view[offset : offset + length]))
        offset += length
    return elements


def unpack_in_python(raw: bytes | bytearray | memoryview, array: "npt.NDArray[np.object_]") -> int:
    """
    Put the elements of an encoded tensor into a flat array of objects.

    Returns:
        How many there are. The array is of use only when that is its size.

    Raises:
        BytesFormatError: An element is cut short.
    """
    elements = split_in_python(raw)
    if len(elements) == len(array):
        fill_in_python(array, elements)
    return len(elements)


def join_in_python(elements: Iterable[bytes | str]) -> bytes:
    """Return the encoding of the elements; text becomes UTF-8."""
    parts: list[bytes] = []
    for element in elements:
        item = element.encode() if isinstance(element, str) else element
        parts.append(_LENGTH.pack(len(item)))
        parts.append(item)
    return b"".join(parts)


def join_array_in_python(array: "npt.NDArray[Any]") -> bytes:
    """Return the encoding of the elements of a flat array, as :func:`join_in_python` does."""
    return join_in_python(array.tolist())


Split = Callable[[bytes | bytearray | memoryview], list[bytes]]
Unpack = Callable[[bytes | bytearray | memoryview, "npt.NDArray[np.object_]"], int]
Join = Callable[[Iterable[bytes | str]], bytes]
JoinArray = Callable[["npt.NDArray[Any]"], bytes]

split: Final[Split] = split_in_python if codec is None else partial(codec.split, BytesFormatError)
"""Returns the elements of an encoded tensor as :func:`split_in_python` does."""

unpack: Final[Unpack] = (
    unpack_in_python if codec is None else partial(codec.unpack, BytesFormatError)
)
"""Puts the elements of an encoded tensor into an array as :func:`unpack_in_python` does."""

join: Final[Join] = join_in_python if codec is None else partial(codec.join, join_in_python)
"""Returns the encoding of elements as :func:`join_in_python` does."""

join_array: Final[JoinArray] = (
    join_array_in_python if codec is None else partial(codec.join_array, join_in_python)
)
"""Returns the encoding of a flat array as :func:`join_array_in_python` does."""


def fill_in_python(array: "npt.NDArray[np.object_]", elements: list[bytes]) -> None:
    """Put the elements into a flat array that has room for them all."""
    array[:] = elements


fill: Final = fill_in_python if codec is None else codec.fill
"""Puts the elements into a flat array of objects that has room for exactly them."""


def to_array(elements: list[bytes], shape: tuple[int, ...]) -> "npt.NDArray[np.object_]":
    """Return an object array of ``shape`` holding the elements."""
    array = np.empty(len(elements), dtype=object)
    fill(array, elements)
    return array.reshape(shape)

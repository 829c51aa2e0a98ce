"""
The encoding of ``BYTES`` tensors: each element is ``<u32 little-endian length><bytes>``.

Raises plain :class:`BytesFormatError`; whoever knows the model and the tensor turns
it into the client's message.
"""

import struct
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

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


def split(raw: bytes | bytearray | memoryview) -> list[bytes]:
    """Return the elements of an encoded tensor, in row-major order."""
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


def join(elements: Iterable[bytes | str]) -> bytes:
    """Return the encoding of the elements; text becomes UTF-8."""
    parts: list[bytes] = []
    for element in elements:
        item = element.encode() if isinstance(element, str) else element
        parts.append(_LENGTH.pack(len(item)))
        parts.append(item)
    return b"".join(parts)


def to_array(elements: list[bytes], shape: tuple[int, ...]) -> "npt.NDArray[np.object_]":
    """Return an object array of ``shape`` holding the elements."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)

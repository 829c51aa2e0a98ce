"""
A named tensor that is held as raw bytes, as an array, or both.

A received tensor is a view on the receive buffer and an output is a view on what the
backend returned; each is converted only when the other form is asked for.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd.protocol import bytes_tensor
from inferd.protocol.datatypes import BY_NAME

Array = npt.NDArray[Any]
Buffer = bytes | bytearray | memoryview


class Tensor:
    """
    One input or output.

    Attributes:
        name: The tensor's name.
        datatype: The wire name of its datatype, such as ``"FP32"``.
        shape: Its dimensions, the batch dimension included.
        buffer: Its raw form, if that is at hand; :meth:`raw` makes it.
    """

    __slots__ = ("_array", "buffer", "datatype", "name", "shape")

    def __init__(
        self,
        name: str,
        datatype: str,
        shape: Sequence[int],
        *,
        raw: Buffer | None = None,
        array: Array | None = None,
    ) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = tuple(shape)
        self.buffer = raw
        self._array = array

    @property
    def element_count(self) -> int:
        """The number of elements the shape announces."""
        return math.prod(self.shape)

    @property
    def has_raw(self) -> bool:
        """Whether the raw form is at hand without a conversion."""
        return self.buffer is not None

    def set_elements(self, elements: list[bytes]) -> None:
        """Keep the decoded elements of a ``BYTES`` tensor, so that they are split only once."""
        self._array = bytes_tensor.to_array(elements, self.shape)

    def unpack(self) -> int:
        """
        Decode the elements of a ``BYTES`` tensor; they are kept, read-only, when the shape fits.

        Returns:
            How many there are.

        Raises:
            BytesFormatError: An element is cut short.
        """
        assert self.buffer is not None
        expected = self.element_count
        if 4 * expected > len(self.buffer):
            # Too few, or broken: a shape that promises more than there is allocates nothing.
            return len(bytes_tensor.split(self.buffer))
        array = np.empty(expected, dtype=object)
        found = bytes_tensor.unpack(self.buffer, array)
        if found == expected:
            # As received numbers are: whoever passes it on need not copy it.
            array.flags.writeable = False
            self._array = array.reshape(self.shape)
        return found

    def array(self) -> Array:
        """
        Return the tensor as an array of its shape; a view where that is possible.

        ``BYTES`` is an object array of :class:`bytes`, ``BF16`` an array of ``uint16``.

        Raises:
            ValueError: The raw bytes do not fit the datatype and shape.
            BytesFormatError: A ``BYTES`` element is cut short.
        """
        if self._array is None:
            assert self.buffer is not None
            if self.datatype == "BYTES":
                self._array = bytes_tensor.to_array(bytes_tensor.split(self.buffer), self.shape)
            else:
                dtype = BY_NAME[self.datatype].dtype
                self._array = np.frombuffer(self.buffer, dtype).reshape(self.shape)
        return self._array

    def raw(self) -> Buffer:
        """
        Return the little-endian, row-major bytes; a view where that is possible.

        ``BYTES`` elements carry their 4-byte length prefixes.
        """
        if self.buffer is None:
            assert self._array is not None
            if self.datatype == "BYTES":
                self.buffer = bytes_tensor.join_array(self._array.ravel())
            else:
                contiguous = np.ascontiguousarray(self._array, BY_NAME[self.datatype].dtype)
                self.buffer = contiguous.reshape(-1).view(np.uint8).data
        return self.buffer

    def alias(self, name: str, shape: Sequence[int]) -> "Tensor":
        """
        Return the same data under another name and shape; nothing is copied.

        The data of the alias is read-only: others look at it, too.

        Args:
            name: The alias's name.
            shape: A shape with as many elements.
        """
        raw, array = self.buffer, self._array
        if raw is not None:
            raw = raw if isinstance(raw, bytes) else memoryview(raw).toreadonly()
        if array is not None:
            array = array.reshape(tuple(shape)).view()
            array.flags.writeable = False
        return Tensor(name, self.datatype, shape, raw=raw, array=array)

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.datatype!r}, {list(self.shape)})"

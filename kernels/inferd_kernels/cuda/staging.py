"""
Copies arrays to a GPU and back through page-locked memory.

A transfer from ordinary memory is first copied by the driver, piece by piece and while the
caller waits; from page-locked memory the GPU fetches it itself.
"""

import ctypes
from typing import Any, Final

import numpy as np

from inferd_kernels.contract import Array
from inferd_kernels.cuda.cuda_python import cuda_driver

_GRANULE: Final = 1 << 16


class Slot:
    """
    A buffer on the GPU with its page-locked twin on the host; both only ever grow.

    One per argument. The twin is written while no transfer of the slot is under way, which
    the caller ensures by waiting for the stream before it returns. Lives as long as the
    process: the memory is not given back.

    Args:
        stream: The ``cuda.core`` stream the transfers are queued on.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._size = 0
        self._device = 0
        self._host = 0

    def upload(self, array: Array) -> int:
        """Queue a copy of a C-contiguous array to the GPU, and return its address there."""
        address = self.room(array.nbytes)
        self._view(array.nbytes)[:] = array.reshape(-1).view(np.uint8)
        _check(cuda_driver().cuMemcpyHtoDAsync(address, self._host, array.nbytes, self._handle))
        return address

    def room(self, size: int) -> int:
        """Return the address of ``size`` bytes on the GPU, of unspecified content."""
        if size > self._size:
            self._grow(-(-size // _GRANULE) * _GRANULE)
        return self._device

    def download(self, out: Array) -> None:
        """Wait for the stream, and fill a C-contiguous array from the GPU."""
        _check(cuda_driver().cuMemcpyDtoHAsync(self._host, self._device, out.nbytes, self._handle))
        self._stream.sync()
        out.reshape(-1).view(np.uint8)[:] = self._view(out.nbytes)

    @property
    def _handle(self) -> Any:
        return self._stream.handle

    def _view(self, size: int) -> Array:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._host))

    def _grow(self, size: int) -> None:
        if self._size:
            self._size = 0
            _check(cuda_driver().cuMemFree(self._device))
            _check(cuda_driver().cuMemFreeHost(self._host))
        self._device = int(_check(cuda_driver().cuMemAlloc(size)))
        self._host = int(_check(cuda_driver().cuMemHostAlloc(size, 0)))
        self._size = size


def _check(answer: tuple[Any, ...]) -> Any:
    """Return what a driver call gave, or raise ``RuntimeError`` with the driver's error name."""
    code, *values = answer
    if code:
        raise RuntimeError(f"the NVIDIA driver answered {code.name}")
    return values[0] if values else None

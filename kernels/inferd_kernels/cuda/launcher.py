"""
Loads the compiled kernels onto one GPU and launches them on a stream of their own.

Everything here takes device addresses and returns before the GPU is done; nothing copies.
The device's primary context is used, which other libraries in the process share.
"""

from typing import Any, Final

import numpy as np

from inferd_kernels.contract import Array
from inferd_kernels.cuda.compiler import KERNEL_NAMES, compile_kernel
from inferd_kernels.cuda.cuda_python import cuda_core
from inferd_kernels.cuda.device_code import FLOAT, SIGNED, THREADS, UNSIGNED

_MAX_Y: Final = 65_535
"""Blocks of a grid in y and in z, at most; what lies beyond is reached by striding."""

_BLOCKS: Final = 1 << 20
"""Blocks of a grid in x, at most; plenty for any GPU, and striding does the rest."""

Shape = tuple[int, ...]


class Launcher:
    """
    The kernels of one GPU. Not for two threads at once.

    Args:
        ordinal: Which GPU.

    Attributes:
        stream: The ``cuda.core`` stream everything is launched on.
        device_name: What the GPU calls itself.
    """

    def __init__(self, ordinal: int) -> None:
        self._device = cuda_core().Device(ordinal)
        self._device.set_current()
        self.stream = self._device.create_stream()
        self.device_name: str = self._device.name
        capability = self._device.compute_capability
        self._kernels = {
            name: _load(name, (capability.major, capability.minor)) for name in KERNEL_NAMES
        }

    def make_current(self) -> None:
        """Bind the calling thread to the GPU; needed once in each thread that launches."""
        self._device.set_current()

    def wait(self) -> None:
        """Block until everything launched so far is done, without the GIL."""
        self.stream.sync()

    def scale_chw(
        self, images: int, divisor: np.float32, offsets: int, out: int, shape: Shape
    ) -> None:
        """
        Launch :func:`device_code.scale_chw`.

        Args:
            images: Address of uint8 ``[N, H, W, C]``.
            divisor: What to divide by.
            offsets: Address of float32 ``[C]``.
            out: Address of float32 ``[N, C, H, W]``.
            shape: ``[N, H, W, C]``, nowhere 0.
        """
        count, height, width, channels = shape
        plane = height * width
        grid = _blocks(plane), min(count, _MAX_Y)
        self._launch("scale_chw", grid, images, divisor, offsets, out, _n(count, plane, channels))

    def scale_hwc(
        self, images: int, divisor: np.float32, offsets: int, out: int, shape: Shape
    ) -> None:
        """Launch :func:`device_code.scale_hwc`: ``out`` is ``[N, H, W, C]`` too."""
        length = int(np.prod(shape))
        counts = _n(length, shape[3])
        self._launch("scale_hwc", (_blocks(length),), images, divisor, offsets, out, counts)

    def resize(
        self, images: int, down: int, across: int, out: int, shape: Shape, size: Shape
    ) -> None:
        """
        Launch :func:`device_code.resize`.

        Args:
            images: Address of uint8 ``[N, H, W, C]``.
            down: Address of the taps from ``H`` to ``size[0]``, in lines.
            across: Address of the taps from ``W`` to ``size[1]``, in bytes.
            out: Address of uint8 ``[N, *size, C]``.
            shape: ``[N, H, W, C]``, nowhere 0.
            size: The new height and width.
        """
        count, height, width, channels = shape
        row = size[1] * channels
        grid = _blocks(row), min(size[0], _MAX_Y), min(count, _MAX_Y)
        counts = _n(count, height, width * channels, size[0], row)
        self._launch("resize", grid, images, down, across, out, counts)

    def top_k(self, values: int, keys: int, indices: int, like: Array, k: int) -> None:
        """
        Launch :func:`device_code.order_keys` and :func:`device_code.top_k`.

        Args:
            values: Address of ``[rows, length]`` numbers of 32 or 64 bits.
            keys: Address of room for as many uint64.
            indices: Address of int64 ``[rows, k]``.
            like: An array of the shape and dtype of the values, nowhere 0.
            k: From 1 to ``length``.
        """
        bits = like.dtype.itemsize * 8
        kind = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[like.dtype.kind]
        order = np.int32(kind), np.uint64(1 << (bits - 1)), _INFINITY[bits]
        grid = (_blocks(like.size),)
        self._launch(f"order_keys_{bits}", grid, values, *order, keys, _n(like.size))
        rows, length = like.shape
        self._launch("top_k", (min(rows, _BLOCKS),), keys, indices, _n(rows, length, k))

    def _launch(self, name: str, grid: Shape, *arguments: Any) -> None:
        """Launch a kernel with addresses, numbers and, last, a tuple of counts."""
        *first, counts = arguments
        config = cuda_core().LaunchConfig(grid=grid, block=THREADS)
        cuda_core().launch(self.stream, config, self._kernels[name], *first, *counts)


_INFINITY: Final = {
    32: np.uint64(np.float32(np.inf).view(np.uint32)),
    64: np.uint64(np.float64(np.inf).view(np.uint64)),
}


def _n(*counts: int) -> tuple[np.int64, ...]:
    return tuple(np.int64(count) for count in counts)


def _blocks(length: int) -> int:
    return min(-(-length // THREADS), _BLOCKS)


def _load(name: str, capability: tuple[int, int]) -> Any:
    program = compile_kernel(name, capability)
    return cuda_core().ObjectCode.from_ptx(program.ptx.encode()).get_kernel(program.entry)

"""
The kernels on a GPU, for arrays in host memory.

Each call copies its arguments to the GPU, computes, copies the result back and returns when
it is there. Worth it where the answer stays small or the arithmetic is heavy; where a model
runs on the same GPU, use :class:`~inferd_kernels.cuda.launcher.Launcher` and leave the
arrays there.
"""

from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from inferd_kernels.contract import (
    Array,
    Floats,
    Images,
    Indices,
    Scaling,
    check_resize,
    check_scale,
    check_top_k,
    chw_shape,
    divisor_and_offsets,
    stacked_taps,
)
from inferd_kernels.cuda.launcher import Launcher
from inferd_kernels.cuda.staging import Slot


class CudaKernels:
    """
    The kernels of one GPU; threads may share it, and take turns.

    Args:
        ordinal: Which GPU.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self._ordinal = ordinal
        self._turn = Lock()

    def prepare(self) -> None:
        """Compile and load all kernels."""
        with self._turn:
            _ = self.launcher

    @cached_property
    def launcher(self) -> Launcher:
        """The launcher, made when first used."""
        return Launcher(self._ordinal)

    @cached_property
    def _slots(self) -> tuple[Slot, Slot, Slot, Slot]:
        stream = self.launcher.stream
        return Slot(stream), Slot(stream), Slot(stream), Slot(stream)

    def scale_to_chw(self, images: Images, out: Floats, scaling: Scaling) -> None:
        """Do what :func:`inferd_kernels.reference.scale_to_chw` does."""
        check_scale(images, out, chw_shape(images))
        self._scale("scale_chw", images, out, scaling)

    def scale_to_hwc(self, images: Images, out: Floats, scaling: Scaling) -> None:
        """Do what :func:`inferd_kernels.reference.scale_to_hwc` does."""
        check_scale(images, out, images.shape)
        self._scale("scale_hwc", images, out, scaling)

    def resize_bilinear(self, images: Images, size: tuple[int, int]) -> Images:
        """Do what :func:`inferd_kernels.reference.resize_bilinear` does."""
        check_resize(images, size)
        count, height, width, channels = images.shape
        out = np.empty((count, *size, channels), np.uint8)
        if not out.size:
            return out
        down = stacked_taps(height, size[0], 1)
        across = stacked_taps(width, size[1], channels)
        with self._turn:
            self.launcher.make_current()
            source, first, second, target = self._slots
            self.launcher.resize(
                source.upload(np.ascontiguousarray(images)),
                first.upload(down),
                second.upload(across),
                target.room(out.nbytes),
                images.shape,
                size,
            )
            target.download(out)
        return out

    def top_k(self, values: Array, k: int) -> tuple[Array, Indices]:
        """Do what :func:`inferd_kernels.reference.top_k` does."""
        k = check_top_k(values, k)
        indices = np.zeros((len(values), k), np.int64)
        if indices.size:
            wide = np.ascontiguousarray(values, dtype=_wide_dtype(values.dtype))
            with self._turn:
                self.launcher.make_current()
                source, keys, target, _ = self._slots
                self.launcher.top_k(
                    source.upload(wide),
                    keys.room(wide.size * np.dtype(np.uint64).itemsize),
                    target.room(indices.nbytes),
                    wide,
                    k,
                )
                target.download(indices)
        return np.take_along_axis(values, indices, axis=1), indices

    def _scale(self, kernel: str, images: Images, out: Floats, scaling: Scaling) -> None:
        divisor, offsets = divisor_and_offsets(scaling, images.shape[3])
        if not out.size:
            return
        with self._turn:
            self.launcher.make_current()
            source, constants, target, _ = self._slots
            getattr(self.launcher, kernel)(
                source.upload(np.ascontiguousarray(images)),
                divisor,
                constants.upload(offsets),
                target.room(out.nbytes),
                images.shape,
            )
            target.download(out)


def _wide_dtype(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Say which dtype of 32 or 64 bits holds all values of ``dtype`` in the same order."""
    kind = "u" if dtype.kind == "b" else dtype.kind
    return np.dtype(f"{kind}{max(dtype.itemsize, 4)}")

"""
What every set of kernels must do: the signatures, the argument checks, the exact arithmetic.

The arithmetic is chosen so that all sets agree to the bit, on a CPU and on a GPU: a
scaled pixel is one IEEE division and one subtraction in float32 (so nothing can be
contracted into a fused multiply-add), and a resized pixel is computed in integers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

KernelSetName = Literal["numpy", "numba", "cuda"]

WEIGHT_BITS: Final = 11
"""Bits of a bilinear weight; two weights and a pixel then fit a signed 32-bit integer."""

WEIGHT_ONE: Final = 1 << WEIGHT_BITS
"""The weight of a pixel hit exactly."""


class Scaling(Enum):
    """
    How a pixel of 0 to 255 becomes a float, under the names of Triton's image client.

    * ``NONE``: the value itself.
    * ``VGG``: less the mean of its channel (123, 117, 104 for RGB, 128 for grey).
    * ``INCEPTION``: divided by 127.5, less 1, so from -1 to 1.
    """

    NONE = "NONE"
    VGG = "VGG"
    INCEPTION = "INCEPTION"


_VGG_MEANS: Final = {1: (128.0,), 3: (123.0, 117.0, 104.0)}


ScaleKernel = Callable[[Images, Floats, Scaling], None]
ResizeKernel = Callable[[Images, tuple[int, int]], Images]
TopKKernel = Callable[[Array, int], tuple[Array, Indices]]
GatherKernel = Callable[[Sequence[Array], Array], Array]
ScatterKernel = Callable[[Array, Sequence[int]], list[Array]]


@dataclass(frozen=True, slots=True)
class KernelSet:
    """
    One implementation of all kernels; :mod:`inferd_kernels.reference` says what each does.

    Attributes:
        name: ``"numpy"``, ``"numba"`` or ``"cuda"``.
        scale_to_chw: uint8 ``[N, H, W, C]`` to float32 ``[N, C, H, W]``.
        scale_to_hwc: uint8 ``[N, H, W, C]`` to float32 ``[N, H, W, C]``.
        resize_bilinear: uint8 ``[N, H, W, C]`` to uint8 ``[N, height, width, C]``.
        top_k: The greatest ``k`` of each row of ``[N, M]``, and their int64 indices.
        gather_rows: Parts of ``[n, ...]`` to one batch.
        scatter_rows: One batch to parts of ``[n, ...]``, as views.
        prepare: Compile everything, so that no later call does; blocks for seconds.
    """

    name: KernelSetName
    scale_to_chw: ScaleKernel
    scale_to_hwc: ScaleKernel
    resize_bilinear: ResizeKernel
    top_k: TopKKernel
    gather_rows: GatherKernel
    scatter_rows: ScatterKernel
    prepare: Callable[[], None]


def divisor_and_offsets(scaling: Scaling, channels: int) -> tuple[np.float32, Floats]:
    """
    Say what to divide a pixel by, and what to take off each channel then.

    Args:
        scaling: Which scaling.
        channels: Channels of the images.

    Returns:
        The divisor, and float32 offsets of shape ``[channels]``.

    Raises:
        ValueError: ``VGG`` with neither one nor three channels.
    """
    if scaling is Scaling.INCEPTION:
        return np.float32(127.5), np.ones(channels, np.float32)
    if scaling is Scaling.NONE:
        return np.float32(1), np.zeros(channels, np.float32)
    if channels not in _VGG_MEANS:
        raise ValueError(f"VGG scaling takes images of 1 or 3 channels, not {channels}")
    return np.float32(1), np.array(_VGG_MEANS[channels], np.float32)


def scaled_levels(scaling: Scaling, channels: int) -> Floats:
    """
    Tabulate what each of the 256 grey levels becomes in each channel.

    Returns:
        float32 ``[channels, 256]``.

    Raises:
        ValueError: ``VGG`` with neither one nor three channels.
    """
    divisor, offsets = divisor_and_offsets(scaling, channels)
    levels: Floats = np.arange(256, dtype=np.float32) / divisor - offsets[:, None]
    return levels


def bilinear_taps(
    length: int, target: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """
    Say which two pixels of a line each resized pixel lies between, and how far along.

    Pixel centres are at half coordinates. All of it is integer arithmetic: centre
    ``i + 1/2`` of the target is ``((2i + 1) * length - target) / (2 * target)`` in the source.

    Args:
        length: Pixels of the line now, at least 1.
        target: Pixels wanted, at least 1.

    Returns:
        Three int32 arrays of shape ``[target]``: the near pixel, the far pixel (both within
        the line) and the weight of the far one, from 0 to ``WEIGHT_ONE``.
    """
    numerator = (2 * np.arange(target, dtype=np.int64) + 1) * length - target
    near, remainder = np.divmod(numerator, 2 * target)
    weight = (remainder * WEIGHT_ONE + target) // (2 * target)
    last = length - 1
    return (
        np.clip(near, 0, last).astype(np.int32),
        np.clip(near + 1, 0, last).astype(np.int32),
        weight.astype(np.int32),
    )


@lru_cache(maxsize=64)
def stacked_taps(length: int, target: int, channels: int) -> Array:
    """
    Return the taps of :func:`bilinear_taps` for a line of ``channels`` bytes per pixel.

    Returns:
        Read-only int32 ``[3, target * channels]``: the near and the far place in bytes, and
        the weight of the far one. Kept for the lengths used last.
    """
    near, far, weight = bilinear_taps(length, target)
    place = np.arange(channels, dtype=np.int32)
    stacked = np.stack(
        [
            (near[:, None] * channels + place).ravel(),
            (far[:, None] * channels + place).ravel(),
            np.repeat(weight, channels),
        ]
    )
    stacked.flags.writeable = False
    return stacked


def check_scale(images: Images, out: Floats, shape: tuple[int, ...]) -> None:
    """
    Refuse arguments a scale kernel does not take.

    Args:
        images: uint8 ``[N, H, W, C]``.
        out: Where the result goes; float32, C-contiguous.
        shape: The shape ``out`` must have.

    Raises:
        TypeError: A wrong dtype.
        ValueError: A wrong shape, or an ``out`` with gaps.
    """
    check_images(images)
    if out.dtype != np.float32:
        raise TypeError(f"out must be float32, not {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {list(shape)}, not {list(out.shape)}")
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous")


def check_images(images: Images) -> None:
    """
    Refuse what is not a batch of images.

    Raises:
        TypeError: A dtype other than uint8.
        ValueError: Other than four dimensions.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8, not {images.dtype}")
    if images.ndim != 4:
        raise ValueError(f"images must have shape [N, H, W, C], not {list(images.shape)}")


def chw_shape(images: Images) -> tuple[int, ...]:
    """Say the shape ``[N, C, H, W]`` of images ``[N, H, W, C]``."""
    if images.ndim != 4:
        return ()
    count, height, width, channels = images.shape
    return count, channels, height, width


def check_resize(images: Images, size: tuple[int, int]) -> None:
    """
    Refuse arguments a resize kernel does not take.

    Raises:
        TypeError: A dtype other than uint8.
        ValueError: A wrong shape, images without pixels, or a size below 1 by 1.
    """
    check_images(images)
    if 0 in images.shape[1:3]:
        raise ValueError(f"cannot resize images without pixels: {list(images.shape)}")
    if min(size) < 1:
        raise ValueError(f"size must be at least 1 by 1, not {size[0]} by {size[1]}")


def check_top_k(values: Array, k: int) -> int:
    """
    Refuse arguments a top-k kernel does not take.

    Returns:
        ``k``, or the length of a row where that is less.

    Raises:
        TypeError: Neither bool nor an integer or float of at most 64 bits.
        ValueError: Other than two dimensions, or ``k`` below 1.
    """
    if values.dtype.kind not in "buif" or values.dtype.itemsize > 8:
        raise TypeError(f"values must be numbers of at most 64 bits, not {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"values must have shape [N, M], not {list(values.shape)}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    length: int = values.shape[1]
    return min(k, length)

"""
The kernels in NumPy: the specification the other sets are tested against, and the fallback.

Clear before fast, though none of it loops over pixels in Python. Gathering and
scattering stay here for every set: NumPy's copy already runs at the speed of memory
(14 µs for 32 images of 224x224x3 bytes, where a compiled loop took 66).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from inferd_kernels.contract import (
    WEIGHT_BITS,
    WEIGHT_ONE,
    Array,
    Floats,
    Images,
    Indices,
    KernelSet,
    Scaling,
    bilinear_taps,
    check_resize,
    check_scale,
    check_top_k,
    chw_shape,
    divisor_and_offsets,
)


def scale_to_hwc(images: Images, out: Floats, scaling: Scaling) -> None:
    """
    Scale images, leaving the channels innermost.

    Args:
        images: uint8 ``[N, H, W, C]``, in any memory layout.
        out: float32 ``[N, H, W, C]``, C-contiguous; every element is written.
        scaling: What to do with each pixel.

    Raises:
        TypeError: A wrong dtype.
        ValueError: A wrong shape or layout, or ``VGG`` with neither 1 nor 3 channels.
    """
    check_scale(images, out, images.shape)
    _scale(images, out, scaling)


def scale_to_chw(images: Images, out: Floats, scaling: Scaling) -> None:
    """
    Scale images and make each channel a plane.

    Args:
        images: uint8 ``[N, H, W, C]``, in any memory layout.
        out: float32 ``[N, C, H, W]``, C-contiguous; every element is written.
        scaling: What to do with each pixel.

    Raises:
        TypeError: A wrong dtype.
        ValueError: A wrong shape or layout, or ``VGG`` with neither 1 nor 3 channels.
    """
    check_scale(images, out, chw_shape(images))
    _scale(images, out.transpose(0, 2, 3, 1), scaling)


def resize_bilinear(images: Images, size: tuple[int, int]) -> Images:
    """
    Resize images with bilinear interpolation between pixel centres, without antialiasing.

    Weights are rounded to 1/2048 and results to the nearest grey level, halves up; the
    result is within one grey level of the exact one.

    Args:
        images: uint8 ``[N, H, W, C]``, in any memory layout.
        size: Height and width of the result, in pixels.

    Returns:
        uint8 ``[N, height, width, C]``, newly made.

    Raises:
        TypeError: A wrong dtype.
        ValueError: A wrong shape, images without pixels, or a size below 1 by 1.
    """
    check_resize(images, size)
    top, bottom, down = bilinear_taps(images.shape[1], size[0])
    left, right, across = bilinear_taps(images.shape[2], size[1])
    down, across = down[:, None, None], across[:, None]
    rows: Array = images[:, top] * (WEIGHT_ONE - down) + images[:, bottom] * down
    total: Array = rows[:, :, left] * (WEIGHT_ONE - across) + rows[:, :, right] * across
    half = 1 << (2 * WEIGHT_BITS - 1)
    result: Images = ((total + half) >> (2 * WEIGHT_BITS)).astype(np.uint8)
    return result


def top_k(values: Array, k: int) -> tuple[Array, Indices]:
    """
    Find the greatest values of each row.

    Args:
        values: bool, integers or floats, ``[N, M]``.
        k: How many, at least 1; all of a row that has fewer.

    Returns:
        The values, of the dtype given, and their int64 indices, both ``[N, min(k, M)]``,
        in descending order. Of equal values the one with the lower index comes first;
        NaNs come after everything else.

    Raises:
        TypeError: Neither bool nor integers or floats of at most 64 bits.
        ValueError: Other than two dimensions, or ``k`` below 1.
    """
    k = check_top_k(values, k)
    indices = np.empty((len(values), k), np.int64)
    for row, places in zip(values, indices, strict=True):
        places[:] = _greatest(row, k)
    return np.take_along_axis(values, indices, axis=1), indices


def gather_rows(parts: Sequence[Array], out: Array) -> Array:
    """
    Copy parts into the first rows of a buffer, one after the other.

    Args:
        parts: Arrays of shape ``[n, ...]`` that differ in ``n`` only; at least one.
        out: The buffer, ``[rows, ...]``, of the same dtype, with room for all.

    Returns:
        The rows of ``out`` that were written, as a view.

    Raises:
        TypeError: A part has another dtype than ``out``.
        ValueError: Shapes that do not match, no parts, or too little room.
    """
    rows = sum(len(part) for part in parts)
    return np.concatenate(parts, axis=0, out=out[:rows], casting="no")


def scatter_rows(batch: Array, sizes: Sequence[int]) -> list[Array]:
    """
    Cut a batch into parts, without copying.

    Args:
        batch: ``[rows, ...]``.
        sizes: Rows of each part, in order; together all rows of the batch.

    Returns:
        Views on the batch.

    Raises:
        ValueError: The sizes do not add up to the batch.
    """
    if sum(sizes) != len(batch):
        raise ValueError(f"parts of {sum(sizes)} rows cannot be cut from {len(batch)}")
    parts = []
    start = 0
    for size in sizes:
        parts.append(batch[start : start + size])
        start += size
    return parts


def _scale(images: Images, out: Floats, scaling: Scaling) -> None:
    divisor, offsets = divisor_and_offsets(scaling, images.shape[3])
    np.divide(images, divisor, out=out, dtype=np.float32)
    np.subtract(out, offsets, out=out)


def _greatest(row: Array, k: int) -> Indices:
    """Return the indices of the ``k`` greatest elements of a row, ``NaN`` last."""
    # Complementing reverses the order of integers; negating overflows for the smallest.
    keys = -row if row.dtype.kind == "f" else ~row
    candidates = np.arange(len(keys))
    if 0 < k < len(keys) // 4:
        boundary = np.partition(keys, k - 1)[k - 1]
        if boundary == boundary:
            candidates = np.flatnonzero(keys <= boundary)
    return candidates[np.argsort(keys[candidates], kind="stable")][:k]


def _prepare() -> None:
    """NumPy's kernels are compiled already."""


_KERNELS: Final = KernelSet(
    name="numpy",
    scale_to_chw=scale_to_chw,
    scale_to_hwc=scale_to_hwc,
    resize_bilinear=resize_bilinear,
    top_k=top_k,
    gather_rows=gather_rows,
    scatter_rows=scatter_rows,
    prepare=_prepare,
)


def kernel_set() -> KernelSet:
    """Return the NumPy kernels."""
    return _KERNELS

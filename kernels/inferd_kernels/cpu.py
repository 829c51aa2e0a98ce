"""
The kernels compiled by Numba for one CPU core, running without the GIL.

Importing this module imports numba (about a second), so only :func:`inferd_kernels.select`
does. The loops are serial on purpose: callers bring their own threads, and numba's
parallel loops abort the process when two threads enter them where its threading layer is
``workqueue``.

Once prepared, nothing is compiled again: an argument of another type is refused instead of
stalling a request.
"""

from typing import Any, Final

import numpy as np

try:
    from numba import njit, types
except ImportError as error:
    advice = "pip install 'inferd-kernels[numba]'"
    raise ImportError(f"the numba kernels need numba ({error}): {advice}") from error

from inferd_kernels.contract import (
    WEIGHT_BITS,
    WEIGHT_ONE,
    Array,
    Floats,
    Images,
    Indices,
    KernelSet,
    Scaling,
    check_resize,
    check_scale,
    check_top_k,
    chw_shape,
    divisor_and_offsets,
    scaled_levels,
    stacked_taps,
)
from inferd_kernels.reference import gather_rows, scatter_rows

_BITS: Final = 2 * WEIGHT_BITS
_HALF: Final = 1 << (_BITS - 1)


def _beats(value: Any, other: Any) -> bool:
    """Say whether a later value goes before an earlier one; anything beats NaN but NaN."""
    return value > other or (other != other and value == value)  # type: ignore[no-any-return]


_beats_inline = njit(nogil=True, inline="always")(_beats)


def _scale_chw_loop(images: Images, levels: Floats, out: Floats) -> None:
    """Look each pixel up: twice as fast here as dividing, because reading C apart stops SIMD."""
    count, height, width, channels = images.shape
    for n in range(count):
        for i in range(height):
            for c in range(channels):
                for j in range(width):
                    out[n, c, i, j] = levels[c, images[n, i, j, c]]


def _scale_rows_loop(rows: Images, divisor: Any, offsets: Floats, out: Floats) -> None:
    """Scale rows of pixels with the channels' offsets repeated along them; vectorises."""
    for i in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            out[i, x] = np.float32(rows[i, x]) / divisor - offsets[x]


def _resize_loop(images: Images, down: Array, across: Array, out: Images) -> None:
    """
    Blend two rows into one of int32, then blend two places of that row.

    ``images`` and ``out`` are [N, H, W * C]; ``across`` counts single bytes, so that the
    channels need no loop of their own.
    """
    length = images.shape[2]
    row = np.empty(length, np.int32)
    for n in range(images.shape[0]):
        for i in range(out.shape[1]):
            above = images[n, down[0, i]]
            below = images[n, down[1, i]]
            lower = down[2, i]
            upper = np.int32(WEIGHT_ONE - lower)
            for x in range(length):
                row[x] = above[x] * upper + below[x] * lower
            target = out[n, i]
            for x in range(out.shape[2]):
                left = row[across[0, x]]
                right = row[across[1, x]]
                total = (left << WEIGHT_BITS) + (right - left) * across[2, x]
                target[x] = (total + _HALF) >> _BITS


def _top_k_loop(values: Array, indices: Indices) -> None:
    """Keep the best so far in order, and insert each value that beats the last of them."""
    k = indices.shape[1]
    for n in range(values.shape[0]):
        row = values[n]
        best = indices[n]
        last = row[0]
        for i in range(row.shape[0]):
            value = row[i]
            if i >= k and not _beats_inline(value, last):
                continue
            place = min(i, k - 1)
            while place > 0 and _beats_inline(value, row[best[place - 1]]):
                best[place] = best[place - 1]
                place -= 1
            best[place] = i
            last = row[best[min(i, k - 1)]]


def _array(dtype: Any, ndim: int, *, readonly: bool = True) -> Any:
    """Describe a C-contiguous argument; a read-only one takes writable arrays too."""
    return types.Array(dtype, ndim, "C", readonly=readonly)


def _compiled(loop: Any) -> Any:
    # error_model="numpy" leaves out the checks for division by zero, which stop SIMD.
    return njit(nogil=True, cache=True, error_model="numpy")(loop)


_scale_chw = _compiled(_scale_chw_loop)
_scale_rows = _compiled(_scale_rows_loop)
_resize = _compiled(_resize_loop)
_top_k = _compiled(_top_k_loop)

_BYTES3: Final = _array(types.uint8, 3)
_TAPS: Final = _array(types.int32, 2)
_OUT4: Final = _array(types.float32, 4, readonly=False)
_OUT_INDICES: Final = _array(types.int64, 2, readonly=False)

_SIGNATURES: Final = (
    (_scale_chw, (_array(types.uint8, 4), _array(types.float32, 2), _OUT4)),
    (
        _scale_rows,
        (
            _array(types.uint8, 2),
            types.float32,
            _array(types.float32, 1),
            _array(types.float32, 2, readonly=False),
        ),
    ),
    (_resize, (_BYTES3, _TAPS, _TAPS, _array(types.uint8, 3, readonly=False))),
    (_top_k, (_array(types.float32, 2), _OUT_INDICES)),
    (_top_k, (_array(types.float64, 2), _OUT_INDICES)),
    (_top_k, (_array(types.int64, 2), _OUT_INDICES)),
    (_top_k, (_array(types.uint64, 2), _OUT_INDICES)),
)


def _prepare() -> None:
    for kernel, signature in _SIGNATURES:
        if signature not in kernel.overloads:
            kernel.disable_compile(False)
            kernel.compile(signature)
    for kernel, _ in _SIGNATURES:
        kernel.disable_compile()


def scale_to_chw(images: Images, out: Floats, scaling: Scaling) -> None:
    """Do what :func:`inferd_kernels.reference.scale_to_chw` does."""
    check_scale(images, out, chw_shape(images))
    _scale_chw(np.ascontiguousarray(images), scaled_levels(scaling, images.shape[3]), out)


def scale_to_hwc(images: Images, out: Floats, scaling: Scaling) -> None:
    """Do what :func:`inferd_kernels.reference.scale_to_hwc` does."""
    check_scale(images, out, images.shape)
    count, height, width, channels = images.shape
    shape = count * height, width * channels
    divisor, offsets = divisor_and_offsets(scaling, channels)
    rows = np.ascontiguousarray(images).reshape(shape)
    _scale_rows(rows, divisor, np.tile(offsets, width), out.reshape(shape))


def resize_bilinear(images: Images, size: tuple[int, int]) -> Images:
    """Do what :func:`inferd_kernels.reference.resize_bilinear` does."""
    check_resize(images, size)
    count, height, width, channels = images.shape
    down = stacked_taps(height, size[0], 1)
    across = stacked_taps(width, size[1], channels)
    lines = np.ascontiguousarray(images).reshape(count, height, width * channels)
    out = np.empty((count, size[0], size[1] * channels), np.uint8)
    _resize(lines, down, across, out)
    return out.reshape(count, *size, channels)


def top_k(values: Array, k: int) -> tuple[Array, Indices]:
    """Do what :func:`inferd_kernels.reference.top_k` does."""
    k = check_top_k(values, k)
    indices = np.empty((len(values), k), np.int64)
    if k:
        _top_k(np.ascontiguousarray(values, dtype=_key_dtype(values.dtype)), indices)
    return np.take_along_axis(values, indices, axis=1), indices


def _key_dtype(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Say which of the four compiled dtypes holds all values of ``dtype`` in the same order."""
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


_KERNELS: Final = KernelSet(
    name="numba",
    scale_to_chw=scale_to_chw,
    scale_to_hwc=scale_to_hwc,
    resize_bilinear=resize_bilinear,
    top_k=top_k,
    gather_rows=gather_rows,
    scatter_rows=scatter_rows,
    prepare=_prepare,
)


def kernel_set() -> KernelSet:
    """Return the Numba kernels; the first call of each compiles it unless they are prepared."""
    return _KERNELS

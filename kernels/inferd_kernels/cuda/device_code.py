"""
What one GPU thread does: plain functions that numba compiles, and that its simulator runs.

Importing this module imports ``numba.cuda``. Arguments are flat: a pointer on the device, a
one-dimensional array in the simulator. Every loop strides over the grid, so that any grid
gives the right answer and only its speed differs. All arithmetic is in integers and
float32: one float64 operation costs up to 64 of the others.
"""

from typing import Any, Final

import numpy as np
from numba import cuda as numba_cuda

from inferd_kernels.contract import WEIGHT_BITS, WEIGHT_ONE

# Typed by hand: numba's own stand-in for editors lacks most of these names.
cuda: Any = numba_cuda

THREADS: Final = 128
"""Threads of a block: a power of two, over which :func:`top_k` reduces."""

UNSIGNED: Final = 0
SIGNED: Final = 1
FLOAT: Final = 2

_BITS: Final = 2 * WEIGHT_BITS
_HALF: Final = 1 << (_BITS - 1)
_LEAST: Final = np.uint64(0)
_GREATEST: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def scale_chw(
    images: Any, divisor: Any, offsets: Any, out: Any, count: Any, plane: Any, channels: Any
) -> None:
    """Scale pixels; grid x is a pixel of the ``plane`` of an image, grid y the image."""
    for n in range(cuda.blockIdx.y, count, cuda.gridDim.y):
        for pixel in range(cuda.grid(1), plane, cuda.gridsize(1)):
            source = (n * plane + pixel) * channels
            target = n * channels * plane + pixel
            for c in range(channels):
                level = np.float32(images[source + c])
                out[target + c * plane] = level / divisor - offsets[c]


def scale_hwc(
    images: Any, divisor: Any, offsets: Any, out: Any, length: Any, channels: Any
) -> None:
    """Scale ``length`` bytes, channels innermost; grid x is the byte."""
    for x in range(cuda.grid(1), length, cuda.gridsize(1)):
        out[x] = np.float32(images[x]) / divisor - offsets[x % channels]


def resize(
    images: Any,
    down: Any,
    across: Any,
    out: Any,
    count: Any,
    height: Any,
    width: Any,
    new_height: Any,
    new_width: Any,
) -> None:
    """
    Blend four bytes into one; grid x is the byte of a line, y the line, z the image.

    Widths are in bytes. ``down`` and ``across`` hold the near places, then the far ones, then
    the weights of the far ones.
    """
    for n in range(cuda.blockIdx.z, count, cuda.gridDim.z):
        for i in range(cuda.blockIdx.y, new_height, cuda.gridDim.y):
            above = (n * height + down[i]) * width
            below = (n * height + down[new_height + i]) * width
            lower = down[2 * new_height + i]
            for x in range(cuda.grid(1), new_width, cuda.gridsize(1)):
                near = across[x]
                far = across[new_width + x]
                right = across[2 * new_width + x]
                left = images[above + near] * (WEIGHT_ONE - lower) + images[below + near] * lower
                next_one = images[above + far] * (WEIGHT_ONE - lower) + images[below + far] * lower
                total = left * (WEIGHT_ONE - right) + next_one * right
                out[(n * new_height + i) * new_width + x] = (total + _HALF) >> _BITS


def order_keys(values: Any, kind: Any, sign: Any, infinity: Any, keys: Any, length: Any) -> None:
    """
    Map numbers to unsigned integers of the same order; grid x is the number.

    The key is the same for both zeros and 0 for every NaN.

    Args:
        values: The bits of ``length`` numbers, as unsigned integers.
        kind: ``UNSIGNED``, ``SIGNED`` or ``FLOAT``.
        sign: The sign bit alone, as uint64.
        infinity: The bits of positive infinity, as uint64; used for ``FLOAT``.
        keys: Receives ``length`` uint64.
        length: How many.
    """
    for i in range(cuda.grid(1), length, cuda.gridsize(1)):
        bits = np.uint64(values[i])
        magnitude = bits & ~sign
        if kind == UNSIGNED:
            keys[i] = bits
        elif kind == SIGNED:
            keys[i] = bits ^ sign
        elif magnitude > infinity:
            keys[i] = _LEAST
        elif magnitude == bits:
            keys[i] = sign + magnitude
        else:
            keys[i] = sign - magnitude


def top_k(keys: Any, indices: Any, rows: Any, length: Any, k: Any) -> None:
    """
    Find the places of the greatest keys of each row, the lower place first; a block per row.

    Each thread keeps the best of its own keys that comes after the last one found; the
    block picks the best of those, and only the thread it belonged to looks for another.

    Args:
        keys: ``rows * length`` uint64.
        indices: Receives ``rows * k`` int64 places.
        rows: How many rows.
        length: Keys of a row.
        k: How many places, from 1 to ``length``.
    """
    best_keys = cuda.shared.array(THREADS, np.uint64)
    best_places = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    for n in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        key = _GREATEST
        place = -1
        own_key = _LEAST
        own = -1
        for rank in range(k):
            if own == place:
                own_key = _LEAST
                own = length
                for i in range(thread, length, THREADS):
                    rival = keys[n * length + i]
                    is_left = rival < key or (rival == key and i > place)
                    if is_left and (rival > own_key or own == length):
                        own_key = rival
                        own = i
            best_keys[thread] = own_key
            best_places[thread] = own
            cuda.syncthreads()
            half = THREADS >> 1
            while half > 0:
                if thread < half:
                    rival = best_keys[thread + half]
                    rival_place = best_places[thread + half]
                    is_equal = rival == best_keys[thread]
                    if rival > best_keys[thread] or (
                        is_equal and rival_place < best_places[thread]
                    ):
                        best_keys[thread] = rival
                        best_places[thread] = rival_place
                cuda.syncthreads()
                half >>= 1
            key = best_keys[0]
            place = best_places[0]
            cuda.syncthreads()
            if thread == 0:
                indices[n * k + rank] = place

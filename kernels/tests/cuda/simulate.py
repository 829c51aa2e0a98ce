"""
Runs the device code in numba's simulator and prints how far it is from the reference.

A program of its own, because the simulator must be chosen before numba is imported. Grids
are small: a simulated thread costs a third of a millisecond.
"""

import json

import numpy as np
from inferd_kernels import Scaling, reference
from inferd_kernels.contract import divisor_and_offsets, stacked_taps
from inferd_kernels.cuda import device_code
from numba import cuda

RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)


def distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the greatest difference."""
    return float(np.abs(actual.reshape(expected.shape).astype(float) - expected).max())


def scale_chw() -> float:
    """Scale into planes with fewer threads than pixels and fewer blocks than images."""
    divisor, offsets = divisor_and_offsets(Scaling.INCEPTION, 3)
    expected = np.empty((3, 3, 5, 7), np.float32)
    reference.scale_to_chw(IMAGES, expected, Scaling.INCEPTION)
    out = np.full(expected.size, np.nan, np.float32)
    kernel = cuda.jit(device_code.scale_chw)
    kernel[(2, 2), 8](IMAGES.ravel(), divisor, offsets, out, 3, 35, 3)
    return distance(out, expected)


def scale_hwc() -> float:
    """Scale in place with fewer threads than bytes."""
    divisor, offsets = divisor_and_offsets(Scaling.VGG, 3)
    expected = np.empty(IMAGES.shape, np.float32)
    reference.scale_to_hwc(IMAGES, expected, Scaling.VGG)
    out = np.full(expected.size, np.nan, np.float32)
    cuda.jit(device_code.scale_hwc)[3, 16](IMAGES.ravel(), divisor, offsets, out, out.size, 3)
    return distance(out, expected)


def resize() -> float:
    """Resize with a grid smaller than the result in all three directions."""
    # Copied, because the simulator writes every argument back.
    down, across = stacked_taps(5, 8, 1).copy(), stacked_taps(7, 4, 3).copy()
    out = np.zeros(3 * 8 * 12, np.uint8)
    kernel = cuda.jit(device_code.resize)
    arguments = IMAGES.ravel(), down.ravel(), across.ravel(), out, 3, 5, 21, 8, 12
    kernel[(1, 3, 2), 8](*arguments)
    return distance(out, reference.resize_bilinear(IMAGES, (8, 4)))


def top_k() -> float:
    """Find the greatest of floats with equal values, infinities and NaNs."""
    values = RANDOM.integers(-3, 3, (3, 200)).astype(np.float32)
    values[0, ::3], values[1, ::2], values[2] = np.nan, -np.inf, np.nan
    values[1, 1::4] = -0.0
    values[2, 7], values[2, 9] = -np.inf, np.inf
    infinity = np.uint64(np.float32(np.inf).view(np.uint32))
    keys, indices = np.zeros(600, np.uint64), np.zeros(15, np.int64)
    order = device_code.FLOAT, np.uint64(1 << 31), infinity
    cuda.jit(device_code.order_keys)[1, 32](values.ravel().view(np.uint32), *order, keys, 600)
    cuda.jit(device_code.top_k)[2, device_code.THREADS](keys, indices, 3, 200, 5)
    return distance(indices, reference.top_k(values, 5)[1])


if __name__ == "__main__":
    print(json.dumps({check.__name__: check() for check in (scale_chw, scale_hwc, resize, top_k)}))

"""
Compiles the device code to PTX with numba, for any GPU and without one.

The entry points take plain pointers and numbers, so that they can be launched without
numba: its own dispatcher spends some 33 µs on a launch, where cuda.core spends 4.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from numba import cuda, types

from inferd_kernels.cuda import device_code

# Any, because numba's annotations cover neither.
_compile: Any = cuda.compile  # type: ignore[attr-defined,unused-ignore]
_pointer: Any = types.CPointer

_BYTES: Final = _pointer(types.uint8)
_INTS: Final = _pointer(types.int32)
_LONGS: Final = _pointer(types.int64)
_FLOATS: Final = _pointer(types.float32)
_KEYS: Final = _pointer(types.uint64)
_COUNT: Final = types.int64
_ORDER: Final = (types.int32, types.uint64, types.uint64, _KEYS, _COUNT)

_SOURCES: Final[Mapping[str, tuple[Callable[..., None], tuple[Any, ...]]]] = {
    "scale_chw": (
        device_code.scale_chw,
        (_BYTES, types.float32, _FLOATS, _FLOATS, _COUNT, _COUNT, _COUNT),
    ),
    "scale_hwc": (
        device_code.scale_hwc,
        (_BYTES, types.float32, _FLOATS, _FLOATS, _COUNT, _COUNT),
    ),
    "resize": (
        device_code.resize,
        (_BYTES, _INTS, _INTS, _BYTES, _COUNT, _COUNT, _COUNT, _COUNT, _COUNT),
    ),
    "order_keys_32": (device_code.order_keys, (_pointer(types.uint32), *_ORDER)),
    "order_keys_64": (device_code.order_keys, (_pointer(types.uint64), *_ORDER)),
    "top_k": (device_code.top_k, (_KEYS, _LONGS, _COUNT, _COUNT, _COUNT)),
}

_MISSING: Final = ("DynamicLibNotFoundError", "NvvmSupportError", "NvrtcSupportError")

KERNEL_NAMES: Final = tuple(_SOURCES)


@dataclass(frozen=True, slots=True)
class Program:
    """
    One compiled kernel.

    Attributes:
        ptx: The program text.
        entry: The name of its entry point.
    """

    ptx: str
    entry: str


def compile_kernel(name: str, capability: tuple[int, int]) -> Program:
    """
    Compile one kernel; takes about a second for the first and 0.3 s for each other.

    Args:
        name: One of ``KERNEL_NAMES``.
        capability: The GPU's compute capability, such as ``(9, 0)``.

    Raises:
        ImportError: A part of the CUDA compiler is missing; the message names it.
    """
    body, arguments = _SOURCES[name]
    try:
        ptx, _ = _compile(
            body, types.void(*arguments), device=False, cc=capability, abi="numba", output="ptx"
        )
    except Exception as error:
        if type(error).__name__ in _MISSING:
            raise ImportError(f"the CUDA compiler is incomplete: {error}") from error
        raise
    entry = re.search(r"\.entry\s+(\w+)", ptx)
    assert entry is not None, "numba compiles a kernel to one entry point"
    return Program(ptx, entry.group(1))

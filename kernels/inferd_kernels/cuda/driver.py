"""
Asks the NVIDIA driver whether there is a GPU, before anything that would crash without one.

Only ctypes: some CUDA libraries end the process when they are used without a driver.
"""

import ctypes


class NoDevice(RuntimeError):
    """There is no usable GPU; the message says what is missing."""


def device_count() -> int:
    """
    Start the driver and count its GPUs.

    Returns:
        At least 1.

    Raises:
        NoDevice: No driver, a driver that does not start, or no GPU.
    """
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoDevice(f"no NVIDIA driver: {error}") from error
    _check(library, library.cuInit(0))
    count = ctypes.c_int()
    _check(library, library.cuDeviceGetCount(ctypes.byref(count)))
    if count.value < 1:
        raise NoDevice("the NVIDIA driver sees no GPU")
    return count.value


def _check(library: ctypes.CDLL, code: int) -> None:
    if code == 0:
        return
    text = ctypes.c_char_p()
    library.cuGetErrorName(code, ctypes.byref(text))
    name = (text.value or b"unknown error").decode()
    raise NoDevice(f"the NVIDIA driver does not start: {name} ({code})")

"""
Imports NVIDIA's Python packages when they are first used, and names the extra they come from.
"""

from functools import cache
from importlib import import_module
from typing import Any, Final

_ADVICE: Final = "pip install 'inferd-kernels[cuda]'"


@cache
def cuda_core() -> Any:
    """
    Return ``cuda.core``.

    Raises:
        ImportError: It is not installed.
    """
    core = _imported("cuda.core")
    # Until version 0.5 the public names lived one level down.
    return core if hasattr(core, "launch") else _imported("cuda.core.experimental")


@cache
def cuda_driver() -> Any:
    """
    Return ``cuda.bindings.driver``.

    Raises:
        ImportError: It is not installed.
    """
    return _imported("cuda.bindings.driver")


@cache
def numba_cuda() -> Any:
    """
    Return ``numba.cuda`` as numba-cuda makes it.

    Raises:
        ImportError: It is not installed.
    """
    _imported("numba_cuda")
    return _imported("numba.cuda")


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"the CUDA kernels need {name} ({error}): {_ADVICE}") from error

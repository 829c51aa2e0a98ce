"""
The per-byte work of an inference server, in sets of interchangeable kernels.

::

    import inferd_kernels

    kernels = inferd_kernels.select("numba")
    inferd_kernels.warm(kernels)  # in a thread, when a model loads
    kernels.scale_to_chw(images, batch, inferd_kernels.Scaling.INCEPTION)

All sets compute the same bits; :mod:`inferd_kernels.reference` is their specification.
Importing this package imports NumPy and nothing else. It knows nothing of inferd.
"""

from importlib import import_module
from typing import Final, cast, get_args

from inferd_kernels.contract import KernelSet, KernelSetName, Scaling

__all__ = ["KernelSet", "KernelSetName", "Scaling", "select", "warm"]

__version__ = "0.1.0"

_MODULES: Final = {
    "numpy": "inferd_kernels.reference",
    "numba": "inferd_kernels.cpu",
    "cuda": "inferd_kernels.cuda",
}


def select(name: KernelSetName) -> KernelSet:
    """
    Return a set of kernels, importing what it needs.

    Importing numba takes about a second, and finding a GPU with all its libraries about
    two, so call this when a model loads and not when a server starts. Nothing is compiled
    yet.

    Args:
        name: ``"numpy"``, ``"numba"`` (extra ``numba``) or ``"cuda"`` (extra ``cuda``).

    Raises:
        ValueError: There is no such set.
        ImportError: A package the set needs is missing; the message names the extra.
        inferd_kernels.cuda.driver.NoDevice: ``"cuda"`` on a machine without a usable GPU.
    """
    if name not in _MODULES:
        raise ValueError(f"no kernel set {name!r}; there are {', '.join(get_args(KernelSetName))}")
    return cast("KernelSet", import_module(_MODULES[name]).kernel_set())


def warm(kernel_set: KernelSet) -> None:
    """
    Compile every kernel of a set, so that no request ever waits for a compiler.

    Blocks: 0.6 s for ``numba`` with a warm cache, some 10 s with an empty one; 2 to 3 s for
    ``cuda``; nothing for ``numpy``. Compilation releases no lock, so run it while nothing
    is being served. Numba keeps its cache beside the source or in ``NUMBA_CACHE_DIR``: in a
    container set that to a folder which is writable and survives.
    """
    kernel_set.prepare()

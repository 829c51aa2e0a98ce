"""
The kernels on an NVIDIA GPU: written in numba, compiled once, launched through cuda.core.

Importing this package asks the driver for a GPU and imports the extra ``cuda``; only
:func:`inferd_kernels.select` does.
"""

from functools import cache

from inferd_kernels.contract import KernelSet
from inferd_kernels.cuda.cuda_python import cuda_core, cuda_driver, numba_cuda
from inferd_kernels.cuda.driver import device_count
from inferd_kernels.reference import gather_rows, scatter_rows


@cache
def kernel_set() -> KernelSet:
    """
    Return the kernels of the first GPU; the first call of any compiles all of them.

    Raises:
        inferd_kernels.cuda.driver.NoDevice: There is no usable GPU.
        ImportError: A package of the extra ``cuda`` is missing.
    """
    device_count()
    for package in (cuda_core, cuda_driver, numba_cuda):
        package()
    from inferd_kernels.cuda.kernels import CudaKernels

    kernels = CudaKernels()
    return KernelSet(
        name="cuda",
        scale_to_chw=kernels.scale_to_chw,
        scale_to_hwc=kernels.scale_to_hwc,
        resize_bilinear=kernels.resize_bilinear,
        top_k=kernels.top_k,
        gather_rows=gather_rows,
        scatter_rows=scatter_rows,
        prepare=kernels.prepare,
    )

"""Fixtures of the kernel tests: every set of kernels, warm, or a printed reason why not."""

import inferd_kernels
import pytest
from inferd_kernels import KernelSet, KernelSetName


@pytest.fixture(name="kernels", scope="session", params=["numpy", "numba", "cuda"])
def _kernels(request: pytest.FixtureRequest) -> KernelSet:
    """One set of kernels after the other; skipped where this machine cannot run it."""
    name: KernelSetName = request.param
    try:
        kernels = inferd_kernels.select(name)
        inferd_kernels.warm(kernels)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no {name} kernels: {error}")
    return kernels

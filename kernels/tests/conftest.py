"""Fixtures of the kernel tests: every set of kernels, warm, or a printed reason why not."""

import hypothesis
import inferd_kernels
import pytest
from inferd_kernels import KernelSet, KernelSetName

# As in the repository's tests; "brief" is for tools under which Python crawls.
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=10_000)
hypothesis.settings.register_profile("brief", deadline=None, max_examples=10)


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

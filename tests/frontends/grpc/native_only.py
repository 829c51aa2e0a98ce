"""The native transport alone, and calls of the model whose requests are queued there."""

from functools import partial

import pytest

from tests.frontends.grpc.raw_client import start_call

pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")

start = partial(start_call, model="queued")


@pytest.fixture
def transport():
    """Only this one."""
    return "native"

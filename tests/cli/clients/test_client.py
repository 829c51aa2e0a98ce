"""Tests of what both clients of the command line have in common."""

import pytest

from inferd.cli.clients.client import ClientError, UsageError, decoded
from inferd.cli.clients.http import HttpClient
from inferd.protocol.tensors import Tensor


async def test_http_has_no_streams():
    """Asking an HTTP client for a stream is a usage error."""
    async with HttpClient("http://localhost:1") as client:
        with pytest.raises(UsageError, match="-i grpc"):
            client.infer_stream([])


def test_decoded_names_the_output():
    """Bytes that do not fit their shape are reported with the output's name and shape."""
    with pytest.raises(ClientError, match=r"output 'Y' cannot be read as INT32 of shape \[2\]"):
        decoded(Tensor("Y", "INT32", [2], raw=b"1234"))

"""Bounded decompression."""

import gzip
import zlib

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.frontends.grpc.compression import check_encoding, inflate


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_both_algorithms_are_inflated(encoding, compress):
    """What was compressed comes out, up to the limit exactly, and empty messages too."""
    check_encoding(encoding)
    assert inflate(compress(b"x" * 100), encoding, 100) == b"x" * 100
    assert inflate(compress(b""), encoding, 0) == b""
    with pytest.raises(GRPCError) as caught:
        inflate(compress(b"x" * 101), encoding, 100)
    assert caught.value.status is Status.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"x" + d])
@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_damaged_data_is_an_internal_error(encoding, compress, damage):
    """Data that is cut, longer than it says or none at all is refused."""
    with pytest.raises(GRPCError, match="failed to decompress the message") as caught:
        inflate(damage(compress(b"abc")), encoding, 100)
    assert caught.value.status is Status.INTERNAL

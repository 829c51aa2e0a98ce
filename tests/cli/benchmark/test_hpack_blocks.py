"""Tests of the header blocks of gRPC calls."""

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.hpack_blocks import BlockReader, request_block
from inferd.cli.benchmark.http1 import ProtocolError


def encoded(*headers):
    """Return a block as a server writes it that uses no dynamic table."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(headers)


@given(st.text("abc/.-", min_size=1, max_size=300), st.text("xyz", max_size=20_000))
def test_request_block_is_what_grpc_asks_for(path, value):
    """Any HPACK decoder reads the request's headers, however long they are."""
    decoder = Decoder(max_header_list_size=2**20)
    headers = [
        (str(k), str(v)) for k, v in decoder.decode(request_block("box:1", path, [("Key", value)]))
    ]
    assert headers == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "box:1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("key", value),
    ]


def test_scheme_of_an_encrypted_connection():
    """Over TLS the scheme is https."""
    assert Decoder().decode(request_block("b", "/", (), "https"))[1][1] == "https"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(":status", "200"), ("content-type", "application/grpc")], None),
        ([("grpc-status", "0")], ""),
        ([("grpc-status", "5"), ("grpc-message", "no%20such%20model")], "no such model"),
        ([("grpc-status", "14")], "gRPC status 14"),
        ([(":status", "503")], "HTTP status 503"),
    ],
)
def test_status(headers, status):
    """Initial headers say nothing, trailers say success or the error, again and again."""
    reader = BlockReader()
    block = encoded(*headers)
    assert [reader.status(block) for _ in range(2)] == [status] * 2


def test_many_different_blocks():
    """Blocks that differ each time are read all the same."""
    reader = BlockReader()
    for number in range(300):
        assert reader.status(encoded(("grpc-status", "0"), ("x", str(number)))) == ""


def test_undecodable_block():
    """A block that refers to a table that is not there is refused."""
    with pytest.raises(ProtocolError, match="cannot be decoded"):
        BlockReader().status(b"\xff\xff\xff")

"""Compressed bodies."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.frontends.http.compression import (
    UnsupportedEncoding,
    choose,
    compress,
    decompress,
    is_compressed,
)


@given(st.lists(st.binary(max_size=200), max_size=4), st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_can_be_read_back(pieces, encoding):
    """A client that understands an encoding gets the same bytes through it."""
    assert decompress(compress(pieces, encoding), 1000) == b"".join(pieces)


def test_standard_clients_understand_the_response():
    """gzip responses are gzip files and deflate responses are zlib streams."""
    assert gzip.decompress(compress([b"ab", memoryview(b"c")], "gzip")) == b"abc"
    assert zlib.decompress(compress([b"abc"], "deflate")) == b"abc"


def test_concatenated_gzip_members_are_one_body():
    """Tools that append gzip members are understood."""
    assert decompress(gzip.compress(b"a") + gzip.compress(b"b"), 2) == b"ab"


def test_the_bound_is_on_the_expanded_size():
    """A body that expands to the limit is taken, one byte more is refused."""
    assert decompress(zlib.compress(bytes(100)), 100) == bytes(100)
    with pytest.raises(InvalidRequest) as caught:
        decompress(zlib.compress(bytes(101)), 100)
    assert caught.value.message == (
        "Decompressed data size exceeds the maximum allowed value of 100 bytes. Use "
        "--http-max-input-size to increase the limit."
    )


@pytest.mark.parametrize("data", [b"", b"plain", zlib.compress(b"whole")[:-1]])
def test_a_broken_stream_is_refused(data):
    """A body that is not what it claims to be is the client's mistake."""
    with pytest.raises(InvalidRequest, match="Unable to decompress the request body"):
        decompress(data, 100)


@pytest.mark.parametrize(
    ("header", "compressed"),
    [(None, False), ("", False), ("identity", False), ("gzip", True), ("deflate", True)],
)
def test_the_known_encodings(header, compressed):
    """gzip and deflate bodies are expanded, plain ones taken as they are."""
    assert is_compressed(header) is compressed


def test_another_encoding_is_not_supported():
    """brotli is not among what this server undoes."""
    with pytest.raises(UnsupportedEncoding, match=r"^Unsupported compression type$"):
        is_compressed("br")


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.5,identity;q=0.9", "identity"),
        ("gzip;q=high", "identity"),
        ("br", "identity"),
        ("*", "identity"),
    ],
)
def test_the_heaviest_encoding_wins(header, encoding):
    """The response is encoded as the client prefers."""
    assert choose(header) == encoding

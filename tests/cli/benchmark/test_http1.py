"""Tests of reading HTTP/1.1 responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.http1 import ProtocolError, ResponseReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
)
ERROR = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\n{"error": "no"}'
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def fed(reader, data, sizes=()):
    """Feed bytes in pieces and return the responses."""
    found = []
    for size in (*sizes, len(data)):
        piece, data = data[:size], data[size:]
        if piece and reader.receive(piece):
            found.append((reader.status, reader.body, reader.closes))
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PLAIN, (200, b"", False)),
        (CHUNKED, (200, b"", False)),
        (ERROR, (400, b'{"error": "no"}', False)),
        (CONTINUED, (200, b"", False)),
        (EMPTY, (200, b"", False)),
        (CLOSING, (200, b"", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", False)),
    ],
)
@given(sizes=st.lists(st.integers(1, 40), max_size=20))
def test_response_in_any_pieces(data, expected, sizes):
    """However a response is cut into pieces, it is complete at its last byte and not before."""
    reader = ResponseReader()
    assert fed(reader, data, sizes) == [expected]
    if not reader.closes:
        assert fed(reader, PLAIN) == [(200, b"", False)]


def test_incomplete_response():
    """A response without its last byte is no response yet."""
    for data in (PLAIN, CHUNKED, ERROR):
        assert fed(ResponseReader(), data[:-1]) == []


def test_only_the_beginning_of_a_long_error_is_kept():
    """An error of a megabyte does not fill memory."""
    head = b"HTTP/1.1 500 E\r\nContent-Length: 1000000\r\n\r\n"
    ((status, body, _),) = fed(ResponseReader(), head + b"x" * 1_000_000)
    assert (status, len(body)) == (500, 4096)


def test_body_without_a_length_goes_on_until_the_connection_ends():
    """A response that only the connection's end would complete is never complete."""
    assert fed(ResponseReader(), b"HTTP/1.1 200 OK\r\n\r\nhello") == []


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_response(data):
    """Bytes that cannot be a response are refused."""
    with pytest.raises(ProtocolError):
        fed(ResponseReader(), data + b"y", [len(data)])

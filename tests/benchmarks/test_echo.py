"""The echo that servers are compared with."""

import asyncio

import pytest

from inferd.cli.benchmark.http2 import MESSAGE, GrpcConnection, framed

echo = pytest.importorskip("echo", exc_type=ImportError)

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = (
    b"POST /x HTTP/1.1\r\ninference-header-content-length: 3\r\nContent-Length: 5\r\n\r\nhello"
)


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.data = b""

    def write(self, data):
        """Keep bytes."""
        self.data += data

    def writelines(self, list_of_data):
        """Keep pieces."""
        self.data += b"".join(list_of_data)


@pytest.mark.parametrize("size", [1, 7, len(REQUEST), 10_000])
def test_http_is_answered_once_for_each_request(size):
    """However its bytes arrive."""
    transport = Written()
    protocol = echo.HttpEcho(ANSWER)
    protocol.connection_made(transport)
    data = 3 * REQUEST
    for start in range(0, len(data), size):
        protocol.data_received(data[start : start + size])

    assert transport.data == 3 * ANSWER


def test_an_incomplete_request_over_http_is_not_answered():
    """Its last byte is missing."""
    transport = Written()
    protocol = echo.HttpEcho(ANSWER)
    protocol.connection_made(transport)
    protocol.data_received(REQUEST[:-1])

    assert transport.data == b""


def test_grpc_messages_come_back_as_they_were_sent():
    """Each on its own stream, with status OK."""
    transport, client = Written(), GrpcConnection("localhost:1", "/a.B/C", keep_messages=True)
    protocol = echo.GrpcEcho()
    protocol.connection_made(transport)
    streams = [client.open(), client.open()]
    for stream in streams:
        client.send(stream, framed(b"message %d" % stream), end=True)
    protocol.data_received(b"".join(client.output))
    events = client.receive(transport.data)

    for stream in streams:
        assert (stream, MESSAGE, b"message %d" % stream) in events
    assert client.open_streams == 0

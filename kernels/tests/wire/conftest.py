"""A connection of the kernel and h2's client, in one process, without sockets."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
HEADERS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/a.B/C",
    ":authority": "test",
    "te": "trailers",
    "content-type": "application/grpc",
}


def framed(body, flag=0):
    """Put gRPC's prefix before a message."""
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


class Pair:
    """
    A server's connection and its client.

    Attributes:
        server: The kernel's side.
        client: h2's side.
        received: What the client got.
    """

    def __init__(self, **options):
        from inferd_kernels.wire import _http2 as http2

        self.server = http2.Connection(RESPONSE, **options)
        self.client = H2Connection(
            H2Configuration(
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.client.initiate_connection()
        self.received = []
        self.now_ns = 1

    def exchange(self, data=b""):
        """Pass bytes back and forth until both are silent; return the server's events."""
        events = []
        while True:
            data = self.client.data_to_send() + data
            if data:
                events += self.server.receive(data, self.now_ns)
            answer = b"".join(self.server.data_to_send())
            events += self.server.closed_while_sending()
            if answer:
                self.received += self.client.receive_data(answer)
            elif not data:
                return events
            data = b""

    def open(self, *extra, end=False, **replaced):
        """Open a call at the client; a header set to ``None`` is left out."""
        headers = {**HEADERS, **{key.replace("_", ":", 1): to for key, to in replaced.items()}}
        stream_id = self.client.get_next_available_stream_id()
        kept = [(name, value) for name, value in headers.items() if value is not None]
        self.client.send_headers(stream_id, [*kept, *extra], end_stream=end)
        return stream_id

    def call(self, body=b"hello", *extra, **replaced):
        """Send a whole unary call; return the client's stream and the server's events."""
        stream_id = self.open(*extra, **replaced)
        self.client.send_data(stream_id, framed(body), end_stream=True)
        return stream_id, self.exchange()

    def of(self, stream_id, kind):
        """Return the client's events of a kind for a stream."""
        return [
            event
            for event in self.received
            if isinstance(event, kind) and event.stream_id == stream_id
        ]

    def headers(self, stream_id):
        """Return the answer's opening headers."""
        [event] = self.of(stream_id, ResponseReceived)
        return dict(event.headers)

    def trailers(self, stream_id):
        """Return the answer's trailers."""
        [event] = self.of(stream_id, TrailersReceived)
        assert self.of(stream_id, StreamEnded)
        return dict(event.headers)

    def body(self, stream_id):
        """Return the answer's bytes."""
        return b"".join(event.data for event in self.of(stream_id, DataReceived))

    def reset_code(self, stream_id):
        """Return the code the stream was reset with, or ``None``."""
        found = self.of(stream_id, StreamReset)
        return found[0].error_code if found else None


@pytest.fixture
def make_pair():
    """Make pairs that have greeted each other."""

    def make(**options):
        pair = Pair(**options)
        assert pair.exchange() == []
        return pair

    return make


@pytest.fixture
def pair(make_pair):
    """A pair with the ordinary limits."""
    return make_pair()

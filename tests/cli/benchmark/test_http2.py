"""Tests of the client's side of gRPC over HTTP/2, against another implementation's server side."""

import struct
import zlib

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.cli.benchmark.http1 import ProtocolError
from inferd.cli.benchmark.http2 import END, MESSAGE, GrpcConnection, framed

OK = [("grpc-status", "0")]
INITIAL = [(":status", "200"), ("content-type", "application/grpc")]


class Server:
    """The server's side, by h2."""

    def __init__(self, *, acknowledges=False, **changes):
        config = h2.config.H2Configuration(client_side=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={getattr(h2.settings.SettingCodes, k): v for k, v in changes.items()},
        )
        self.h2.initiate_connection()
        self.acknowledges = acknowledges
        self.bodies = {}
        self.headers = {}
        self.ended = []

    def take(self, client):
        """Take what the client has written."""
        data = b"".join(client.output)
        client.output.clear()
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.headers[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if self.acknowledges:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.append(event.stream_id)

    def answer(self, stream, *messages, trailers=OK):
        """Answer a call."""
        self.h2.send_headers(stream, INITIAL)
        for message in messages:
            self.h2.send_data(stream, message)
        self.h2.send_headers(stream, trailers, end_stream=True)

    def written(self):
        """Return what goes to the client."""
        return self.h2.data_to_send()


def client(**more):
    """Return a client of a method."""
    return GrpcConnection("box:1", "/pkg.Service/Method", **more)


def connected(server, **more):
    """Return a client that has exchanged settings with a server."""
    made = client(**more)
    server.take(made)
    assert made.receive(server.written()) == []
    server.take(made)
    return made


def call(connection, message=b"abc"):
    """Begin a call with one message."""
    stream = connection.open()
    connection.send(stream, framed(message), end=True)
    return stream


def test_unary_calls():
    """Each call ends with its status; the server sees the method, the message and its end."""
    server = Server()
    connection = connected(server)
    streams = [call(connection) for _ in range(3)]
    server.take(connection)
    assert server.headers[streams[0]][b":path"] == b"/pkg.Service/Method"
    assert server.bodies == dict.fromkeys(streams, b"\0\0\0\0\x03abc")
    assert server.ended == streams
    server.answer(streams[1], framed(b"x"))
    server.answer(
        streams[0], framed(b"x"), trailers=[("grpc-status", "3"), ("grpc-message", "bad")]
    )
    assert connection.receive(server.written()) == [(streams[1], END, ""), (streams[0], END, "bad")]
    assert connection.open_streams == 1


@given(st.lists(st.integers(1, 60), max_size=30))
def test_bytes_in_any_pieces(sizes):
    """However the server's bytes are cut, the same things happen."""
    server = Server()
    connection = connected(server, keep_messages=True)
    stream = call(connection)
    server.take(connection)
    server.answer(stream, framed(b"one") + framed(b"")[:2], framed(b"")[2:] + framed(b"three" * 9))
    data, events = server.written(), []
    for size in (*sizes, len(data)):
        events += connection.receive(data[:size])
        data = data[size:]
    assert events == [
        (stream, MESSAGE, b"one"),
        (stream, MESSAGE, b""),
        (stream, MESSAGE, b"three" * 9),
        (stream, END, ""),
    ]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=4),
    st.sampled_from([1000, 65535, 1_000_000]),
)
def test_messages_wait_for_the_windows(sizes, window):
    """Messages larger than the server's windows arrive whole as the server makes room."""
    server = Server(acknowledges=True, INITIAL_WINDOW_SIZE=window)
    connection = connected(server)
    streams = [call(connection, bytes([size % 251]) * size) for size in sizes]
    for _ in range(2000):
        server.take(connection)
        if len(server.ended) == len(streams):
            break
        connection.receive(server.written())
    assert server.bodies == {
        stream: framed(bytes([size % 251]) * size)
        for stream, size in zip(streams, sizes, strict=True)
    }


def test_settings_of_the_server():
    """The server's limit on streams is known once its settings have come, and acknowledged."""
    server = Server(MAX_CONCURRENT_STREAMS=7)
    made = client()
    assert not made.settled
    server.take(made)
    made.receive(server.written())
    assert (made.settled, made.max_streams) == (True, 7)
    server.take(made)


def test_changed_window_counts_for_open_streams():
    """A server that widens its initial window later lets waiting messages through."""
    server = Server(INITIAL_WINDOW_SIZE=10)
    connection = connected(server)
    stream = call(connection, b"x" * 95)
    server.take(connection)
    assert len(server.bodies[stream]) == 10
    server.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    connection.receive(server.written())
    server.take(connection)
    assert len(server.bodies[stream]) == 100
    assert server.ended == [stream]


def test_streams_of_messages():
    """Several messages may be sent on a stream before it is closed."""
    server = Server()
    connection = connected(server, keep_messages=True)
    stream = connection.open()
    connection.send(stream, framed(b"a"), end=False)
    connection.send(stream, framed(b"b"), end=False)
    connection.close_send(stream)
    server.take(connection)
    assert server.bodies[stream] == framed(b"a") + framed(b"b")
    assert server.ended == [stream]


def test_reset_stream():
    """A call the server resets ends with an error; its waiting bytes are dropped."""
    server = Server(INITIAL_WINDOW_SIZE=10)
    connection = connected(server)
    stream = call(connection, b"x" * 50)
    server.take(connection)
    server.h2.reset_stream(stream, 7)
    ((found, kind, error),) = connection.receive(server.written())
    assert (found, kind) == (stream, END)
    assert "HTTP/2 error 7" in error
    server.h2.increment_flow_control_window(1000)
    connection.receive(server.written())
    assert connection.output == []


def test_server_that_goes_away():
    """Calls the server will not answer end; the connection takes no more."""
    server = Server()
    connection = connected(server)
    first, second = call(connection), call(connection)
    server.take(connection)
    server.h2.close_connection(last_stream_id=first)
    assert connection.receive(server.written()) == [(second, END, "the server is going away")]
    assert connection.going


def test_ping_is_answered():
    """Keepalive pings are answered with their own bytes."""
    server = Server()
    connection = connected(server)
    server.h2.ping(b"12345678")
    connection.receive(server.written())
    assert b"".join(connection.output).endswith(b"12345678")


def frame(kind, flags, stream, body):
    """Return one frame."""
    return (
        struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body
    )


TRAILERS = b"\0\x0bgrpc-status\x010"


def test_headers_in_two_frames_with_padding_and_priority():
    """Header blocks may be padded, have a priority, and go on in a further frame."""
    connection = client()
    stream = call(connection)
    padded = b"\x02" + b"\0\0\0\0\x10" + TRAILERS[:4] + b"\0\0"
    data = frame(1, 1 | 8 | 32, stream, padded) + frame(9, 4, stream, TRAILERS[4:])
    assert connection.receive(data) == [(stream, END, "")]


@pytest.mark.parametrize(
    "data", [frame(1, 5, 1, b"\x88"), frame(0, 1, 1, b""), frame(0, 9, 1, b"\x01xy\0"[:3])]
)
def test_call_that_ends_without_a_status(data):
    """A server that ends a call without gRPC's status is told apart from success."""
    connection = client()
    stream = call(connection)
    ((found, kind, error),) = connection.receive(data)
    assert (found, kind, error) == (stream, END, "the server ended the call without a status")


def test_padded_data():
    """Padding is not part of a message."""
    connection = client(keep_messages=True)
    stream = connection.open()
    data = frame(0, 8, stream, b"\x03" + framed(b"ab") + b"\0\0\0")
    assert connection.receive(data) == [(stream, MESSAGE, b"ab")]


def test_frames_of_streams_that_are_over():
    """What still comes for a stream that has ended changes nothing."""
    connection = client(keep_messages=True)
    data = frame(0, 1, 5, b"xy") + frame(8, 0, 5, b"\0\0\0\1") + frame(3, 0, 5, b"\0\0\0\0")
    assert connection.receive(data + frame(2, 0, 5, b"\0\0\0\0\0")) == []


@pytest.mark.parametrize(
    "data", [frame(9, 4, 1, b""), frame(0, 8, 1, b""), frame(0, 8, 1, b"\x01")]
)
def test_broken_frames(data):
    """Frames that break the protocol end the connection."""
    connection = client(keep_messages=True)
    connection.open()
    with pytest.raises(ProtocolError):
        connection.receive(data)


def test_received_bytes_are_credited():
    """After a gigabyte the server is given room again, on the connection and the stream."""
    connection = client(keep_messages=True)
    stream = connection.open()
    connection.output.clear()
    connection._received = connection._stream_received[stream] = (1 << 30) - 3
    connection.receive(frame(0, 0, stream, b"\0\0\0"))
    size = struct.pack(">I", 1 << 30)
    assert connection.output == [frame(8, 0, 0, size), frame(8, 0, stream, size)]


def test_last_stream_number():
    """When the numbers of streams are used up, the connection takes no more."""
    connection = client()
    connection._next_stream = (1 << 31) - 3
    connection.open()
    assert not connection.going
    connection.open()
    assert connection.going


def test_answers_like_those_before():
    """Headers that came before mean the same again, for every later call."""
    server = Server()
    connection = connected(server)
    bad = [("grpc-status", "3"), ("grpc-message", "bad")]
    for trailers, status in [(OK, ""), (bad, "bad")] * 3:
        stream = call(connection)
        server.take(connection)
        server.answer(stream, framed(b"x"), trailers=trailers)
        assert connection.receive(server.written()) == [(stream, END, status)]
    assert connection.open_streams == 0


@pytest.mark.parametrize(("compression", "window"), [("gzip", 31), ("deflate", 15)])
def test_compressed_messages(compression, window):
    """The prefix says that a message is compressed and how long it is then."""
    message = framed(bytes(1000), compression)
    assert (message[0], int.from_bytes(message[1:5], "big")) == (1, len(message) - 5)
    assert zlib.decompress(message[5:], window) == bytes(1000)


def test_message_in_pieces():
    """A message that comes in pieces is told of when its last byte has come."""
    connection = GrpcConnection("box:1", "/m", keep_messages=True)
    server = Server()
    stream = connection.open()
    server.take(connection)
    message = framed(b"whole")
    server.h2.send_headers(stream, INITIAL)
    server.h2.send_data(stream, message[:8])
    assert connection.receive(server.written()) == []
    server.h2.send_data(stream, message[8:])
    assert connection.receive(server.written()) == [(stream, MESSAGE, b"whole")]

"""
A peer that speaks HTTP/2 over a socket exactly as badly as a test wants it to.

Frames are written by hand, because libraries refuse to break rules; header blocks are read
with hpack.
"""

import select
import socket
from typing import Any, Final

import hpack

from inferd._generated.inference import ModelInferRequest, ModelInferRequestInferInputTensor

MAGIC: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    *(0, 1, 3, 4, 6, 7, 8, 9),
)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
SERVICE: Final = "/inference.GRPCInferenceService/"
LARGEST_WINDOW: Final = 2**31 - 1
SECONDS: Final = 30.0


def frame(kind: int, payload: bytes = b"", stream_id: int = 0, flags: int = 0) -> bytes:
    """Return a frame's bytes."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")
    return head + payload


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header field in HPACK that changes no table; both are below 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request_block(method: str = "ModelInfer") -> bytes:
    """Return the header block of a call."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": SERVICE + method,
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(literal(name.encode(), value.encode()) for name, value in fields.items())


def framed(body: bytes) -> bytes:
    """Put gRPC's prefix before a message."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def echo_request(count: int, model: str = "echo") -> bytes:
    """Return a framed inference request for an identity model, of so many zeros in FP32."""
    tensor = ModelInferRequestInferInputTensor(name="INPUT0", datatype="FP32", shape=[1, count])
    request = ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[bytes(4 * count)]
    )
    return framed(bytes(request))


def repeat_request(count: int, name: str) -> bytes:
    """Return a framed request for the model ``repeat``: so many answers, each with this id."""
    inputs = [
        ModelInferRequestInferInputTensor(name="IN", datatype="INT32", shape=[count]),
        ModelInferRequestInferInputTensor(name="DELAY", datatype="UINT32", shape=[count]),
        ModelInferRequestInferInputTensor(name="WAIT", datatype="UINT32", shape=[1]),
    ]
    values = [bytes(4 * count), bytes(4 * count), bytes(4)]
    request = ModelInferRequest(
        model_name="repeat", id=name, inputs=inputs, raw_input_contents=values
    )
    return framed(bytes(request))


class Gone(Exception):
    """The server has closed the connection."""


class Http2Peer:
    """
    One connection.

    Args:
        address: ``host:port``.
        settings: HTTP/2 settings to announce, by number.
        receive_buffer: Size of the socket's receive buffer, in bytes; ``None`` is the system's.

    Attributes:
        socket: The socket.
        goodbye: The error code of the GOAWAY that came, or ``None``.
        statuses: ``grpc-status`` of the calls that ended with one, by stream.
        resets: The codes of resets, by stream.
        received: How many bytes of DATA came, by stream.
        pongs: How many pings were answered.
    """

    def __init__(
        self,
        address: str,
        settings: dict[int, int] | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(SECONDS)
        self.socket.connect((host, int(port)))
        self.goodbye: int | None = None
        self.statuses: dict[int, int] = {}
        self.resets: dict[int, int] = {}
        self.received: dict[int, int] = {}
        self.pongs = 0
        self._decoder = hpack.Decoder()
        self._block = b""
        self._buffer = b""
        self._next_id = 1
        entries = (settings or {}).items()
        payload = b"".join(n.to_bytes(2, "big") + to.to_bytes(4, "big") for n, to in entries)
        self._has_settings = False
        self.send(MAGIC + frame(SETTINGS, payload))
        while not self._has_settings:
            self.read()
        # Only now may the server count on its own settings, such as its windows.
        self.send(frame(SETTINGS, flags=ACK))

    def __enter__(self) -> "Http2Peer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """
        Send bytes, without reading what comes.

        Raises:
            Gone: The server takes no more.
        """
        try:
            self.socket.sendall(data)
        except ConnectionError:
            raise Gone from None

    def open(self, method: str = "ModelInfer", *, end: bool = False) -> int:
        """Open a call and return its stream."""
        stream_id = self.next_id()
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, request_block(method), stream_id, flags))
        return stream_id

    def next_id(self) -> int:
        """Return the number of a stream that is not used yet."""
        self._next_id += 2
        return self._next_id - 2

    def send_message(self, stream_id: int, message: bytes, *, end: bool = True) -> None:
        """Send a framed message in frames of 16 KiB, whatever flow control says."""
        pieces = [message[at : at + 16_384] for at in range(0, len(message), 16_384)]
        last = frame(DATA, pieces.pop(), stream_id, END_STREAM if end else 0)
        self.send(b"".join(frame(DATA, piece, stream_id) for piece in pieces) + last)

    def start(self, message: bytes, method: str = "ModelInfer") -> int:
        """Send a whole call and return its stream."""
        stream_id = self.open(method)
        self.send_message(stream_id, message)
        return stream_id

    def call(self, message: bytes, method: str = "ModelInfer") -> int:
        """Send a whole call, and return its status when it has one."""
        return self.status(self.start(message, method))

    def status(self, stream_id: int) -> int:
        """
        Return the status of a call.

        Raises:
            Gone: The connection ends before.
        """
        while stream_id not in self.statuses:
            self.read()
        return self.statuses[stream_id]

    def grant(self, size: int, *stream_ids: int) -> None:
        """Let the server send so many bytes more, on streams and on the connection."""
        for stream_id in (0, *stream_ids):
            self.send(frame(WINDOW_UPDATE, size.to_bytes(4, "big"), stream_id))

    def read(self) -> None:
        """
        Take what the server sent next.

        Raises:
            Gone: It has closed the connection.
        """
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone
        self._take(data)

    def read_what_is_there(self) -> None:
        """Take what the server has sent by now, without waiting."""
        while select.select([self.socket], [], [], 0)[0]:
            self.read()

    def flood(self, data: bytes, size: int = 1 << 16) -> None:
        """Send bytes for as long as the server takes them, and read what it says."""
        try:
            for start in range(0, len(data), size):
                self.send(data[start : start + size])
                self.read_what_is_there()
        except Gone:
            return

    def last_words(self) -> int | None:
        """Read until the server closes the connection; return the code of its GOAWAY."""
        try:
            while True:
                self.read()
        except Gone:
            return self.goodbye

    def _take(self, data: bytes) -> None:
        self._buffer += data
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 9:
            end = at + 9 + int.from_bytes(buffer[at : at + 3], "big")
            if end > len(buffer):
                break
            stream_id = int.from_bytes(buffer[at + 5 : at + 9], "big")
            self._take_frame(buffer[at + 3], buffer[at + 4], stream_id, buffer[at + 9 : end])
            at = end
        self._buffer = buffer[at:]

    def _take_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == DATA:
            self.received[stream_id] = self.received.get(stream_id, 0) + len(payload)
        elif kind in (HEADERS, CONTINUATION):
            self._block += payload
            if flags & END_HEADERS:
                headers = dict(self._decoder.decode(self._block))
                self._block = b""
                if "grpc-status" in headers:
                    self.statuses[stream_id] = int(headers["grpc-status"])
        elif kind == RST_STREAM:
            self.resets[stream_id] = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goodbye = int.from_bytes(payload[4:8], "big")
        elif kind == SETTINGS and not flags & ACK:
            self._has_settings = True
        elif kind == PING and flags & ACK:
            self.pongs += 1

"""
The client's side of gRPC over HTTP/2, without I/O.

It calls one method again and again, so the header block is made once.
Sources: RFC 9113, the gRPC protocol over HTTP/2.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Final

from inferd.cli.benchmark.hpack_blocks import BlockReader, request_block
from inferd.cli.benchmark.http1 import ProtocolError

MESSAGE: Final = 0
END: Final = 1

Event = tuple[int, int, bytes | str]
"""Stream, then ``MESSAGE`` and its bytes or ``END`` and the error (empty when there is none)."""

_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 1, 1, 4, 8, 32
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_STREAMS, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 3, 4, 5
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD: Final = struct.Struct(">HBBBI")
_U32: Final = struct.Struct(">I")
_SETTING: Final = struct.Struct(">HI")
_PREFIX: Final = struct.Struct(">BI")
_LARGEST: Final = (1 << 31) - 1
_DEFAULT_WINDOW: Final = 65535
_CREDIT: Final = 1 << 30
_WHOLE_HEADERS: Final = (_END_HEADERS, _END_HEADERS | _END_STREAM)
_NO_STATUS: Final = "the server ended the call without a status"
_GZIP: Final = zlib.MAX_WBITS + 16


class GrpcConnection:
    """
    One connection on which the same method is called.

    Args:
        authority: ``HOST:PORT``.
        path: ``/package.Service/Method``.
        metadata: Further metadata.
        scheme: ``"https"`` for a connection with TLS.
        keep_messages: Whether ``receive`` tells of messages, too, not only of ends.

    Attributes:
        settled: Whether the server's settings have come.
        going: Whether no further stream can be opened.
        max_streams: How many streams the server takes at a time.
        output: Bytes to write, in pieces; who writes them clears it.
    """

    def __init__(
        self,
        authority: str,
        path: str,
        metadata: Iterable[tuple[str, str]] = (),
        *,
        scheme: str = "http",
        keep_messages: bool = False,
    ) -> None:
        self.settled = False
        self.going = False
        self.max_streams = _LARGEST
        block = request_block(authority, path, metadata, scheme)
        self._block = block
        self._head = (len(block) >> 8, len(block) & 255, _HEADERS, _END_HEADERS)
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._initial = _DEFAULT_WINDOW
        self._frame_size = 16384
        self._windows: dict[int, int] = {}
        self._waiting: deque[tuple[int, memoryview, bool]] = deque()
        self._received = 0
        self._buffer = b""
        self._blocks = BlockReader()
        self._partial: tuple[int, bytes, int] | None = None
        self._messages: dict[int, bytearray] | None = {} if keep_messages else None
        self._stream_received: dict[int, int] = {}
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _LARGEST))
        self.output: list[bytes | memoryview] = [
            _PREFACE,
            _frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings)),
            _frame(_WINDOW, 0, 0, _U32.pack(_LARGEST - _DEFAULT_WINDOW)),
        ]

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._windows)

    def open(self) -> int:
        """Begin a stream and return its number; not when ``going``."""
        stream = self._next_stream
        self._next_stream += 2
        if self._next_stream > _LARGEST:
            self.going = True
        self.output += (_HEAD.pack(*self._head, stream), self._block)
        self._windows[stream] = self._initial
        return stream

    def send(self, stream: int, message: bytes, *, end: bool) -> None:
        """
        Send a message on an open stream, as soon as the server's windows let it.

        Args:
            stream: Which stream.
            message: The message with its prefix, see :func:`framed`.
            end: Whether it is the last.
        """
        size = len(message)
        window = self._windows[stream]
        if self._waiting or size > self._frame_size or size > window or size > self._window:
            self._waiting.append((stream, memoryview(message), end))
            self._send_waiting()
            return
        self._window -= size
        self._windows[stream] = window - size
        self.output += (_HEAD.pack(size >> 8, size & 255, _DATA, end, stream), message)

    def close_send(self, stream: int) -> None:
        """Say that no further message comes on a stream."""
        self.output.append(_frame(_DATA, _END_STREAM, stream, b""))

    def receive(self, data: bytes) -> list[Event]:
        """
        Take received bytes and return what they mean.

        Raises:
            ProtocolError: The server breaks the protocol.
        """
        events: list[Event] = []
        if self._buffer:
            data = self._buffer + data
        position, stop = 0, len(data)
        unpack, known = _HEAD.unpack_from, self._blocks.known
        while stop - position >= 9:
            high, low, kind, flags, stream = unpack(data, position)
            start = position + 9
            end = start + (high << 8) + low
            if end > stop:
                break
            if kind == _HEADERS and flags in _WHOLE_HEADERS and (block := data[start:end]) in known:
                # Nearly all of the load is this branch: a block that came before.
                if flags & _END_STREAM:
                    self._end(stream, known[block], events)
            elif kind == _DATA:
                self._data(stream, flags, data, start, end, events)
            elif kind in (_HEADERS, _CONTINUATION):
                self._headers(kind, flags, stream, data[start:end], events)
            else:
                self._control(kind, flags, stream, data[start:end], events)
            position = end
        self._buffer = data[position:]
        return events

    def _data(
        self, stream: int, flags: int, data: bytes, start: int, end: int, events: list[Event]
    ) -> None:
        self._received += end - start
        if self._received >= _CREDIT:
            self.output.append(_frame(_WINDOW, 0, 0, _U32.pack(self._received)))
            self._received = 0
        if self._messages is not None and stream in self._windows:
            self._collect(stream, _unpadded(data[start:end], flags), events)
        if flags & _END_STREAM:
            self._end(stream, None, events)

    def _collect(self, stream: int, data: bytes, events: list[Event]) -> None:
        """Put a stream's bytes together and tell of the messages they complete."""
        assert self._messages is not None
        self._credit(stream, len(data))
        buffer = self._messages.setdefault(stream, bytearray())
        buffer += data
        while len(buffer) >= 5:
            _, length = _PREFIX.unpack_from(buffer)
            if len(buffer) < 5 + length:
                return
            events.append((stream, MESSAGE, bytes(buffer[5 : 5 + length])))
            del buffer[: 5 + length]

    def _credit(self, stream: int, size: int) -> None:
        received = self._stream_received.get(stream, 0) + size
        if received >= _CREDIT:
            self.output.append(_frame(_WINDOW, 0, stream, _U32.pack(received)))
            received = 0
        self._stream_received[stream] = received

    def _headers(
        self, kind: int, flags: int, stream: int, block: bytes, events: list[Event]
    ) -> None:
        ends = flags & _END_STREAM
        if kind == _CONTINUATION:
            if self._partial is None or self._partial[0] != stream:
                raise ProtocolError("a CONTINUATION frame without its HEADERS frame")
            block, ends = self._partial[1] + block, self._partial[2]
        elif flags & (_PADDED | _PRIORITY):
            block = _unpadded(block, flags)[5 if flags & _PRIORITY else 0 :]
        if not flags & _END_HEADERS:
            self._partial = (stream, block, ends)
            return
        self._partial = None
        status = self._blocks.status(block)
        if ends:
            self._end(stream, status, events)

    def _end(self, stream: int, error: str | None, events: list[Event]) -> None:
        """Tell of the end of a call; ``None`` is one without a status."""
        if self._windows.pop(stream, None) is None:
            return
        if self._messages is not None:
            self._messages.pop(stream, None)
            self._stream_received.pop(stream, None)
        events.append((stream, END, _NO_STATUS if error is None else error))

    def _control(
        self, kind: int, flags: int, stream: int, body: bytes, events: list[Event]
    ) -> None:
        if kind == _WINDOW:
            self._widen(stream, _U32.unpack(body)[0] & _LARGEST)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(body)
        elif kind == _PING and not flags & _ACK:
            self.output.append(_frame(_PING, _ACK, 0, body))
        elif kind == _RST:
            code = _U32.unpack(body)[0]
            self._end(stream, f"the server reset the call (HTTP/2 error {code})", events)
        elif kind == _GOAWAY:
            self.going = True
            last = _U32.unpack_from(body)[0] & _LARGEST
            for late in [number for number in self._windows if number > last]:
                self._end(late, "the server is going away", events)

    def _settle(self, body: bytes) -> None:
        for identifier, value in _SETTING.iter_unpack(body):
            if identifier == _MAX_STREAMS:
                self.max_streams = value
            elif identifier == _MAX_FRAME:
                self._frame_size = value
            elif identifier == _INITIAL_WINDOW:
                for stream in self._windows:
                    self._windows[stream] += value - self._initial
                self._initial = value
        self.settled = True
        self.output.append(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_waiting()

    def _widen(self, stream: int, increment: int) -> None:
        if stream == 0:
            self._window += increment
        elif stream in self._windows:
            self._windows[stream] += increment
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what the windows let through, each stream's bytes in order."""
        for _ in range(len(self._waiting)):
            stream, rest, end = self._waiting.popleft()
            if stream not in self._windows:
                continue
            while rest:
                size = min(len(rest), self._frame_size, self._window, self._windows[stream])
                if size <= 0:
                    break
                self._window -= size
                self._windows[stream] -= size
                last = end and size == len(rest)
                self.output += (_HEAD.pack(size >> 8, size & 255, _DATA, last, stream), rest[:size])
                rest = rest[size:]
            if rest:
                self._waiting.append((stream, rest, end))


def framed(message: bytes, compression: str = "") -> bytes:
    """
    Return a message with the prefix gRPC puts before it: whether it is compressed, its length.

    Args:
        message: The message.
        compression: ``""``, ``"gzip"`` or ``"deflate"``, which is zlib's format (RFC 9110).
    """
    if compression:
        packer = zlib.compressobj(wbits=_GZIP if compression == "gzip" else zlib.MAX_WBITS)
        message = packer.compress(message) + packer.flush()
    return _PREFIX.pack(bool(compression), len(message)) + message


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body) >> 8, len(body) & 255, kind, flags, stream) + body


def _unpadded(body: bytes, flags: int) -> bytes:
    if not flags & _PADDED:
        return body
    if not body or body[0] >= len(body):
        raise ProtocolError("a frame is all padding")
    return body[1 : len(body) - body[0]]

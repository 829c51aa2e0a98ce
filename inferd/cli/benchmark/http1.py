"""
Reads HTTP/1.1 responses out of received bytes, without I/O.

Bodies are counted and dropped, except the beginnings of those that report an error.
Source: RFC 9112.
"""

import re
from collections.abc import Generator
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.I)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked[ \t]*\r\n", re.I)
_CLOSE: Final = re.compile(rb"\r\nconnection:[^\r]*close", re.I)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_MOST_HEADS: Final = 256
_MOST_LINE_BYTES: Final = 65536
_KEPT_BYTES: Final = 4096
_CHUNKS: Final = -1


class ProtocolError(Exception):
    """The bytes are not what the protocol allows."""


class Response:
    """
    One complete response.

    Attributes:
        status: Its status code.
        body: The beginning of its body when the status is not 200; else empty.
        closes: Whether the server closes the connection after it.
    """

    __slots__ = ("body", "closes", "status")

    def __init__(self, status: int, body: bytes, closes: bool) -> None:
        self.status = status
        self.body = body
        self.closes = closes


class ResponseReader:
    """Reads the responses of one connection; one at a time, since requests are not pipelined."""

    __slots__ = ("_buffer", "_heads", "_parser")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._heads: dict[bytes, tuple[int, int, bool]] = {}
        self._parser: Generator[None, None, Response] | None = None

    def receive(self, data: bytes) -> Response | None:
        """
        Take received bytes and return the response they complete, if any.

        Raises:
            ProtocolError: They are no response.
        """
        if self._parser is None:
            if (response := self._whole(data)) is not None:
                return response
            self._parser = self._read()
        self._buffer += data
        try:
            next(self._parser)
        except StopIteration as stop:
            self._parser = None
            self._buffer.clear()
            found: Response = stop.value
            return found
        return None

    def _whole(self, data: bytes) -> Response | None:
        """Return a response without an error that came in one piece; the usual case."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        status, length, closes = self._head(data[:end])
        if status != 200 or length != len(data) - end:
            return None
        return Response(status, b"", closes)

    def _read(self) -> Generator[None, None, Response]:
        head = yield from self._until(b"\r\n\r\n")
        status, length, closes = self._head(head)
        if status < 200:
            return (yield from self._read())
        kept = b""
        if length != _CHUNKS:
            kept = yield from self._body(length)
        else:
            while size := _chunk_size((yield from self._until(b"\r\n"))):
                kept += yield from self._body(size)
                yield from self._until(b"\r\n")
            while (yield from self._until(b"\r\n")) != b"\r\n":
                pass
        return Response(status, kept if status != 200 else b"", closes)

    def _until(self, end: bytes) -> Generator[None, None, bytes]:
        while (index := self._buffer.find(end)) < 0:
            if len(self._buffer) > _MOST_LINE_BYTES:
                raise ProtocolError("a response's head is too long")
            yield
        index += len(end)
        found = bytes(self._buffer[:index])
        del self._buffer[:index]
        return found

    def _body(self, size: int) -> Generator[None, None, bytes]:
        """Drop ``size`` bytes as they come and return the first of them."""
        kept = b""
        while True:
            taken = min(size, len(self._buffer))
            kept += self._buffer[: min(taken, _KEPT_BYTES - len(kept))]
            del self._buffer[:taken]
            size -= taken
            if not size:
                return kept
            yield

    def _head(self, head: bytes) -> tuple[int, int, bool]:
        """Return the status, the body's length and whether the connection ends."""
        known = self._heads.get(head)
        if known is None:
            known = _parse_head(head)
            if len(self._heads) < _MOST_HEADS:
                self._heads[head] = known
        return known


def _parse_head(head: bytes) -> tuple[int, int, bool]:
    status = _STATUS.match(head)
    if status is None:
        raise ProtocolError(f"no HTTP/1.1 response: {head[:40]!r}")
    closes = _CLOSE.search(head) is not None
    if _CHUNKED.search(head):
        return int(status[1]), _CHUNKS, closes
    length = _LENGTH.search(head)
    if length is None and status[1] not in (b"100", b"204", b"304"):
        raise ProtocolError("a response has neither a length nor chunks")
    return int(status[1]), int(length[1]) if length else 0, closes


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0].strip(), 16)
    except ValueError as error:
        raise ProtocolError(f"a chunk's size cannot be read: {line[:40]!r}") from error

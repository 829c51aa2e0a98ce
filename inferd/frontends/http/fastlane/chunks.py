"""
Bodies of requests in chunks: where they end, and what they hold.

Stricter than most readers, so that nobody who looked at the same bytes before can have
seen another body in them: a size is hexadecimal digits and nothing else, lines end with
CRLF, and what is behind a size or after the last chunk is checked, bounded and dropped.
Source: RFC 9112 section 7.1. Pure.
"""

import re
from typing import Final

from inferd.frontends.http import bodies

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_CRLF: Final = b"\r\n"


class MalformedChunks(Exception):
    """The body cannot be read to its end; the message says why."""


class ChunkedBody:
    """
    The body of one request.

    Args:
        max_line: The longest line before a chunk, in bytes.
        max_trailers: The most bytes of lines after the last chunk.
        max_size: The largest body, in bytes; ``None`` keeps its chunks as they are, for
            somebody who reads and limits them.

    Attributes:
        content: What was read: the body or, without ``max_size``, its chunks without what
            was dropped. Whoever takes it may replace it.
        is_complete: Whether the body has ended.
    """

    __slots__ = (
        "_count",
        "_has_data",
        "_left",
        "_max_line",
        "_max_size",
        "_max_trailers",
        "_size",
        "_trailers",
        "content",
        "is_complete",
    )

    def __init__(self, max_line: int, max_trailers: int, max_size: int | None) -> None:
        self._max_line = max_line
        self._max_trailers = max_trailers
        self._max_size = max_size
        self._size = self._count = 0
        self._left = 0  # of the chunk at hand
        self._has_data = False  # whether its end has to be seen
        self._trailers = -1  # bytes of trailers, from the last chunk on
        self.content = bytearray()
        self.is_complete = False

    def read(self, data: bytes, at: int) -> int:
        """
        Read as far as whole lines or pieces of chunks go.

        Args:
            data: What was received.
            at: Where the unread part of it begins.

        Returns:
            Where the unread part begins now; the bytes from there on have to be given again.

        Raises:
            MalformedChunks: The body breaks the rules, or is too large.
        """
        while not self.is_complete:
            before = at
            if self._left:
                at = self._read_data(data, at)
            elif self._has_data:
                at = self._read_end(data, at)
            elif self._trailers < 0:
                at = self._read_size(data, at)
            else:
                at = self._read_trailer(data, at)
            if at == before:
                break
        return at

    def _read_data(self, data: bytes, at: int) -> int:
        piece = memoryview(data)[at : at + self._left]
        self.content += piece
        self._left -= len(piece)
        return at + len(piece)

    def _read_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if not _CRLF.startswith(end):
            raise MalformedChunks("Invalid chunk: it is longer than its size says")
        if len(end) < len(_CRLF):
            return at
        self._has_data = False
        if self._max_size is None:
            self.content += _CRLF
        return at + len(_CRLF)

    def _read_size(self, data: bytes, at: int) -> int:
        end = _end_of_line(data, at, self._max_line, "Chunk size line is too long")
        if end < 0:
            return at
        found = _SIZE_LINE.fullmatch(data, at, end)
        if found is None:
            raise MalformedChunks("Invalid chunk size")
        size = int(found[1], 16)
        if size:
            self._left, self._has_data = size, True
            self._count_chunk(size)
        else:
            self._trailers = 0
        if self._max_size is None:
            self.content += b"%x\r\n" % size
        return end + len(_CRLF)

    def _count_chunk(self, size: int) -> None:
        self._size += size
        self._count += 1
        if self._max_size is None:
            return
        if self._size > self._max_size:
            raise MalformedChunks(bodies.too_large(self._size, self._max_size))
        if self._count > bodies.MAX_CHUNKS:
            raise MalformedChunks(bodies.TOO_MANY_CHUNKS)

    def _read_trailer(self, data: bytes, at: int) -> int:
        room = self._max_trailers - self._trailers
        end = _end_of_line(data, at, room, "Trailers are too long")
        if end < 0:
            return at
        self._trailers += end - at
        if end == at:
            self.is_complete = True
            if self._max_size is None:
                self.content += _CRLF
        elif _TRAILER.fullmatch(data, at, end) is None:
            raise MalformedChunks("Invalid trailer")
        return end + len(_CRLF)


def _end_of_line(data: bytes, at: int, limit: int, message: str) -> int:
    """Return where a line of at most ``limit`` bytes ends, or -1 when its end is not there."""
    end = data.find(_CRLF, at, at + limit + len(_CRLF))
    if end < 0 and len(data) - at >= limit + len(_CRLF):
        raise MalformedChunks(message)
    return end

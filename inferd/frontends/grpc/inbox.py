"""
The bytes a call has received and not yet read.

A chunk's flow-control credit is returned when its first byte is read, so what a peer can
have buffered is its window, however slowly the call reads.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from grpclib.protocol import Buffer


class Inbox(Buffer):
    """
    Stands in for grpclib's ``Buffer``, which takes an empty frame for the end of the
    stream and raises ``AssertionError`` when the stream ends inside a message.

    Args:
        acknowledge: Returns flow-control credit, in bytes.
    """

    def __init__(self, acknowledge: Callable[[int], None]) -> None:
        self._acknowledge = acknowledge
        self._chunks: deque[tuple[memoryview, int]] = deque()
        self._ended = False
        self._arrival: asyncio.Future[None] | None = None

    def add(self, data: bytes, ack_size: int) -> None:
        """Append a chunk that used ``ack_size`` bytes of the flow-control window."""
        if not ack_size:
            return  # an empty frame; no window bounds how many of them there are
        self._chunks.append((memoryview(data), ack_size))
        self._wake()

    def eof(self) -> None:
        """Note that nothing will follow."""
        self._ended = True
        self._wake()

    async def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or what is left when the stream ends before."""
        pieces: list[memoryview] = []
        while size:
            if self._chunks:
                piece = self._take(size)
                pieces.append(piece)
                size -= len(piece)
            elif self._ended:
                break
            else:
                await self._next_chunk()
        return b"".join(pieces)

    def unacked_size(self) -> int:
        """Drop what is left and return the credit it still holds."""
        credit = sum(ack_size for _, ack_size in self._chunks)
        self._chunks.clear()
        return credit

    def _take(self, size: int) -> memoryview:
        data, ack_size = self._chunks.popleft()
        if len(data) > size:
            self._chunks.appendleft((data[size:], 0))
            data = data[:size]
        if ack_size:
            self._acknowledge(ack_size)
        return data

    async def _next_chunk(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        await self._arrival

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

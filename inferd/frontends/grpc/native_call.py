"""
One call over the native transport as the services see it; the twin of ``call.Call``.
"""

import asyncio
import time
from collections import deque
from typing import Any, Protocol

from grpclib.const import Handler
from grpclib.exceptions import GRPCError
from inferd_kernels.wire._http2 import Stream
from multidict import MultiDict

from inferd.errors import InferdError, InvalidRequest
from inferd.frontends.grpc import compression
from inferd.frontends.grpc.deflating import COMPRESSED_TYPES, Deflater
from inferd.frontends.grpc.metadata import Metadata, read_metadata, read_timeout
from inferd.frontends.grpc.transport import Hosting
from inferd.listening.byte_ledger import LARGE_BYTES, STREAMED_BYTES, Claim
from inferd.protocol.wire import Buffer


class Carrier(Protocol):
    """What a call needs of its connection."""

    def take(self, stream: Stream) -> None:
        """Note that a message was taken; its flow-control credit may be returned."""

    def claim(self, stream: Stream, size: int) -> bool:
        """Take the bytes of a large message over from the connection's part of the ledger."""

    async def send(self, stream: Stream, buffers: list[Buffer]) -> None:
        """Send a message, and wait while the client reads too slowly."""

    async def send_encoded(
        self, stream: Stream, buffers: list[Buffer], encoding: str, compressed: bool
    ) -> None:
        """Do the same in a call whose answer has an encoding."""


class NativeCall:
    """
    One call.

    Args:
        carrier: Its connection.
        stream: Its HTTP/2 stream.
        hosting: What is served, and the limits.

    Attributes:
        metadata: What the client sent beside the messages.
        timeout_seconds: How long the client waits; ``None`` is for ever.
        deadline_ns: Until when it waits, monotonic; 0 is for ever.
        stream: Its HTTP/2 stream.
        task: What serves it; gone when that is done.
    """

    __slots__ = (
        "_arrival",
        "_carrier",
        "_codec",
        "_deflater",
        "_ended",
        "_inflated",
        "_ledger",
        "_max_message_bytes",
        "_messages",
        "_method",
        "_refusal",
        "_taken_bytes",
        "deadline_ns",
        "metadata",
        "stream",
        "task",
        "timeout_seconds",
    )

    task: "asyncio.Task[None]"

    def __init__(self, carrier: Carrier, stream: Stream, hosting: Hosting) -> None:
        self.metadata: Metadata = MultiDict()
        self.timeout_seconds: float | None = None
        self.deadline_ns = 0
        self._carrier = carrier
        self.stream = stream
        self._codec = hosting.codec
        self._deflater = hosting.deflater
        self._max_message_bytes = hosting.max_message_bytes
        self._messages: deque[tuple[Any, bool]] = deque()
        self._ended = stream.ended
        self._ledger = hosting.ledger
        self._inflated: Claim | None = None
        self._refusal: GRPCError | InferdError | None = None
        self._taken_bytes = 0
        self._arrival: asyncio.Future[None] | None = None

    def open(self, method: Handler) -> None:
        """
        Make the call ready for a method.

        Raises:
            InvalidRequest: The metadata or the timeout cannot be read.
        """
        self._method = method
        stream = self.stream
        if stream.timeout is not None:
            self.timeout_seconds = read_timeout(stream.timeout)
            assert self.timeout_seconds is not None
            self.deadline_ns = time.monotonic_ns() + int(self.timeout_seconds * 1e9)
        if stream.metadata:
            self.metadata = read_metadata(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in stream.metadata
            )

    def add(self, body: bytes, compressed: bool) -> None:
        """Take a message as it came."""
        self._messages.append((body, compressed))
        self._wake()

    def add_decoded(self, message: Any) -> None:
        """Take a message that is decoded already."""
        self._messages.append((message, False))

    def end(self) -> None:
        """Note that nothing will follow."""
        self._ended = True
        self._wake()

    def refuse_size(self, size: int) -> None:
        """Note that a message is announced that is too large."""
        self._refusal = compression.too_large(size, self._max_message_bytes)
        self._wake()

    def refuse_room(self, size: int) -> None:
        """Note that a message is announced that there is no room for."""
        assert self._ledger is not None
        self._refusal = self._ledger.refusal(size)
        self._wake()

    async def recv_message(self) -> Any:
        """
        Return the next message, or ``None`` at the end of a stream of them.

        Raises:
            GRPCError: It is too large or cannot be decompressed.
            InvalidRequest: It cannot be decoded, is cut short or missing.
            ServerFull: There is no room for it.
        """
        while not self._messages:
            if self._refusal is not None:
                raise self._refusal
            if self._ended:
                return self._end_of_messages()
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if self._taken_bytes:
            self.release()
        body, compressed = self._messages.popleft()
        self._carrier.take(self.stream)
        self._taken_bytes = len(body) if isinstance(body, bytes) else 0
        if compressed:
            self._inflated = Claim(self._ledger) if self._ledger is not None else None
            body = await compression.inflate_soon(
                body, self.stream.encoding, self._max_message_bytes, self._inflated
            )
        if not isinstance(body, bytes):
            return body
        return self._codec.decode(body, self._method.request_type)

    def claim(self) -> Claim | None:
        """Take over what the ledger counts of the message that was received last."""
        if self._ledger is None:
            return None
        claim, self._inflated = self._inflated, None
        size, self._taken_bytes = self._taken_bytes, 0
        if size <= STREAMED_BYTES:
            return claim
        if size <= LARGE_BYTES:
            # The kernel counted it until it was taken.
            self._ledger.add(size)
        elif not self._carrier.claim(self.stream, size):
            return claim
        claim = claim or Claim(self._ledger)
        claim.absorb(size)
        return claim

    def release(self) -> None:
        """Give back what the ledger counts of the message received last, if nobody claimed it."""
        claim = self.claim()
        if claim is not None:
            claim.release()

    def _end_of_messages(self) -> None:
        stream = self.stream
        if stream.expected >= 0:
            raise InvalidRequest(
                f"the call ended after {stream.received} of a message's {stream.expected} bytes"
            )
        if stream.inside_prefix or not self._method.cardinality.client_streaming:
            raise InvalidRequest("the call ended without a complete request message")

    async def send_message(self, message: Any) -> None:
        """
        Send a message.

        Raises:
            InferdError: It cannot be encoded; nothing was sent.
        """
        buffers = self._codec.encode_buffers(message, self._method.reply_type)
        deflater = self._deflater
        if deflater is None or self._method.reply_type not in COMPRESSED_TYPES:
            await self._carrier.send(self.stream, buffers)
        else:
            await self._send_deflated(deflater, buffers)

    async def _send_deflated(self, deflater: Deflater, buffers: list[Buffer]) -> None:
        encoding = deflater.choose(self.stream.accepted)
        if not encoding:
            await self._carrier.send(self.stream, buffers)
            return
        deflated = await deflater.deflate_soon(buffers, encoding)
        sent: list[Buffer] = buffers if deflated is None else [deflated]
        await self._carrier.send_encoded(self.stream, sent, encoding, deflated is not None)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

"""
One call as the services see it: messages in, messages out, metadata, deadline.

Has what handlers use of ``grpclib.server.Stream``, so that grpclib's service objects,
generated or ours, run on it unchanged.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from grpclib.const import Handler, Status
from grpclib.metadata import encode_grpc_message
from h2.errors import ErrorCodes
from multidict import MultiDict

from inferd.errors import InvalidRequest
from inferd.frontends.grpc import compression
from inferd.frontends.grpc.deflating import COMPRESSED_TYPES
from inferd.frontends.grpc.metadata import Headers, Metadata, read_metadata, read_timeout
from inferd.frontends.grpc.protocol import CallStream
from inferd.frontends.grpc.transport import Hosting
from inferd.listening.byte_ledger import LARGE_BYTES, STREAMED_BYTES, Claim
from inferd.protocol.wire import Buffer

_PREFIX_BYTES: Final = 5

_RESPONSE_HEADERS: Final = (
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", compression.ACCEPTED),
)


class Call:
    """
    One call.

    Args:
        stream: Its HTTP/2 stream.
        headers: The request headers, pseudo-headers included.
        hosting: What is served, and the limits.

    Attributes:
        metadata: What the client sent beside the messages.
        timeout_seconds: How long the client waits; ``None`` is for ever.
        deadline_ns: Until when it waits, monotonic; 0 is for ever.
    """

    def __init__(self, stream: CallStream, headers: Headers, hosting: Hosting) -> None:
        self.metadata: Metadata = MultiDict()
        self.timeout_seconds: float | None = None
        self.deadline_ns = 0
        self._stream = stream
        self._headers = headers
        self._codec = hosting.codec
        self._deflater = hosting.deflater
        self._max_message_bytes = hosting.max_message_bytes
        self._headers_sent = False
        self._ledger = hosting.ledger
        self._claim: Claim | None = None
        self._taken_bytes = 0

    def open(self, method: Handler) -> None:
        """
        Make the call ready for a method.

        Raises:
            InvalidRequest: The metadata or the timeout cannot be read.
        """
        self._method = method
        self.timeout_seconds = read_timeout(self._header("grpc-timeout"))
        if self.timeout_seconds is not None:
            self.deadline_ns = time.monotonic_ns() + int(self.timeout_seconds * 1e9)
        self.metadata = read_metadata(self._headers)

    async def recv_message(self) -> Any:
        """
        Return the next message, or ``None`` at the end of a stream of them.

        Raises:
            GRPCError: It is too large or cannot be decompressed.
            InvalidRequest: It cannot be decoded, is cut short or missing.
            ServerFull: There is no room for it.
        """
        prefix = await self._stream.recv_data(_PREFIX_BYTES)
        if not prefix and self._method.cardinality.client_streaming:
            return None
        if len(prefix) < _PREFIX_BYTES:
            raise InvalidRequest("the call ended without a complete request message")
        size = int.from_bytes(prefix[1:], "big")
        if size > self._max_message_bytes:
            raise compression.too_large(size, self._max_message_bytes)
        self.release()
        self._taken_bytes = size
        if self._ledger is not None and (prefix[0] or size > LARGE_BYTES):
            self._claim = Claim(self._ledger)
            if size > LARGE_BYTES:
                self._claim.grow(size)
        body = await self._stream.recv_data(size)
        if len(body) < size:
            raise InvalidRequest(f"the call ended after {len(body)} of a message's {size} bytes")
        if prefix[0]:
            body = await self._inflate(body)
        return self._codec.decode(body, self._method.request_type)

    def claim(self) -> Claim | None:
        """Take over what the ledger counts of the message that was received last."""
        claim, self._claim = self._claim, None
        size, self._taken_bytes = self._taken_bytes, 0
        if self._ledger is not None and STREAMED_BYTES < size <= LARGE_BYTES:
            claim = claim or Claim(self._ledger)
            self._ledger.add(size)
            claim.absorb(size)
        return claim

    def release(self) -> None:
        """Give back what the ledger counts of the message received last, if nobody claimed it."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    async def _inflate(self, body: bytes) -> bytes:
        encoding = self._header("grpc-encoding") or ""
        return await compression.inflate_soon(body, encoding, self._max_message_bytes, self._claim)

    def _header(self, name: str) -> str | None:
        return next((value for key, value in self._headers if key == name), None)

    async def send_message(self, message: Any) -> None:
        """
        Send a message.

        Raises:
            InferdError: It cannot be encoded; nothing was sent.
        """
        buffers = self._codec.encode_buffers(message, self._method.reply_type)
        encoding = ""
        deflated = None
        if self._deflater is not None and self._method.reply_type in COMPRESSED_TYPES:
            encoding = self._deflater.choose(self._header("grpc-accept-encoding") or "")
            if encoding:
                deflated = await self._deflater.deflate_soon(buffers, encoding)
        if not self._headers_sent:
            self._headers_sent = True
            more = [("grpc-encoding", encoding)] if encoding else []
            await self._stream.send_headers([*_RESPONSE_HEADERS, *more])
        if deflated is None:
            await self._send(0, buffers)
        else:
            await self._send(1, [deflated])

    async def _send(self, flag: int, buffers: Sequence[Buffer]) -> None:
        size = sum(map(len, buffers))
        await self._stream.send_buffers([bytes((flag,)) + size.to_bytes(4, "big"), *buffers])

    async def finish(self, status: Status, message: str | None = None) -> None:
        """End the call with a status; with an error, whatever the client still sends is dropped."""
        trailers = [] if self._headers_sent else list(_RESPONSE_HEADERS)
        trailers.append(("grpc-status", str(status.value)))
        if message:
            trailers.append(("grpc-message", encode_grpc_message(message)))
        await self._end(trailers, is_error=status is not Status.OK)

    async def refuse(self, http_status: str, message: str) -> None:
        """End a request that is no gRPC call."""
        headers = [
            (":status", http_status),
            ("grpc-status", str(Status.UNKNOWN.value)),
            ("grpc-message", encode_grpc_message(message)),
        ]
        await self._end(headers, is_error=True)

    async def _end(self, headers: Headers, *, is_error: bool) -> None:
        await self._stream.send_headers(headers, end_stream=True)
        if is_error and self._stream.closable:
            self._stream.reset_nowait(ErrorCodes.NO_ERROR)

"""
The native transport: one client connection over the HTTP/2 kernel of ``inferd_kernels``.

The kernel frames, this module does what needs a loop: it feeds the kernel, starts a task
per call, and writes once per turn what the turn's answers came to. An inference that
needs no task has none (:class:`Direct`).
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

from grpclib.const import Status
from inferd_kernels.wire import _http2

from inferd.frontends.grpc import compression
from inferd.frontends.grpc.connection_watch import ConnectionWatch
from inferd.frontends.grpc.direct import Direct
from inferd.frontends.grpc.errors import SHUTTING_DOWN
from inferd.frontends.grpc.keepalive import PingStrikes
from inferd.frontends.grpc.native_call import NativeCall
from inferd.frontends.grpc.native_watch import WatchedKernel
from inferd.frontends.grpc.serving import Outcome, failure, http_refusal
from inferd.frontends.grpc.transport import Hosting
from inferd.listening.writing import write_all
from inferd.protocol.infer_codec import CHOSEN
from inferd.protocol.messages import InferResponse
from inferd.protocol.wire import Buffer
from inferd.scheduling.pending import Queue

log = logging.getLogger(__name__)

HEADER_LIST_BYTES: Final = 65_536
"""Largest header list of a call, counted as RFC 9113 section 6.5.2 does."""

UNSENT_BYTES: Final = 1 << 20
"""A call with more than this queued for a slow client waits before it queues more."""

_RESPONSE_HEADERS: Final = (
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", compression.ACCEPTED.encode()),
)
_RECEIVED: Final = memoryview(bytearray(1 << 18))
_MESSAGE: Final = _http2.MESSAGE
_OPENED: Final = _http2.OPENED
_ENDED: Final = _http2.ENDED
_RESET: Final = _http2.RESET
_NO_ROOM: Final = _http2.NO_ROOM


class _Over:
    """Stands for a call that is over, while its stream is not."""

    def add(self, body: bytes, compressed: bool) -> None:
        """Drop a message."""

    def end(self) -> None:
        """Nothing is left to end."""

    def refuse_size(self, size: int) -> None:
        """Nothing is left to refuse."""

    def refuse_room(self, size: int) -> None:
        """Nothing is left to refuse."""


_OVER: Final = _Over()


class NativeConnection(asyncio.BufferedProtocol):
    """
    One client connection.

    Args:
        hosting: What is served, and whom to tell of the connection.
    """

    _transport: asyncio.Transport
    _watch: ConnectionWatch

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._methods = hosting.methods
        self._direct = hosting.direct
        self._codec = hosting.codec
        self._spinner = hosting.spinner
        self._loop = asyncio.get_running_loop()
        self._kernel = _http2.Connection(
            _RESPONSE_HEADERS,
            max_message_bytes=hosting.max_message_bytes,
            max_header_bytes=HEADER_LIST_BYTES,
            keeps_accepted=hosting.deflater is not None,
            on_ping=PingStrikes(hosting.keepalive).is_too_many,
            ledger=hosting.ledger,
        )
        self._calls: set[NativeCall | Direct] = set()
        self._queued: Queue | None = None
        self._waiting: dict[_http2.Stream, asyncio.Future[None]] = {}
        self._flushed: asyncio.Future[None] | None = None
        self._writing = False
        self._paused = False
        self._abandoned = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer with this server's settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._hosting.on_made(self)
        self._write()
        watched = WatchedKernel(self._kernel, self._write, self._transport.abort)
        self._watch = ConnectionWatch(watched, self._hosting.keepalive)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to receive into; the connections share it, none keeps anything there."""
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the peer; whatever goes wrong ends this connection only."""
        self._spinner.heard()
        try:
            self._act(self._kernel.receive(_RECEIVED[:nbytes], time.monotonic_ns()))
        except _http2.ProtocolError:
            log.debug("HTTP/2 protocol error", exc_info=True)
            self._write()
            return
        except Exception:
            log.exception("gRPC connection failed")
            self._transport.abort()
            return
        if self._queued is not None:
            self._end_turn(self._queued)
        if self._kernel.wants_write or self._kernel.done:
            self._write_soon()

    def pause_writing(self) -> None:
        """Leave what is to be sent in the kernel; the socket takes no more."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._write()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of the connection."""
        self._paused = True
        self._watch.stop()
        for call in tuple(self._calls):
            self._give_up(call)
        for waiter in self._waiting.values():
            waiter.cancel()
        self._settle_flushed()
        self._kernel.forget()
        self._hosting.on_lost(self)

    def in_flight(self) -> Iterator["asyncio.Future[Any]"]:
        """Yield a future for each call, and one for answers that are not written yet."""
        for call in self._calls:
            yield call.task
        if self._kernel.unanswered and not self._transport.is_closing():
            if self._flushed is None:
                self._flushed = self._loop.create_future()
            yield self._flushed

    def abandon(self) -> None:
        """Cancel every call and answer it with ``UNAVAILABLE``; the grace period is over."""
        self._abandoned = True
        for call in tuple(self._calls):
            self._give_up(call)

    def say_goodbye(self) -> None:
        """Tell the peer that the connection ends, and close it when that is written."""
        if not self._transport.is_closing():
            self._kernel.terminate()
            self._write()
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def take(self, stream: _http2.Stream) -> None:
        """Note that a message was taken; its flow-control credit may be returned."""
        self._kernel.take(stream)
        if self._kernel.wants_write:
            self._write_soon()

    def claim(self, stream: _http2.Stream, size: int) -> bool:
        """Take the bytes of a large message over from the connection's part of the ledger."""
        return self._kernel.claim(stream, size)

    async def send(self, stream: _http2.Stream, buffers: list[Buffer]) -> None:
        """Send a message, and wait while the client reads too slowly."""
        self._kernel.send_message(stream, buffers)
        await self._sent(stream)

    async def send_encoded(
        self, stream: _http2.Stream, buffers: list[Buffer], encoding: str, compressed: bool
    ) -> None:
        """Do the same in a call whose answer has an encoding."""
        self._kernel.send_encoded(stream, buffers, encoding.encode(), compressed)
        await self._sent(stream)

    async def _sent(self, stream: _http2.Stream) -> None:
        self._write_soon()
        if stream.unsent > UNSENT_BYTES:
            waiter = self._waiting[stream] = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiting.pop(stream, None)

    def finish(self, stream: _http2.Stream, outcome: Outcome) -> None:
        """End a call with a status; with an error, whatever the client still sends is dropped."""
        status, message = outcome
        stream.owner = _OVER
        self._kernel.send_trailers(stream, status.value, message, status is not Status.OK)
        self._write_soon()

    def answer(self, direct: Direct, response: InferResponse) -> None:
        """End a unary inference with its answer."""
        self._calls.discard(direct)
        stream = direct.stream
        self._kernel.send_message(stream, CHOSEN.encode_response(response))
        stream.owner = _OVER
        self._kernel.send_trailers(stream, 0)
        if self._calls:
            self._write_soon()
        else:
            # Nothing is left that could be answered in this turn and share the write.
            self._write()

    def forget(self, call: "NativeCall | Direct") -> None:
        """A call is over."""
        self._calls.discard(call)

    def _act(self, events: list[tuple[Any, ...]]) -> None:
        for event in events:
            kind, stream = event[0], event[1]
            owner = stream.owner
            if kind == _MESSAGE:
                if owner is None:
                    self._open(stream, event[2], event[3])
                else:
                    owner.add(event[2], event[3])
            elif kind == _OPENED:
                self._open_call(stream)
            elif kind == _ENDED:
                owner.end()
            elif kind == _RESET:
                if owner is not _OVER:
                    self._give_up(owner)
            elif kind == _NO_ROOM:
                owner.refuse_room(event[2])
            else:
                owner.refuse_size(event[2])

    def _open(self, stream: _http2.Stream, body: bytes, compressed: bool) -> None:
        """Start a call whose first message is here, without a task where that is possible."""
        start = self._direct.get(stream.path)
        if start is None or compressed or not stream.is_plain or self._methods.drain.begun:
            self._open_call(stream).add(body, compressed)
            return
        try:
            message = CHOSEN.decode_request(body)
            call = Direct(self, stream)
            started = start(message, call)
        except Exception as error:
            self.finish(stream, failure(error, stream.path))
            return
        if started is None:
            self._open_call(stream).add_decoded(message)
            return
        call.queued(started)
        self._queued = started[0]
        stream.owner = call
        self._calls.add(call)

    def _end_turn(self, queue: Queue) -> None:
        """Execute at once what was just queued, if it is all that the clients wait for."""
        self._queued = None
        if len(self._calls) == 1 and len(self._hosting.connections) == 1:
            queue.end_turn()

    def _open_call(self, stream: _http2.Stream) -> NativeCall:
        call = NativeCall(self, stream, self._hosting)
        stream.owner = call
        call.task = self._loop.create_task(self._run(call, stream))
        call.task.add_done_callback(partial(self._over, call))
        self._calls.add(call)
        return call

    def _over(self, call: NativeCall, task: "asyncio.Task[None]") -> None:
        """Forget a call whose task is done, or was cancelled before it began."""
        self._calls.discard(call)
        call.stream.owner = _OVER
        call.release()
        # A cancelled task refers to its frames, which refer to the call and to its messages.
        del call.task

    async def _run(self, call: NativeCall, stream: _http2.Stream) -> None:
        refusal = http_refusal(stream.method, stream.content_type)
        if refusal is not None:
            self._refuse(stream, *refusal)
        elif stream.headers_too_large:
            text = f"request metadata is larger than {HEADER_LIST_BYTES} bytes"
            self.finish(stream, (Status.RESOURCE_EXHAUSTED, text))
        else:
            self.finish(stream, await self._outcome(call, stream.path))

    async def _outcome(self, call: NativeCall, path: str) -> Outcome:
        try:
            return await self._methods.serve(call, path)
        except asyncio.CancelledError:
            if not self._abandoned:
                raise
            return Status.UNAVAILABLE, SHUTTING_DOWN

    def _refuse(self, stream: _http2.Stream, http_status: str, message: str) -> None:
        headers = (
            (b":status", http_status.encode()),
            (b"grpc-status", str(Status.UNKNOWN.value).encode()),
            (b"grpc-message", _http2.percent_encoded(message)),
        )
        stream.owner = _OVER
        self._kernel.send_only_headers(stream, headers)
        self._write_soon()

    def _give_up(self, call: "NativeCall | Direct") -> None:
        if isinstance(call, Direct):
            call.take_back()
            if self._abandoned:
                self.finish(call.stream, (Status.UNAVAILABLE, SHUTTING_DOWN))
        else:
            call.task.cancel()

    def _write_soon(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Write what the kernel has, in one piece where the socket takes it."""
        self._writing = False
        if self._transport.is_closing():
            return
        kernel = self._kernel
        try:
            while not self._paused:
                pieces = kernel.data_to_send()
                if not pieces:
                    break
                write_all(self._transport, pieces)
                self._spinner.answered()
            if closed := kernel.closed_while_sending():
                # A scheduler may be in the middle of answering a batch; it comes first.
                self._loop.call_soon(self._act, closed)
        except _http2.ProtocolError:
            log.debug("HTTP/2 protocol error", exc_info=True)
            write_all(self._transport, kernel.data_to_send())
        if self._waiting:
            self._wake()
        if self._flushed is not None and not kernel.unanswered:
            self._settle_flushed()
        if kernel.failed and self._paused:
            # Nobody reads the goodbye, and waiting for that would keep the calls running.
            self._transport.abort()
        elif kernel.done:
            self._transport.close()

    def _wake(self) -> None:
        for stream, waiter in tuple(self._waiting.items()):
            if stream.unsent <= UNSENT_BYTES and not waiter.done():
                waiter.set_result(None)

    def _settle_flushed(self) -> None:
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        self._flushed = None

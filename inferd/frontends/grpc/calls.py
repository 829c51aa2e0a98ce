"""
The calls of one connection of the pure-Python transport: each is a task that always ends.

Replaces grpclib's request handler, which leaves a call unanswered when its metadata
cannot be read and cancels it twice.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from grpclib.const import Status
from grpclib.protocol import AbstractHandler, Stream
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from inferd.frontends.grpc.call import Call
from inferd.frontends.grpc.connection_watch import ConnectionWatch
from inferd.frontends.grpc.errors import SHUTTING_DOWN
from inferd.frontends.grpc.metadata import Headers
from inferd.frontends.grpc.protocol import CallStream, ServerProtocol
from inferd.frontends.grpc.serving import Outcome, http_refusal
from inferd.frontends.grpc.transport import Hosting

log = logging.getLogger(__name__)

_LARGEST_STREAM_ID: Final = 2**31 - 1


class CallHandler(AbstractHandler):
    """
    Runs the calls of one connection.

    Args:
        hosting: What is served, and the limits.

    Attributes:
        tasks: The calls in flight.
        last_stream_id: The number of the last call accepted, 0 before.
    """

    def __init__(self, hosting: Hosting) -> None:
        self.tasks: dict[Stream, asyncio.Task[None]] = {}
        self._hosting = hosting
        self._abandoned = False
        self._when_done: Callable[[], object] | None = None
        self.last_stream_id = 0

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], Any]) -> None:
        """Start a call; one without a method is no call, and its stream is reset."""
        names = dict(headers)
        if ":method" not in names or ":path" not in names:
            release_stream()
            stream.reset_nowait(ErrorCodes.PROTOCOL_ERROR)
            return
        assert isinstance(stream, CallStream)
        assert stream.id is not None
        if self._when_done is not None:
            release_stream()
            stream.reset_nowait(ErrorCodes.REFUSED_STREAM)
            return
        self.last_stream_id = stream.id
        call = Call(stream, headers, self._hosting)
        task = asyncio.get_running_loop().create_task(self._run(call, names))
        self.tasks[stream] = task

        def forget(_: asyncio.Task[None]) -> None:
            del self.tasks[stream]
            release_stream()
            call.release()
            self._end_when_done()

        task.add_done_callback(forget)

    def refuse(self, *, when_done: Callable[[], object]) -> None:
        """Start no further calls, and call back when those in flight have ended."""
        self._when_done = when_done
        self._end_when_done()

    def _end_when_done(self) -> None:
        if self._when_done is not None and not self.tasks:
            self._when_done()

    def cancel(self, stream: Stream) -> None:
        """Cancel a call that the client has reset."""
        task = self.tasks.get(stream)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Cancel every call; the connection is gone."""
        for task in self.tasks.values():
            task.cancel()

    def abandon(self) -> None:
        """Cancel every call and answer it with ``UNAVAILABLE``; the grace period is over."""
        self._abandoned = True
        self.close()

    async def _run(self, call: Call, names: dict[str, str]) -> None:
        try:
            refusal = http_refusal(names[":method"], names.get("content-type", ""))
            if refusal is None:
                await call.finish(*await self._outcome(call, names[":path"]))
            else:
                await call.refuse(*refusal)
        except ProtocolError:
            # The peer reset the stream or closed the connection while the answer was on its way.
            log.debug("gRPC call could not be answered", exc_info=True)

    async def _outcome(self, call: Call, path: str) -> Outcome:
        try:
            return await self._hosting.methods.serve(call, path)
        except asyncio.CancelledError:
            if not self._abandoned:
                raise
            return Status.UNAVAILABLE, SHUTTING_DOWN


class PythonConnection(ServerProtocol):
    """
    One client connection of the pure-Python transport.

    Args:
        hosting: What is served, and whom to tell of the connection.
    """

    def __init__(self, hosting: Hosting) -> None:
        self._calls = CallHandler(hosting)
        super().__init__(self._calls, hosting.on_made, hosting.on_lost, hosting.keepalive)

        self._settings = hosting.keepalive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer, and watch it from now on."""
        super().connection_made(transport)
        self._watch = ConnectionWatch(self, self._settings)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of the connection."""
        self._watch.stop()
        super().connection_lost(exc)

    def in_flight(self) -> Iterable["asyncio.Future[Any]"]:
        """Return the calls; each ends when its answer is written."""
        return self._calls.tasks.values()

    def abandon(self) -> None:
        """Cancel every call and answer it with ``UNAVAILABLE``; the grace period is over."""
        self._calls.abandon()

    def say_goodbye(self) -> None:
        """Tell the peer that the connection ends, and close it when that is written."""
        self.connection.say_goodbye()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self.connection.ping()

    def announce_end(self) -> None:
        """Tell the peer to open its next calls elsewhere; those it opens still are served."""
        self.connection.announce_end(_LARGEST_STREAM_ID)

    def refuse_calls(self) -> None:
        """Serve no further calls, and close when those that are open have ended."""
        self.connection.announce_end(self._calls.last_stream_id)
        self._calls.refuse(when_done=self.connection.close)

"""
The calls of one connection: each is a task that always ends with a status.

Replaces grpclib's request handler, which leaves a call unanswered when its metadata
cannot be read, cancels twice, and answers every unforeseen error ``UNKNOWN``.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import AbstractHandler, Stream
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from inferd.errors import InferdError
from inferd.frontends.grpc.call import Call, Headers
from inferd.frontends.grpc.codec import InferenceCodec
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.errors import INTERNAL_ERROR, SHUTTING_DOWN, status_of
from inferd.frontends.grpc.protocol import CallStream

log = logging.getLogger(__name__)

Outcome = tuple[Status, str | None]


class CallHandler(AbstractHandler):
    """
    Runs the calls of one connection.

    Args:
        mapping: Method path -> how it is served.
        codec: Encodes and decodes the messages.
        drain: Whether new calls are refused.
        max_message_bytes: The largest request message taken, in bytes.

    Attributes:
        tasks: The calls in flight.
    """

    def __init__(
        self,
        mapping: Mapping[str, Handler],
        codec: InferenceCodec,
        drain: Drain,
        max_message_bytes: int,
    ) -> None:
        self.tasks: dict[Stream, asyncio.Task[None]] = {}
        self._mapping = mapping
        self._codec = codec
        self._drain = drain
        self._max_message_bytes = max_message_bytes
        self._abandoned = False

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], Any]) -> None:
        """Start a call; one without a method is no call, and its stream is reset."""
        names = dict(headers)
        if ":method" not in names or ":path" not in names:
            release_stream()
            stream.reset_nowait(ErrorCodes.PROTOCOL_ERROR)
            return
        assert isinstance(stream, CallStream)
        call = Call(stream, headers, self._codec, self._max_message_bytes)
        task = asyncio.get_running_loop().create_task(self._run(call, names))
        self.tasks[stream] = task

        def forget(_: asyncio.Task[None]) -> None:
            del self.tasks[stream]
            release_stream()

        task.add_done_callback(forget)

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
            refusal = _http_refusal(names)
            if refusal is None:
                await call.finish(*await self._outcome(call, names[":path"]))
            else:
                await call.refuse(*refusal)
        except ProtocolError:
            # The peer reset the stream or closed the connection while the answer was on its way.
            log.debug("gRPC call could not be answered", exc_info=True)

    async def _outcome(self, call: Call, path: str) -> Outcome:
        """Serve a call and say how it ended."""
        if self._drain.begun:
            return Status.UNAVAILABLE, SHUTTING_DOWN
        method = self._mapping.get(path)
        if method is None:
            return Status.UNIMPLEMENTED, f"unknown method '{path}'"
        try:
            call.open(method)
            await _invoke(method, call)
        except InferdError as error:
            return status_of(error), error.message
        except GRPCError as error:
            # Generated methods that are not overridden raise UNIMPLEMENTED without a text.
            name = path.rpartition("/")[2]
            return error.status, error.message or f"{name} is not implemented by this server"
        except asyncio.CancelledError:
            if self._abandoned:
                return Status.UNAVAILABLE, SHUTTING_DOWN
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            return Status.CANCELLED, "Request cancelled"
        except ProtocolError:
            raise
        except Exception:
            log.exception("gRPC call %s failed", path)
            return Status.INTERNAL, INTERNAL_ERROR
        return Status.OK, None


async def _invoke(method: Handler, call: Call) -> None:
    """Run the method until the client's deadline."""
    if call.timeout_seconds is None:
        await method.func(call)
        return
    try:
        async with asyncio.timeout(call.timeout_seconds) as clock:
            await method.func(call)
    except TimeoutError:
        if clock.expired():
            raise GRPCError(Status.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        raise


def _http_refusal(names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the HTTP status and reason for a request that is not gRPC's."""
    if names[":method"] != "POST":
        return "405", "gRPC requests are POST"
    content_type = names.get("content-type", "")
    if content_type not in ("application/grpc", "application/grpc+proto"):
        return "415", f"unacceptable content-type '{content_type}'"
    return None

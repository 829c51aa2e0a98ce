"""
``ModelStreamInfer``: many requests on one stream, executed together, answered in order.

Two things run for a stream. One reads requests and starts each as a task; the other
awaits the tasks in the order they were started and writes their answers. A slot per
request in flight connects them: when none is free, reading stops, and with it the
client, by flow control.
Source: section "ModelStreamInfer" of Triton's gRPC frontend.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.errors import BackendError, InferdError, RequestCancelled
from inferd.frontends.grpc.call import Call
from inferd.frontends.grpc.codec import StreamReply
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.errors import INTERNAL_ERROR, SHUTTING_DOWN
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.infer_response_protobuf import FINAL_RESPONSE
from inferd.protocol.infer_rules import to_request
from inferd.protocol.messages import InferRequest, InferResponse

log = logging.getLogger(__name__)

MAX_IN_FLIGHT: Final = 256
"""Requests of one stream that may be read and not yet answered."""

Infer = Callable[[InferRequest], Awaitable[InferResponse]]
"""Answers one request, :meth:`inferd.dataplane.DataPlane.infer`."""

Started = tuple[RequestMessage, "asyncio.Task[InferResponse]"]


class InferStream:
    """
    One stream.

    Args:
        call: The call.
        infer: Answers one request.
        drain: Whether the server is shutting down; then the stream reads no further.
    """

    def __init__(self, call: Call, infer: Infer, drain: Drain) -> None:
        self._call = call
        self._infer = infer
        self._drain = drain
        self._ends_on_error = call.metadata.get("triton_grpc_error") == "true"
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._started: asyncio.Queue[Started | None] = asyncio.Queue()
        self._unanswered: set[asyncio.Task[InferResponse]] = set()
        self._first_error: BaseException | None = None

    async def run(self) -> None:
        """
        Serve the stream until the client has half-closed it and everything is answered.

        Raises:
            InferdError: A message cannot be decoded, or a request failed and the client
                asked for errors to end the stream.
            GRPCError: The server is shutting down.
        """
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: self._started.put_nowait(None))
        self._drain.add(reader.cancel)
        try:
            await self._write()
            _raise_end(reader)
        finally:
            self._drain.discard(reader.cancel)
            unfinished = [reader, *self._unanswered]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _read(self) -> None:
        """Start a task per request until the client has no more."""
        while True:
            await self._slots.acquire()
            message = await self._call.recv_message()
            if message is None:
                return
            task = asyncio.create_task(self._answer(message, time.monotonic_ns()))
            self._unanswered.add(task)
            if self._ends_on_error:
                task.add_done_callback(self._note_error)
            self._started.put_nowait((message, task))

    async def _answer(self, message: RequestMessage, received_ns: int) -> InferResponse:
        request = to_request(message)
        request.received_ns = received_ns
        request.deadline_ns = self._call.deadline_ns
        return await self._infer(request)

    def _note_error(self, task: "asyncio.Task[InferResponse]") -> None:
        """Keep the first error, and have the writer meet it now by cancelling what is before it."""
        if task.cancelled() or task.exception() is None or self._first_error is not None:
            return
        self._first_error = task.exception()
        for other in self._unanswered:
            other.cancel()

    async def _write(self) -> None:
        """Write the answers in the order of the requests."""
        while (started := await self._started.get()) is not None:
            message, task = started
            try:
                await self._call.send_message(StreamReply(await _result(task)))
            except InferdError as error:
                if self._ends_on_error:
                    raise self._first_error or error from None
                await self._call.send_message(_failure(message, error))
            self._unanswered.discard(task)
            self._slots.release()


async def _result(task: "asyncio.Task[InferResponse]") -> InferResponse:
    """Await an answer; whatever went wrong with it is an :class:`InferdError`."""
    try:
        return await task
    except InferdError:
        raise
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        raise RequestCancelled("Request cancelled") from None
    except Exception:
        log.exception("gRPC ModelStreamInfer failed")
        raise BackendError(INTERNAL_ERROR) from None


def _failure(message: RequestMessage, error: InferdError) -> StreamReply:
    """Report an error; one of the execution also names the model, as in Triton."""
    failed = InferResponse("", "", (), id=message.id)
    if isinstance(error, BackendError):
        failed.model_name, failed.model_version = message.model_name, message.model_version
        failed.parameters = FINAL_RESPONSE
    return StreamReply(failed, error.message)


def _raise_end(reader: "asyncio.Task[None]") -> None:
    """Raise what ended the reading, if it was not the client."""
    if reader.cancelled():
        raise GRPCError(Status.UNAVAILABLE, SHUTTING_DOWN)
    error = reader.exception()
    if error is not None:
        raise error

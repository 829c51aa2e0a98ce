"""
``ModelStreamInfer``: many requests on one stream, executed together.

Two things run for a stream. One reads requests and starts each as a task; the other
awaits the tasks in the order they were started and writes their answers. A request to a
decoupled model has a task that writes its responses itself, as they are made. A slot per
request in flight connects them: when none is free, reading stops, and with it the
client, by flow control.
Source: section "ModelStreamInfer" of Triton's gRPC frontend.
"""

import asyncio
import logging
import time
from typing import Any, Final, Protocol

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from h2.exceptions import ProtocolError

from inferd.errors import BackendError, InferdError, RequestCancelled
from inferd.frontends.grpc.call import Call
from inferd.frontends.grpc.codec import StreamReply
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.errors import INTERNAL_ERROR, SHUTTING_DOWN
from inferd.listening.byte_ledger import Claim
from inferd.protocol.infer_codec import CHOSEN
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.infer_response_protobuf import FINAL_RESPONSE, NOT_FINAL_RESPONSE
from inferd.protocol.infer_rules import wants_empty_final_response
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.replies import Reply, ReplySource

log = logging.getLogger(__name__)

MAX_IN_FLIGHT: Final = 256
"""Requests of one stream that may be read and not yet answered."""

Started = tuple[RequestMessage, "asyncio.Task[InferResponse]"]


class Answers(Protocol):
    """What a stream needs of the data plane."""

    def is_decoupled(self, name: str, version: str) -> bool:
        """Whether a model's requests have any number of responses."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request."""

    def stream(self, request: InferRequest) -> ReplySource:
        """Answer a request reply by reply."""


class InferStream:
    """
    One stream.

    Args:
        call: The call.
        answers: Answers the requests.
        drain: Whether the server is shutting down; then the stream reads no further.
    """

    def __init__(self, call: Call, answers: Answers, drain: Drain) -> None:
        self._call = call
        self._answers = answers
        self._drain = drain
        self._ends_on_error = call.metadata.get("triton_grpc_error") == "true"
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._started: asyncio.Queue[Started | None] = asyncio.Queue()
        self._unanswered: set[asyncio.Task[InferResponse]] = set()
        self._streaming: set[asyncio.Task[None]] = set()
        self._large: set[asyncio.Task[Any]] = set()
        self._sending = asyncio.Lock()
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
            unfinished = [reader, *self._unanswered, *self._streaming]
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
            claim = self._call.claim()
            if self._is_decoupled(message):
                task: asyncio.Task[Any] = self._start_streaming(message, time.monotonic_ns())
            else:
                task = self._start(message, time.monotonic_ns())
            if claim is not None:
                await self._hold(task, claim)

    async def _hold(self, task: "asyncio.Task[Any]", claim: Claim) -> None:
        """Count a large request until it is answered, and read on when there is room."""
        task.add_done_callback(claim.release)
        self._large.add(task)
        task.add_done_callback(self._large.discard)
        while claim.is_tight and self._large:
            await asyncio.wait(self._large, return_when=asyncio.FIRST_COMPLETED)

    def _is_decoupled(self, message: RequestMessage) -> bool:
        try:
            return self._answers.is_decoupled(message.model_name, message.model_version)
        except InferdError:
            # The answer to the request says so, in its turn.
            return False

    def _start(self, message: RequestMessage, received_ns: int) -> "asyncio.Task[InferResponse]":
        task = asyncio.create_task(self._answer(message, received_ns))
        self._unanswered.add(task)
        if self._ends_on_error:
            task.add_done_callback(self._note_error)
        self._started.put_nowait((message, task))
        return task

    def _start_streaming(self, message: RequestMessage, received_ns: int) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._stream(message, received_ns))
        self._streaming.add(task)
        task.add_done_callback(self._end_streaming)
        return task

    async def _answer(self, message: RequestMessage, received_ns: int) -> InferResponse:
        request = CHOSEN.to_request(message)
        request.received_ns = received_ns
        request.deadline_ns = self._call.deadline_ns
        return await self._answers.infer(request)

    async def _stream(self, message: RequestMessage, received_ns: int) -> None:
        """Write the responses to one request as they are made."""
        try:
            request = CHOSEN.to_request(message)
            request.received_ns = received_ns
            request.deadline_ns = self._call.deadline_ns
            replies = self._answers.stream(request)
            try:
                await self._pass_on(message, replies)
            finally:
                replies.close()
        except InferdError as error:
            if self._ends_on_error:
                raise
            await self._send(_failure(message, error))
        except (GRPCError, ProtocolError):
            # The latter: the client has reset the stream; whoever runs the call knows.
            raise
        except Exception:
            log.exception("gRPC ModelStreamInfer failed")
            await self._send(_failure(message, BackendError(INTERNAL_ERROR)))

    async def _pass_on(self, message: RequestMessage, replies: ReplySource) -> None:
        final = False
        while not final:
            reply = await replies.receive()
            final = reply.final
            if isinstance(reply.answer, InferdError) and self._ends_on_error:
                raise reply.answer
            shown = _shown(message, reply)
            if shown is not None:
                await self._send(shown)

    async def _send(self, reply: StreamReply) -> None:
        """Write one message; those of several requests come whole, one after the other."""
        async with self._sending:
            await self._call.send_message(reply)

    def _end_streaming(self, task: "asyncio.Task[None]") -> None:
        self._streaming.discard(task)
        self._slots.release()
        self._note_error(task)

    def _note_error(self, task: "asyncio.Task[InferResponse] | asyncio.Task[None]") -> None:
        """Keep the first error, and have the writer meet it now by cancelling what is before it."""
        if task.cancelled() or task.exception() is None or self._first_error is not None:
            return
        self._first_error = task.exception()
        for other in (*self._unanswered, *self._streaming):
            other.cancel()
        self._started.put_nowait(None)

    async def _write(self) -> None:
        """Write the answers in the order of the requests, and wait for what streams."""
        while (started := await self._started.get()) is not None:
            message, task = started
            try:
                await self._send(StreamReply(await _result(task)))
            except InferdError as error:
                if self._ends_on_error:
                    raise self._first_error or error from None
                await self._send(_failure(message, error))
            self._unanswered.discard(task)
            self._slots.release()
        while self._streaming:
            await asyncio.wait(self._streaming)
        if self._first_error is not None:
            raise self._first_error


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


def _shown(message: RequestMessage, reply: Reply) -> StreamReply | None:
    """
    Return what the client is told of a decoupled model's reply.

    The mere end is only told to clients that ask for it, named as their request named the
    model.
    """
    if isinstance(reply.answer, InferResponse):
        return StreamReply(reply.answer, final=reply.final)
    if reply.answer is not None:
        return _failure(message, reply.answer, final=reply.final)
    if not wants_empty_final_response(message):
        return None
    return StreamReply(InferResponse(message.model_name, message.model_version, (), id=message.id))


def _failure(message: RequestMessage, error: InferdError, *, final: bool = True) -> StreamReply:
    """Report an error; one of the execution also names the model, as in Triton."""
    failed = InferResponse("", "", (), id=message.id)
    if isinstance(error, BackendError):
        failed.model_name, failed.model_version = message.model_name, message.model_version
        failed.parameters = FINAL_RESPONSE if final else NOT_FINAL_RESPONSE
    return StreamReply(failed, error.message, final=final)


def _raise_end(reader: "asyncio.Task[None]") -> None:
    """Raise what ended the reading, if it was not the client."""
    if reader.cancelled():
        raise GRPCError(Status.UNAVAILABLE, SHUTTING_DOWN)
    error = reader.exception()
    if error is not None:
        raise error

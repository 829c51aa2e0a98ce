"""
A unary inference that needs no task: it is started when its message is there and is itself
what its answer is handed to.

Saves a task, a future, their steps and two turns of the loop per request; calls with a
deadline, on streams, or to models whose scheduler must be awaited are ordinary calls.
"""

import asyncio
from typing import Protocol

from inferd_kernels.wire._http2 import Stream

from inferd.frontends.grpc.serving import Outcome, failure
from inferd.protocol.messages import InferResponse
from inferd.scheduling.pending import OwnFuture


class Answering(Protocol):
    """What an inference needs of its connection."""

    def answer(self, direct: "Direct", response: InferResponse) -> None:
        """End the call with its answer; may raise what encoding the answer raises."""

    def finish(self, stream: Stream, outcome: Outcome) -> None:
        """End the call with a status."""

    def forget(self, call: "Direct") -> None:
        """The call is over."""


class Direct(OwnFuture):
    """
    One unary inference; the ``AnswerFuture`` of its request.

    Args:
        connection: Its connection.
        stream: Its HTTP/2 stream.

    Attributes:
        stream: Its HTTP/2 stream.
    """

    __slots__ = ("_connection", "_over", "stream")

    def __init__(self, connection: Answering, stream: Stream) -> None:
        self._done = False
        self._started = None
        self.stream = stream
        self._connection = connection
        self._over: asyncio.Future[None] | None = None

    @property
    def task(self) -> "asyncio.Future[None]":
        """What ends when it is answered or given up."""
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
            self._tell()
        return self._over

    def add(self, body: bytes, compressed: bool) -> None:
        """Drop a message: a unary call has one."""

    def end(self) -> None:
        """The client had half-closed before."""

    def refuse_size(self, size: int) -> None:
        """Drop a message: a unary call has one."""

    def refuse_room(self, size: int) -> None:
        """Drop a message: a unary call has one."""

    def take_back(self) -> None:
        """Give the request up; nobody waits for its answer."""
        self._connection.forget(self)
        super().take_back()

    def set_result(self, result: InferResponse, /) -> None:
        """Answer the call."""
        self._done = True
        self._started = None
        try:
            self._connection.answer(self, result)
        except Exception as error:
            self._connection.forget(self)
            self._connection.finish(self.stream, failure(error, self.stream.path))
        if self._over is not None:
            self._tell()

    def set_exception(self, exception: BaseException, /) -> None:
        """End the call with what went wrong."""
        self._done = True
        self._started = None
        self._connection.forget(self)
        self._connection.finish(self.stream, failure(exception, self.stream.path))
        self._tell()

    def cancel(self) -> None:
        """Note that nobody waits any more; the call is ended by whoever gave it up."""
        super().cancel()
        self._tell()

    def _tell(self) -> None:
        if self._done and self._over is not None and not self._over.done():
            self._over.set_result(None)

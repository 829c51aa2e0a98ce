"""
A unary inference that needs no task: it is started when its message is there and answered
by the callback of its future.

Saves a task, its steps and a turn of the loop per request; calls with a deadline, on
streams, or to models whose scheduler must be awaited are ordinary calls.
"""

import asyncio
from typing import Protocol

from inferd_kernels.wire._http2 import Stream

from inferd.frontends.grpc.serving import Outcome, failure
from inferd.frontends.grpc.starting import Started
from inferd.protocol.messages import InferResponse


class Answering(Protocol):
    """What an inference needs of its connection."""

    def answer(self, direct: "Direct", response: InferResponse) -> None:
        """End the call with its answer."""

    def finish(self, stream: Stream, outcome: Outcome) -> None:
        """End the call with a status."""

    def forget(self, call: "Direct") -> None:
        """The call is over."""


class Direct:
    """
    One unary inference.

    Args:
        connection: Its connection.
        stream: Its HTTP/2 stream.
        started: The inference.

    Attributes:
        stream: Its HTTP/2 stream.
        task: What ends when it is answered.
    """

    __slots__ = ("_connection", "_pending", "_queue", "stream", "task")

    def __init__(self, connection: Answering, stream: Stream, started: Started) -> None:
        self.stream = stream
        self._queue, self._pending = started
        self.task = self._pending.future
        self._connection = connection
        self.task.add_done_callback(self._on_answer)

    def add(self, body: bytes, compressed: bool) -> None:
        """Drop a message: a unary call has one."""

    def end(self) -> None:
        """The client had half-closed before."""

    def refuse_size(self, size: int) -> None:
        """Drop a message: a unary call has one."""

    def take_back(self) -> None:
        """Give the request up; nobody waits for its answer."""
        self._connection.forget(self)
        self.task.remove_done_callback(self._on_answer)
        self._queue.take_back(self._pending)

    def _on_answer(self, future: "asyncio.Future[InferResponse]") -> None:
        self._connection.forget(self)
        try:
            self._connection.answer(self, future.result())
        except (Exception, asyncio.CancelledError) as error:
            self._connection.finish(self.stream, failure(error, self.stream.path))

"""
The requests of a decoupled model that are not over: their streams, and how each one ends.

Whatever ends a request first, its future is settled once, as for any other request; the
client's stream tells the same.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from inferd.errors import InferdError, RequestCancelled
from inferd.protocol.messages import InferResponse
from inferd.scheduling.decoupled import Respond, Sender
from inferd.scheduling.execution import Execution
from inferd.scheduling.replies import Reply, ReplyStream, Timed
from inferd.scheduling.settlement import Waiting, settle
from inferd.scheduling.statistics import ModelStatistics, ResponseKind
from inferd.scheduling.threads import Completions


class StreamWaiting(Waiting, Protocol):
    """A request whose replies are taken from a stream."""

    stream: ReplyStream | None


W = TypeVar("W", bound=StreamWaiting)


class OpenStreams:
    """
    The executing requests of one decoupled model version, by their streams.

    Args:
        statistics: Where replies and outcomes are counted.
        on_end: Called when a request is over.
    """

    __slots__ = ("_count", "_on_end", "_statistics")

    def __init__(self, statistics: ModelStatistics, on_end: Callable[[], None]) -> None:
        self._statistics = statistics
        self._on_end = on_end
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def open(
        self, waiting: W, future: "asyncio.Future[InferResponse]", cancel: Callable[[W], None]
    ) -> ReplyStream:
        """
        Return the stream of a request that was queued.

        Args:
            waiting: The request.
            future: Its future.
            cancel: Takes it back if it is still queued.
        """
        stream = ReplyStream(waiting.request)
        stream.call_on_close(partial(_take_back, waiting, cancel))
        future.add_done_callback(partial(_tell, stream))
        return stream

    def sender(self, waiting: StreamWaiting, respond: Respond, completions: Completions) -> Sender:
        """Return what the backend answers with; the request counts until it is over."""
        assert waiting.stream is not None
        self._count += 1
        waiting.stream.call_on_reply(partial(self._on_reply, waiting, _Counts()))
        return Sender(waiting.stream, respond, completions)

    def _on_reply(self, waiting: StreamWaiting, counts: "_Counts", timed: Timed) -> None:
        answer, final = timed.reply
        self._statistics.record_response(
            counts.replies,
            timed.infer_ns,
            timed.output_ns,
            _kind(answer, cancelled=waiting.future.done()),
        )
        counts.replies += 1
        if isinstance(answer, InferdError):
            counts.error = answer
        if final:
            self._count -= 1
            settle(self._statistics, waiting, counts.error or _OVER, _execution(waiting))
            self._on_end()


class _Counts:
    """What a request was told so far: how many replies, and the last error among them."""

    __slots__ = ("error", "replies")

    def __init__(self) -> None:
        self.error: InferdError | None = None
        self.replies = 0


_OVER = InferResponse("", "", ())
"""What the future of a request gets whose replies went to a stream."""


def _kind(answer: InferResponse | InferdError | None, *, cancelled: bool) -> ResponseKind:
    if cancelled:
        return "cancel"
    if answer is None:
        return "empty_response"
    return "fail" if isinstance(answer, InferdError) else "success"


def _execution(waiting: StreamWaiting) -> Execution:
    """Return how long a request took that has just ended."""
    stream = waiting.stream
    assert stream is not None
    execution = Execution(stream.start_ns)
    execution.gathered_ns = stream.gathered_ns
    execution.executed_ns = execution.end_ns = time.monotonic_ns()
    return execution


def _take_back(waiting: W, cancel: Callable[[W], None]) -> None:
    """Forget about a request whose client is gone."""
    waiting.future.cancel()
    cancel(waiting)


def _tell(stream: ReplyStream, future: "asyncio.Future[InferResponse]") -> None:
    """Tell the client of an error that met its request before the backend did."""
    if future.cancelled():
        stream.put(Reply(RequestCancelled("Request cancelled"), final=True))
        return
    error = future.exception()
    if isinstance(error, InferdError):
        stream.put(Reply(error, final=True))

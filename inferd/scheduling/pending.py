"""A request between its arrival at a scheduler and its answer."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.replies import ReplyStream


class AnswerFuture(Protocol):
    """
    What gets a request's one outcome; has what schedulers use of ``asyncio.Future``.

    A frontend may hand in one of its own, which acts on the outcome at once: a real future
    calls back in the loop's next turn. It must not raise.
    """

    def done(self) -> bool:
        """Whether it has its outcome, or nobody waits for one."""

    def set_result(self, result: InferResponse, /) -> object:
        """Take the answer."""

    def set_exception(self, exception: BaseException, /) -> object:
        """Take what went wrong."""

    def cancel(self) -> object:
        """Note that nobody waits any more."""


class Pending:
    """A request on its way through the scheduler, and the future of its answer."""

    __slots__ = ("enqueued_ns", "future", "request", "rows", "shape_key", "stream")

    def __init__(
        self,
        request: InferRequest,
        shape_key: Hashable,
        enqueued_ns: int,
        future: AnswerFuture,
    ) -> None:
        self.request = request
        self.rows = request.batch_size
        self.shape_key = shape_key
        self.enqueued_ns = enqueued_ns
        self.future = future
        self.stream: ReplyStream | None = None

    @property
    def priority(self) -> int:
        """The request's priority level; 0 is the model's default."""
        return self.request.priority

    @property
    def timeout_us(self) -> int:
        """The request's own queue timeout in microseconds; 0 is none."""
        return self.request.timeout_us

    @property
    def deadline_ns(self) -> int:
        """When the client no longer waits for the answer, monotonic; 0 is never."""
        return self.request.deadline_ns


class Queue(Protocol):
    """Where a request was queued."""

    def end_turn(self) -> None:
        """Execute what this turn of the loop has queued; nothing more will come in it."""

    def take_back(self, pending: Pending) -> None:
        """Give a request up; what is still queued is never executed."""


Started = tuple[Queue, Pending]
"""Where a request was queued, and the request."""


class OwnFuture:
    """
    What a frontend's own ``AnswerFuture`` knows; it adds what it does with the outcome.

    Needs no loop, and calls nobody back: the outcome is acted on when it comes. One is made
    per request, so it has no ``__init__`` to be called: whoever derives from it sets
    ``_done`` to false and ``_started`` to none, and the other way round with the outcome.
    The queue's entry refers to it; with ``_started`` neither would be freed without the collector.
    """

    __slots__ = ("_done", "_started")

    _done: bool
    _started: Started | None

    def queued(self, started: Started) -> None:
        """Note where its request was queued."""
        self._started = started

    def take_back(self) -> None:
        """Give the request up; nobody waits for its answer."""
        if self._started is not None:
            queue, pending = self._started
            queue.take_back(pending)

    def done(self) -> bool:
        """Whether it has its outcome, or nobody waits for one."""
        return self._done

    def cancel(self) -> None:
        """Note that nobody waits any more."""
        self._done = True
        self._started = None


def total_rows(batch: Sequence[Pending]) -> int:
    """Return the rows of a batch."""
    return sum([pending.rows or 1 for pending in batch])

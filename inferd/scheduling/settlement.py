"""
How a request ends: its future gets the one outcome it has, and the statistics count it.

Shared by every scheduler, so that a failure is counted under the same reason whoever
met it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from inferd.errors import BackendError, DeadlineExceeded, InferdError, QueueFull, QueueTimeout
from inferd.protocol.messages import InferRequest
from inferd.scheduling.execution import Answer, Execution
from inferd.scheduling.pending import AnswerFuture
from inferd.scheduling.statistics import ModelStatistics

_EARLY_NS: Final = 2_000_000
"""Event loops' timers may be early by so much: uvloop's count whole milliseconds."""

TOO_LATE: Final = "Request deadline exceeded before it could be answered"
"""What a request is answered that was not executed because of its deadline."""


class Waiting(Protocol):
    """A request somebody waits for."""

    request: InferRequest
    enqueued_ns: int
    """When it was queued, monotonic."""

    @property
    def future(self) -> AnswerFuture:
        """What gets its answer."""


def settle(statistics: ModelStatistics, waiting: Waiting, answer: Answer, done: Execution) -> None:
    """Give a request its answer and count it; a client that is gone is counted as cancelled."""
    future = waiting.future
    if future.done():
        late = isinstance(answer, DeadlineExceeded)
        record_failure(statistics, waiting, "REJECTED" if late else "CANCELED", done.end_ns)
    elif isinstance(answer, InferdError):
        record_failure(statistics, waiting, failure_reason(answer), done.end_ns)
        future.set_exception(answer)
    else:
        statistics.record_success(
            done.end_ns - (waiting.request.received_ns or waiting.enqueued_ns),
            done.start_ns - waiting.enqueued_ns,
            done.gathered_ns - done.start_ns,
            done.executed_ns - done.gathered_ns,
            done.end_ns - done.executed_ns,
        )
        future.set_result(answer)


def settle_batch(statistics: ModelStatistics, batch: Sequence[Waiting], done: Execution) -> None:
    """Give the requests of an execution their answers, as :meth:`settle` does one by one."""
    start_ns, end_ns = done.start_ns, done.end_ns
    count = total_ns = queue_ns = 0
    for waiting, answer in zip(batch, done.answers, strict=True):
        future = waiting.future
        if isinstance(answer, InferdError) or future.done():
            settle(statistics, waiting, answer, done)
            continue
        enqueued_ns = waiting.enqueued_ns
        took_ns = end_ns - (waiting.request.received_ns or enqueued_ns)
        waited_ns = start_ns - enqueued_ns
        count += 1
        total_ns += took_ns
        queue_ns += waited_ns
        statistics.request_us += took_ns // 1000
        statistics.queue_us += waited_ns // 1000
        future.set_result(answer)
    if count:
        parts_ns = (
            done.gathered_ns - start_ns,
            done.executed_ns - done.gathered_ns,
            end_ns - done.executed_ns,
        )
        statistics.record_successes(count, total_ns, queue_ns, parts_ns)


def record_failure(statistics: ModelStatistics, waiting: Waiting, reason: str, end_ns: int) -> None:
    """Count a failed request; its time runs from its arrival."""
    started_ns = waiting.request.received_ns or waiting.enqueued_ns
    statistics.record_failure(reason, end_ns - started_ns)


def record_cancelled(statistics: ModelStatistics, waiting: Waiting, end_ns: int) -> None:
    """Count a request that was taken back before it executed, at its deadline as rejected."""
    # A frontend whose timer was faster than the queue's has taken it back.
    rejected = 0 < waiting.request.deadline_ns <= end_ns + _EARLY_NS
    record_failure(statistics, waiting, "REJECTED" if rejected else "CANCELED", end_ns)


def failure_reason(error: BaseException) -> str:
    """Return under which of the failure counter's reasons an error is counted."""
    if isinstance(error, asyncio.CancelledError):
        return "CANCELED"
    if isinstance(error, QueueFull | QueueTimeout):
        return "REJECTED"
    return "BACKEND" if isinstance(error, BackendError) else "OTHER"

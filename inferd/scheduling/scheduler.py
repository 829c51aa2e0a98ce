"""
The asyncio shell of one model version: it owns the clock, the futures and the instances.

What to execute is the batcher's decision; this module only acts on it. Requests that
arrive in one turn of the event loop reach the batcher together: the first of a turn
schedules one pump for its end.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Final

from inferd.backend import Instance
from inferd.errors import QueueFull, QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.batcher import Batcher, CloseReason, Dispatch, WaitUntil
from inferd.scheduling.execution import Answer, Execution, execute
from inferd.scheduling.history import BatchHistory, count_failed
from inferd.scheduling.instances import InstancePool, Seat
from inferd.scheduling.ordering import ArrivalOrder
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.settlement import record_failure, settle
from inferd.scheduling.snapshot import InstanceState, SchedulerSnapshot
from inferd.scheduling.statistics import ModelStatistics

INLINE_BUDGET_NS: Final = 1_000_000
"""Inline executions yield to the event loop after this long, however long the queue is."""


class Pending:
    """A request on its way through the scheduler, and the future of its answer."""

    __slots__ = ("enqueued_ns", "future", "request", "rows", "shape_key")

    def __init__(
        self,
        request: InferRequest,
        shape_key: Hashable,
        enqueued_ns: int,
        future: "asyncio.Future[InferResponse]",
    ) -> None:
        self.request = request
        self.rows = request.batch_size
        self.shape_key = shape_key
        self.enqueued_ns = enqueued_ns
        self.future = future

    @property
    def priority(self) -> int:
        """The request's priority level; 0 is the model's default."""
        return self.request.priority

    @property
    def timeout_us(self) -> int:
        """The request's own queue timeout in microseconds; 0 is none."""
        return self.request.timeout_us


class Scheduler:
    """
    Queues, batches and executes the requests of one model version.

    Args:
        policy: How requests may be put together.
        assembler: Gathers and scatters the version's tensors.
        instances: The version's instances; closed by :meth:`close`.
        statistics: Where executions and outcomes are counted.
        name: Name prefix of the instances' threads.
    """

    def __init__(
        self,
        policy: BatchPolicy,
        assembler: Assembler,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._batcher: Batcher[Pending] = Batcher(policy)
        self._times_out = policy.priorities.has_timeouts
        self._order: ArrivalOrder[Pending, tuple[Answer, Execution]] | None = (
            ArrivalOrder() if policy.preserves_order else None
        )
        self._assembler = assembler
        self._statistics = statistics
        self._pool = InstancePool(instances, name=name)
        self._history = BatchHistory(statistics.batch_closes)
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._accepting = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing."""
        return len(self._batcher) + self._pool.busy

    @property
    def runs_inline(self) -> bool:
        """Whether the model is fast enough to run on the event loop."""
        return self._pool.inline.inline

    def snapshot(self) -> SchedulerSnapshot:
        """Return what waits, what executes and what was executed."""
        now_ns = time.monotonic_ns()
        return SchedulerSnapshot(
            self.inflight,
            levels=self._batcher.levels(now_ns),
            instances=[InstanceState(seat.busy) for seat in self._pool.seats],
            inline=self.runs_inline,
            batches=self._history.snapshot(now_ns, time.time_ns()),
        )

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer a checked request.

        Cancelling the caller takes a queued request back; one that is executing runs to
        its end and its answer is dropped.

        Raises:
            ShuttingDown: The scheduler no longer accepts requests.
            QueueFull: As many requests of its priority wait as the config allows.
            QueueTimeout: It waited for as long as the config allows.
            InferdError: Whatever the execution came to.
        """
        pending = self.submit(request)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._cancel(pending)
            raise

    def submit(self, request: InferRequest) -> Pending:
        """Queue a checked request; its future gets the answer. Raises as :meth:`infer` does."""
        if not self._accepting:
            raise ShuttingDown(
                "Server is stopping, scheduler for model has stopped accepting new inference "
                "requests"
            )
        pending = Pending(
            request,
            self._assembler.shape_key(request),
            time.monotonic_ns(),
            self._loop.create_future(),
        )
        if self._batcher.add(pending) is not None:
            self._add_to_full(pending)
        self._statistics.pending += 1
        self._idle.clear()
        if self._order is not None:
            self._order.add(pending)
        if self._pool.has_free or self._times_out:
            self._pump_soon()
        return pending

    def _add_to_full(self, pending: Pending) -> None:
        """Queue a request after all once what can leave the queue has left, or refuse it."""
        self._pump()
        if self._batcher.add(pending) is not None:
            record_failure(self._statistics, pending, "REJECTED", time.monotonic_ns())
            raise QueueFull("Exceeds maximum queue size")

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        self._accepting = False
        await self._idle.wait()

    async def close(self) -> None:
        """Drain, then free the instances; they are closed on a thread, since that may block."""
        await self.drain()
        if self._timer is not None:
            self._stop_timer()
        await self._pool.close()

    def _cancel(self, pending: Pending) -> None:
        if not self._batcher.discard(pending):
            return
        self._statistics.pending -= 1
        record_failure(self._statistics, pending, "CANCELED", time.monotonic_ns())
        if self._order is not None:
            self._settle_all(self._order.drop(pending))
        self._note_idle()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._timer is not None:
            self._stop_timer()
        now_ns = time.monotonic_ns()
        yield_ns = now_ns + INLINE_BUDGET_NS
        if self._times_out:
            self._reject_expired(now_ns)
        while (seat := self._pool.take()) is not None:
            decision = self._batcher.decide(now_ns)
            if isinstance(decision, Dispatch):
                self._start(seat, decision.entries, decision.reason)
                now_ns = time.monotonic_ns()
                if self._times_out:
                    self._reject_expired(now_ns)
                if now_ns < yield_ns:
                    continue
                self._pump_soon()
                return
            self._pool.give_back(seat)
            if isinstance(decision, WaitUntil):
                self._start_timer(decision.at_ns, now_ns)
            return
        timeout_ns = self._batcher.next_timeout_ns()
        if timeout_ns is not None:
            self._start_timer(timeout_ns, now_ns)

    def _start_timer(self, at_ns: int, now_ns: int) -> None:
        self._timer = self._loop.call_later((at_ns - now_ns) / 1e9, self._pump)

    def _stop_timer(self) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None

    def _reject_expired(self, now_ns: int) -> None:
        expired = self._batcher.expire(now_ns)
        if not expired:
            return
        self._statistics.pending -= len(expired)
        for pending in expired:
            self._conclude(pending, QueueTimeout("Request timeout expired"), Execution(now_ns))
        self._note_idle()

    def _start(self, seat: Seat, batch: list[Pending], reason: CloseReason) -> None:
        statistics = self._statistics
        statistics.pending -= len(batch)
        statistics.last_inference_ms = time.time_ns() // 1_000_000
        requests = [pending.request for pending in batch]
        if self._pool.inline.inline:
            self._finish(seat, batch, reason, execute(seat.instance, self._assembler, requests))
            return
        self._history.begin(seat.index, reason, _rows(batch), len(batch), time.monotonic_ns())
        seat.thread.run(
            partial(execute, seat.instance, self._assembler, requests),
            partial(self._finish_and_pump, seat, batch, reason),
        )

    def _finish_and_pump(
        self, seat: Seat, batch: list[Pending], reason: CloseReason, done: Execution
    ) -> None:
        self._finish(seat, batch, reason, done)
        if len(self._batcher):
            self._pump()

    def _finish(
        self, seat: Seat, batch: list[Pending], reason: CloseReason, done: Execution
    ) -> None:
        self._pool.give_back(seat)
        infer_ns = done.executed_ns - done.gathered_ns
        self._pool.inline.observe(infer_ns)
        if done.size:
            self._statistics.record_execution(
                done.size,
                done.gathered_ns - done.start_ns,
                infer_ns,
                done.end_ns - done.executed_ns,
            )
        size, failed = done.size or _rows(batch), count_failed(done.answers)
        self._history.end(seat.index, reason, size, batch, failed, done)
        for pending, answer in zip(batch, done.answers, strict=True):
            self._conclude(pending, answer, done)
        self._note_idle()

    def _conclude(self, pending: Pending, answer: Answer, done: Execution) -> None:
        """Settle a request, in its turn where the order is preserved."""
        if self._order is None:
            settle(self._statistics, pending, answer, done)
        else:
            self._settle_all(self._order.answer(pending, (answer, done)))

    def _settle_all(self, released: list[tuple[Pending, tuple[Answer, Execution]]]) -> None:
        for pending, (answer, done) in released:
            settle(self._statistics, pending, answer, done)

    def _note_idle(self) -> None:
        if not self._pool.busy and not len(self._batcher):
            self._idle.set()


def _rows(batch: Sequence[Pending]) -> int:
    return sum([pending.rows or 1 for pending in batch])

"""
The asyncio shell of one model version: it owns the clock, the futures and the instances.

What to execute is the batcher's decision; this module only acts on it. Requests that
arrive in one turn of the event loop reach the batcher together: the first of a turn
schedules one pump for its end.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from inferd.backend import Instance
from inferd.errors import DeadlineExceeded, InferdError, QueueFull, QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling import settlement
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.batcher import Batcher, CloseReason, Dispatch, WaitUntil
from inferd.scheduling.decoupled import Sender, execute_decoupled
from inferd.scheduling.estimate import ExecutionEstimate
from inferd.scheduling.execution import Answer, Execution, execute
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.instances import Seat
from inferd.scheduling.limited_instances import Permits, make_pool
from inferd.scheduling.ordering import ArrivalOrder
from inferd.scheduling.pending import AnswerFuture, Pending, total_rows
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.replies import ReplyStream
from inferd.scheduling.rescheduling import refuse_rescheduled
from inferd.scheduling.snapshot import InstanceState, SchedulerSnapshot
from inferd.scheduling.statistics import ModelStatistics
from inferd.scheduling.streams import OpenStreams

INLINE_BUDGET_NS: Final = 1_000_000
"""Inline executions yield to the event loop after this long, however long the queue is."""


class Scheduler:
    """
    Queues, batches and executes the requests of one model version.

    Args:
        policy: How requests may be put together.
        assembler: Gathers and scatters the version's tensors.
        instances: The version's instances; closed by :meth:`close`.
        statistics: Where executions and outcomes are counted.
        name: Name prefix of the instances' threads.
        decoupled: Whether requests have any number of responses; they come by
            :meth:`stream` then, and not by :meth:`infer`. The streams of two requests are
            in no order, whatever the policy says.
        permits: What the instances need of the server's resources, if anything.
        inline: Decides whether executions run on the event loop; by their time if not given.
        strict_deadlines: Whether a queue timeout is reported as a deadline exceeded.
    """

    def __init__(
        self,
        policy: BatchPolicy,
        assembler: Assembler,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
        decoupled: bool = False,
        permits: Permits | None = None,
        inline: InlinePolicy | None = None,
        strict_deadlines: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._batcher: Batcher[Pending] = Batcher(policy)
        self._times_out = policy.priorities.has_timeouts
        self._timeout_error = DeadlineExceeded if strict_deadlines else QueueTimeout
        # Made when the first request with a deadline comes.
        self._estimate: ExecutionEstimate | None = None
        # Streams are told as they come: one that never ends would hold back all behind it.
        self._order: ArrivalOrder[Pending, tuple[Answer, Execution]] | None = (
            ArrivalOrder() if policy.preserves_order and not decoupled else None
        )
        self._assembler = assembler
        self._is_uniform = assembler.is_uniform
        self._statistics = statistics
        self._pool = make_pool(
            instances, statistics, name=name, permits=permits, wake=self._pump, inline=inline
        )
        self._streams = OpenStreams(statistics, self._note_idle) if decoupled else None
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._accepting = True
        self._idle = asyncio.Event()

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing; plus streams of replies, when decoupled."""
        streams = 0 if self._streams is None else len(self._streams)
        return len(self._batcher) + self._pool.busy + streams

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
            batches=self._pool.history.snapshot(now_ns, time.time_ns()),
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
            DeadlineExceeded: It could not be answered before its deadline.
            InferdError: Whatever the execution came to.
        """
        future: asyncio.Future[InferResponse] = self._loop.create_future()
        pending = self.submit(request, future)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(pending)
            raise

    def stream(self, request: InferRequest) -> ReplyStream:
        """
        Answer a checked request of a decoupled model with replies as they are made.

        Closing the stream takes a queued request back; one that is executing is told that
        nobody waits any more. Errors that :meth:`infer` raises are replies here.

        Raises:
            ShuttingDown: The scheduler no longer accepts requests.
            QueueFull: As many requests of its priority wait as the config allows.
        """
        assert self._streams is not None
        future: asyncio.Future[InferResponse] = self._loop.create_future()
        pending = self.submit(request, future)
        pending.stream = self._streams.open(pending, future, self._cancel)
        return pending.stream

    def submit(self, request: InferRequest, future: AnswerFuture) -> Pending:
        """
        Queue a checked request, and raise as :meth:`infer` does.

        Its future gets the answer, not before this has returned.
        """
        if not self._accepting:
            raise ShuttingDown(
                "Server is stopping, scheduler for model has stopped accepting new inference "
                "requests"
            )
        if request.deadline_ns and self._estimate is None:
            self._heed_deadlines()
        shape_key = None if self._is_uniform else self._assembler.shape_key(request)
        pending = Pending(request, shape_key, time.monotonic_ns(), future)
        if self._batcher.add(pending) is not None:
            self._add_to_full(pending)
        self._statistics.pending += 1
        if self._order is not None:
            self._order.add(pending)
        if not self._pumping and (self._pool.has_free or self._times_out):
            self._pump_soon()
        return pending

    def end_turn(self) -> None:
        """Execute what this turn of the loop has queued; nothing more will come in it."""
        if self._pumping:
            self._pump()

    def take_back(self, pending: Pending) -> None:
        """Give a request up; of one that executes only the answer is dropped."""
        pending.future.cancel()
        self._cancel(pending)

    def _heed_deadlines(self) -> None:
        self._estimate = ExecutionEstimate()
        self._batcher.heed_deadlines()
        self._times_out = True

    def _add_to_full(self, pending: Pending) -> None:
        """Queue a request after all once what can leave the queue has left, or refuse it."""
        self._pump()
        if self._batcher.add(pending) is not None:
            settlement.record_failure(self._statistics, pending, "REJECTED", time.monotonic_ns())
            raise QueueFull("Exceeds maximum queue size")

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        self._accepting = False
        self._note_idle()
        await self._idle.wait()

    async def close(self) -> None:
        """Drain, then free the instances; they are closed on a thread, since that may block."""
        await self.drain()
        if self._timer is not None:
            self._timer.cancel()
        await self._pool.close()

    def _cancel(self, pending: Pending) -> None:
        if not self._batcher.discard(pending):
            return
        self._statistics.pending -= 1
        settlement.record_cancelled(self._statistics, pending, time.monotonic_ns())
        if self._order is not None:
            self._settle_all(self._order.drop(pending))
        self._note_idle()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        now_ns = time.monotonic_ns()
        yield_ns = now_ns + INLINE_BUDGET_NS
        if self._times_out:
            self._reject_expired(now_ns)
        queue = self._batcher.queue
        while queue and (seat := self._pool.take()) is not None:
            estimate = self._estimate
            decision = self._batcher.decide(now_ns, 0 if estimate is None else estimate.ample_ns)
            if isinstance(decision, Dispatch):
                self._start(seat, decision.entries, decision.reason)
                now_ns = time.monotonic_ns()
                if self._times_out:
                    self._reject_expired(now_ns)
                if now_ns < yield_ns:
                    continue
                self._pump_soon()
                return
            self._pool.put_back(seat)
            self._pool.withdraw()
            if isinstance(decision, WaitUntil):
                self._start_timer(decision.at_ns, now_ns)
            return
        if self._pool.waits:
            self._want_nothing_if_empty()
        if self._times_out:
            expiry_ns = self._next_expiry_ns()
            if expiry_ns is not None:
                self._start_timer(expiry_ns, now_ns)

    def _next_expiry_ns(self) -> int | None:
        """Return when :meth:`_reject_expired` has something to do next."""
        timeout_ns, deadline_ns = self._batcher.next_timeout_ns(), self._batcher.next_deadline_ns()
        if deadline_ns is None or self._estimate is None:
            return timeout_ns
        hopeless_ns = deadline_ns - self._estimate.least_ns
        return hopeless_ns if timeout_ns is None else min(timeout_ns, hopeless_ns)

    def _start_timer(self, at_ns: int, now_ns: int) -> None:
        """Pump at ``at_ns`` or before; a timer that is too early costs less than a new one."""
        if self._timer is not None:
            if self._timer_ns <= at_ns:
                return
            self._timer.cancel()
        self._timer_ns = at_ns
        self._timer = self._loop.call_later((at_ns - now_ns) / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _reject_expired(self, now_ns: int) -> None:
        expired = self._batcher.expire(now_ns)
        if expired:
            self._reject(expired, self._timeout_error, "Request timeout expired", now_ns)
        if self._estimate is None:
            return
        overdue = self._batcher.overdue(now_ns + self._estimate.least_ns)
        if overdue:
            if overdue[-1].deadline_ns > now_ns:
                self._estimate.doubt()
            self._reject(overdue, DeadlineExceeded, settlement.TOO_LATE, now_ns)

    def _reject(
        self, rejected: Sequence[Pending], error: type[InferdError], message: str, now_ns: int
    ) -> None:
        self._statistics.pending -= len(rejected)
        for pending in rejected:
            self._conclude(pending, error(message), Execution(now_ns))
        self._note_idle()

    def _start(self, seat: Seat, batch: list[Pending], reason: CloseReason) -> None:
        statistics = self._statistics
        statistics.pending -= len(batch)
        statistics.last_inference_ms = time.time_ns() // 1_000_000
        requests = [pending.request for pending in batch]
        if self._streams is not None:
            self._start_streams(seat, batch, requests, reason)
            return
        if self._pool.inline.inline:
            self._finish(seat, batch, reason, execute(seat.instance, self._assembler, requests))
            return
        self._pool.run(
            seat,
            partial(execute, seat.instance, self._assembler, requests),
            partial(self._finish_and_pump, seat, batch, reason),
            reason,
            size=total_rows(batch),
            requests=len(batch),
        )

    def _start_streams(
        self, seat: Seat, batch: list[Pending], requests: list[InferRequest], reason: CloseReason
    ) -> None:
        """Execute on the thread in any case: a sender may have to wait for its client."""
        assert self._streams is not None
        respond, completions = self._assembler.respond, self._pool.completions
        senders = [self._streams.sender(pending, respond, completions) for pending in batch]
        self._pool.run(
            seat,
            partial(execute_decoupled, seat.instance, self._assembler, requests, senders),
            partial(self._finish_streams, senders, seat, batch, reason),
            reason,
            size=total_rows(batch),
            requests=len(batch),
        )

    def _finish_streams(
        self,
        _senders: Sequence[Sender],
        seat: Seat,
        batch: list[Pending],
        reason: CloseReason,
        done: Execution,
    ) -> None:
        """Finish with the senders alive: one that is dropped tells of nothing but that."""
        self._finish_and_pump(seat, batch, reason, done)

    def _finish_and_pump(
        self, seat: Seat, batch: list[Pending], reason: CloseReason, done: Execution
    ) -> None:
        self._finish(seat, batch, reason, done)
        if self._batcher.queue:
            self._pump()

    def _finish(
        self, seat: Seat, batch: list[Pending], reason: CloseReason, done: Execution
    ) -> None:
        if done.rescheduled:
            refuse_rescheduled(batch, done)
        try:
            self._answer(batch, done)
        finally:  # Afterwards: while clients read their answers, there is time to keep books.
            size = done.size or total_rows(batch)
            self._pool.finish(seat, batch, done, reason, size=size, rows=size, failed=done.failed)
        if self._estimate is not None:
            self._estimate.observe(done.end_ns - done.start_ns)
        self._note_idle()

    def _answer(self, batch: list[Pending], done: Execution) -> None:
        if self._order is not None:
            for pending, answer in zip(batch, done.answers, strict=True):
                self._conclude(pending, answer, done)
        elif self._streams is None:
            settlement.settle_batch(self._statistics, batch, done)

    def _conclude(self, pending: Pending, answer: Answer, done: Execution) -> None:
        """Settle a request, in its turn where the order is preserved."""
        if self._order is None:
            settlement.settle(self._statistics, pending, answer, done)
        else:
            self._settle_all(self._order.answer(pending, (answer, done)))

    def _settle_all(self, released: list[tuple[Pending, tuple[Answer, Execution]]]) -> None:
        for pending, (answer, done) in released:
            settlement.settle(self._statistics, pending, answer, done)

    def _want_nothing_if_empty(self) -> None:
        """Wait for no resources when there is nothing to execute; others may want them."""
        if not self._batcher.queue:
            self._pool.withdraw()

    def _note_idle(self) -> None:
        if self._pool.waits:
            self._want_nothing_if_empty()
        if self._accepting:
            return
        if not self._pool.busy and not self._batcher.queue and not self._streams:
            self._idle.set()

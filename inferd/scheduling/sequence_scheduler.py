"""
The asyncio shell of a sequence model: it owns the clock, the futures and the instances.

Which sequence runs where, and what an instance executes next, is the sequence table's
decision; this module only acts on it.
"""

import asyncio
import logging
import time
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Final

from inferd.backend import Instance
from inferd.errors import QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.batcher import WaitUntil
from inferd.scheduling.execution import Execution, execute
from inferd.scheduling.history import BatchHistory, count_failed
from inferd.scheduling.instances import InstancePool, Seat
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_rows import Execute
from inferd.scheduling.sequences import EXPIRED, SequenceTable
from inferd.scheduling.settlement import record_failure, settle
from inferd.scheduling.snapshot import InstanceState, QueueLevel, SchedulerSnapshot, Sequences
from inferd.scheduling.statistics import ModelStatistics

logger = logging.getLogger(__name__)

INLINE_BUDGET_NS: Final = 1_000_000
"""Inline executions yield to the event loop after this long, however long the queue is."""


class Step:
    """A request of a sequence on its way through the scheduler, and its answer's future."""

    __slots__ = ("discarded", "enqueued_ns", "future", "queued", "request", "shape_key")

    def __init__(
        self,
        request: InferRequest,
        shape_key: Hashable,
        enqueued_ns: int,
        future: "asyncio.Future[InferResponse]",
    ) -> None:
        self.request = request
        self.shape_key = shape_key
        self.enqueued_ns = enqueued_ns
        self.future = future
        self.discarded = False
        self.queued = True


class SequenceScheduler:
    """
    Queues, batches and executes the requests of sequences.

    Args:
        table: The live sequences; it has as many lanes as there are instances.
        assembler: Gathers and scatters the version's tensors, controls and states.
        instances: The version's instances; closed by :meth:`close`.
        statistics: Where executions and outcomes are counted.
        name: The model's name, which the instances' threads have too.
    """

    def __init__(
        self,
        table: SequenceTable[Step],
        assembler: SequenceAssembler,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._table = table
        self._assembler = assembler
        self._statistics = statistics
        self._name = name
        self._pool = InstancePool(instances, name=name)
        self._history = BatchHistory(statistics.batch_closes)
        self._pumping = False
        self._pump_timer: asyncio.TimerHandle | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._accepting = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing."""
        return self._table.queued + self._pool.busy

    @property
    def runs_inline(self) -> bool:
        """Whether the model is fast enough to run on the event loop."""
        return self._pool.inline.inline

    def snapshot(self) -> SchedulerSnapshot:
        """Return what waits, what executes, what was executed, and the live sequences."""
        now_ns, table = time.monotonic_ns(), self._table
        oldest_ns = table.oldest_ns()
        levels = (
            []
            if oldest_ns is None
            else [QueueLevel(1, table.queued, 0, (now_ns - oldest_ns) // 1000)]
        )
        return SchedulerSnapshot(
            self.inflight,
            levels=levels,
            instances=[
                InstanceState(seat.busy, used)
                for seat, used in zip(self._pool.seats, table.lanes_used, strict=True)
            ],
            inline=self.runs_inline,
            batches=self._history.snapshot(now_ns, time.time_ns()),
            sequences=Sequences(len(table), table.backlog),
        )

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer a checked request of a sequence.

        Cancelling the caller takes a queued request back; one that is executing runs to
        its end and its answer is dropped. A sequence whose END is taken back ends.

        Raises:
            InvalidRequest: The request does not fit its sequence.
            ShuttingDown: The scheduler no longer accepts requests.
            QueueTimeout: The sequence waited too long for a place.
            InferdError: Whatever the execution came to.
        """
        step = self.submit(request)
        try:
            return await step.future
        except asyncio.CancelledError:
            self._cancel(step)
            raise

    def submit(self, request: InferRequest) -> Step:
        """Queue a checked request; its future gets the answer. Raises as :meth:`infer` does."""
        if not self._accepting:
            raise ShuttingDown(
                "Server is stopping, scheduler for model has stopped accepting new inference "
                "requests"
            )
        self._assembler.controls.check(request)
        now_ns = time.monotonic_ns()
        self._reject_expired(now_ns)
        shape_key = self._assembler.assembler.shape_key(request)
        step = Step(request, shape_key, now_ns, self._loop.create_future())
        if self._table.admit(step, now_ns):
            logger.warning(
                "sequence %s for model '%s' has a conflict. The previous sequence did not end "
                "before this sequence start. Previous sequence will be terminated early.",
                request.sequence_id,
                self._name,
            )
        self._statistics.pending += 1
        self._idle.clear()
        self._pump_soon()
        if self._expiry_timer is None:
            self._watch_expiry(now_ns)
        return step

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        self._accepting = False
        self._table.stop()
        self._pump_soon()
        await self._idle.wait()

    async def close(self) -> None:
        """Drain, then free the instances; they are closed on a thread, since that may block."""
        await self.drain()
        for timer in (self._pump_timer, self._expiry_timer):
            if timer is not None:
                timer.cancel()
        await self._pool.close()

    def _cancel(self, step: Step) -> None:
        if step.queued and self._table.discard(step):
            step.queued = False
            self._statistics.pending -= 1
            record_failure(self._statistics, step, "CANCELED", time.monotonic_ns())
            self._pump_soon()
            self._note_idle()

    def _watch_expiry(self, now_ns: int) -> None:
        """Have the table looked through when the next sequence may have been idle too long."""
        expires_ns = self._table.expires_ns
        self._expiry_timer = None
        if expires_ns is not None:
            delay_s = (expires_ns - now_ns) / 1e9
            self._expiry_timer = self._loop.call_later(delay_s, self._expire)

    def _expire(self) -> None:
        now_ns = time.monotonic_ns()
        self._reject_expired(now_ns)
        self._watch_expiry(now_ns)
        self._pump_soon()

    def _reject_expired(self, now_ns: int) -> None:
        for step in self._table.expire(now_ns):
            step.queued = False
            self._statistics.pending -= 1
            settle(self._statistics, step, QueueTimeout(EXPIRED), Execution(now_ns))
            self._note_idle()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        now_ns = time.monotonic_ns()
        due_ns = [self._run_lane(seat, now_ns) for seat in self._pool.seats if not seat.busy]
        waits = [at_ns for at_ns in due_ns if at_ns is not None]
        if waits:
            self._pump_timer = self._loop.call_later((min(waits) - now_ns) / 1e9, self._pump)

    def _run_lane(self, seat: Seat, now_ns: int) -> int | None:
        """Execute what a free lane has; return when to look again if it waits for more."""
        yield_ns = now_ns + INLINE_BUDGET_NS
        while self._pool.take(seat) is not None:
            decision = self._table.decide(seat.index, now_ns)
            if not isinstance(decision, Execute):
                self._pool.give_back(seat)
                return decision.at_ns if isinstance(decision, WaitUntil) else None
            self._start(seat, decision)
            now_ns = time.monotonic_ns()
            if now_ns >= yield_ns:
                self._pump_soon()
                return None
        return None

    def _start(self, seat: Seat, decision: Execute[Step]) -> None:
        rows, reason = decision.rows, decision.reason
        ready = sum(row.ready for row in rows)
        for row in rows:
            row.entry.queued = False
        self._statistics.pending -= ready
        self._statistics.last_inference_ms = time.time_ns() // 1_000_000
        bound = self._assembler.bind(rows)
        if self._pool.inline.inline:
            self._finish(seat, decision, execute(seat.instance, bound, bound.requests))
            return
        self._history.begin(seat.index, reason, len(rows), ready, time.monotonic_ns())
        seat.thread.run(
            partial(execute, seat.instance, bound, bound.requests),
            partial(self._finish_and_pump, seat, decision),
        )

    def _finish_and_pump(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        self._finish(seat, decision, done)
        if self._table.queued:
            # Not at once: a client that waits for this answer gets its next request in.
            self._pump_soon()

    def _finish(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        rows = decision.rows
        self._pool.give_back(seat)
        infer_ns = done.executed_ns - done.gathered_ns
        self._pool.inline.observe(infer_ns)
        if done.size:
            self._statistics.record_execution(
                sum(row.ready for row in rows),
                done.gathered_ns - done.start_ns,
                infer_ns,
                done.end_ns - done.executed_ns,
            )
        self._remember(seat, decision, done)
        for row, answer in zip(rows, done.answers, strict=True):
            if row.ready:
                settle(self._statistics, row.entry, answer, done)
        self._table.finish(rows, done.end_ns)
        self._note_idle()

    def _remember(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        """Note what came of a batch; rows that only fill a slot are part of its size."""
        rows = decision.rows
        failed = count_failed(
            answer for row, answer in zip(rows, done.answers, strict=True) if row.ready
        )
        batch = [row.entry for row in rows if row.ready]
        self._history.end(seat.index, decision.reason, len(rows), batch, failed, done)

    def _note_idle(self) -> None:
        if not self.inflight:
            self._idle.set()

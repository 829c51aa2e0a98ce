"""
The asyncio shell of a sequence model: it owns the clock, the futures and the instances.

Which sequence runs where, and what an instance executes next, is the sequence table's
decision; this module only acts on it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from inferd.backend import Instance
from inferd.errors import DeadlineExceeded, InferdError, QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.batcher import WaitUntil
from inferd.scheduling.deadline_watch import DeadlineWatch
from inferd.scheduling.decoupled import NOBODY, ExecutionSender, execute_decoupled
from inferd.scheduling.estimate import ExecutionEstimate
from inferd.scheduling.execution import Execution, execute
from inferd.scheduling.history import count_failed
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.instances import Seat
from inferd.scheduling.limited_instances import Permits, make_pool
from inferd.scheduling.pending import AnswerFuture
from inferd.scheduling.replies import ReplyStream
from inferd.scheduling.rescheduling import end_unfinished, goes_on, refuse_rescheduled
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_rows import Execute, Row
from inferd.scheduling.sequence_step import Step
from inferd.scheduling.sequences import EXPIRED, SequenceTable
from inferd.scheduling.settlement import TOO_LATE, record_cancelled, settle
from inferd.scheduling.snapshot import InstanceState, QueueLevel, SchedulerSnapshot, Sequences
from inferd.scheduling.statistics import ModelStatistics
from inferd.scheduling.streams import OpenStreams

logger = logging.getLogger(__name__)

INLINE_BUDGET_NS: Final = 1_000_000
"""Inline executions yield to the event loop after this long, however long the queue is."""


class SequenceScheduler:
    """
    Queues, batches and executes the requests of sequences.

    Args:
        table: The live sequences; it has as many lanes as there are instances.
        assembler: Gathers and scatters the version's tensors, controls and states.
        instances: The version's instances; closed by :meth:`close`.
        statistics: Where executions and outcomes are counted.
        name: The model's name, which the instances' threads have too.
        decoupled: Whether requests have any number of responses; they come by
            :meth:`stream` then, and not by :meth:`infer`.
        permits: What the instances need of the server's resources, if anything.
        inline: Decides whether executions run on the event loop; by their time if not given.
    """

    def __init__(
        self,
        table: SequenceTable[Step],
        assembler: SequenceAssembler,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
        decoupled: bool = False,
        permits: Permits | None = None,
        inline: InlinePolicy | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._table = table
        self._assembler = assembler
        self._statistics = statistics
        self._name = name
        self._pool = make_pool(
            instances, statistics, name=name, permits=permits, wake=self._pump, inline=inline
        )
        self._streams = OpenStreams(statistics, self._note_idle) if decoupled else None
        self._pumping = False
        self._pump_timer: asyncio.TimerHandle | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        # Made when the first request with a deadline comes.
        self._deadlines: DeadlineWatch[Step] | None = None
        self._estimate = ExecutionEstimate()
        self._accepting = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing; plus streams of replies, when decoupled."""
        streams = 0 if self._streams is None else len(self._streams)
        return self._table.queued + self._pool.busy + streams

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
            batches=self._pool.history.snapshot(now_ns, time.time_ns()),
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
            DeadlineExceeded: The request's deadline passed while it was queued; as when it
                is taken back, the sequence goes on without it.
            InferdError: Whatever the execution came to.
        """
        future: asyncio.Future[InferResponse] = self._loop.create_future()
        step = self.submit(request, future)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(step)
            raise

    def stream(self, request: InferRequest) -> ReplyStream:
        """
        Answer a checked request of a decoupled model with replies as they are made.

        Closing the stream takes a queued request back. Errors that :meth:`infer` raises
        later are replies here; raises the others as it does.
        """
        assert self._streams is not None
        future: asyncio.Future[InferResponse] = self._loop.create_future()
        step = self.submit(request, future)
        step.stream = self._streams.open(step, future, self._cancel)
        return step.stream

    def submit(self, request: InferRequest, future: AnswerFuture) -> Step:
        """
        Queue a checked request.

        Args:
            request: The request.
            future: Gets the answer.

        Raises:
            InferdError: As :meth:`infer` does, of what is known at once.
        """
        if not self._accepting:
            raise ShuttingDown(
                "Server is stopping, scheduler for model has stopped accepting new inference "
                "requests"
            )
        once = self._table.iterative and not request.sequence_id
        if once:
            request.sequence_id = self._assembler.controls.typed_id(self._table.new_id())
            request.sequence_start = True
        self._assembler.controls.check(request)
        now_ns = time.monotonic_ns()
        self._reject_expired(now_ns)
        shape_key = self._assembler.assembler.shape_key(request)
        step = Step(request, shape_key, now_ns, future)
        step.once = once
        if self._table.admit(step, now_ns):
            logger.warning(
                "sequence %s for model '%s' has a conflict. The previous sequence did not end "
                "before this sequence start. Previous sequence will be terminated early.",
                request.sequence_id,
                self._name,
            )
        if request.deadline_ns:
            if self._deadlines is None:
                self._deadlines = DeadlineWatch(self._expire_deadlines)
            self._deadlines.add(step, request.deadline_ns)
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
        if self._deadlines is not None:
            self._deadlines.close()
        await self._pool.close()

    def _cancel(self, step: Step) -> None:
        if step.queued and self._table.discard(step):
            if self._deadlines is not None:
                self._deadlines.remove_all((step,))
            self._drop(step, None, time.monotonic_ns())
            self._pump_soon()

    def _drop(self, step: Step, error: InferdError | None, now_ns: int) -> None:
        """Settle a request that has left the table; ``None`` when its client is gone."""
        step.queued = False
        self._statistics.pending -= 1
        if step.sender is not None:
            # It was executed before; its stream counts it.
            end_unfinished(step, error)
            step.sender = None
        elif error is None:
            record_cancelled(self._statistics, step, now_ns)
        else:
            settle(self._statistics, step, error, Execution(now_ns))
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
            self._drop(step, QueueTimeout(EXPIRED), now_ns)

    def _expire_deadlines(self) -> None:
        assert self._deadlines is not None
        self._reject_overdue(self._deadlines, time.monotonic_ns())
        self._pump_soon()

    def _reject_overdue(self, deadlines: DeadlineWatch[Step], now_ns: int) -> None:
        for step in deadlines.take_due(now_ns):
            if step.queued and self._table.discard(step):
                self._drop(step, DeadlineExceeded(TOO_LATE), now_ns)

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
        if self._deadlines is not None:
            self._reject_overdue(self._deadlines, now_ns)
        due_ns = [self._run_lane(seat, now_ns) for seat in self._pool.seats if not seat.busy]
        waits = [at_ns for at_ns in due_ns if at_ns is not None]
        if waits:
            self._pump_timer = self._loop.call_later((min(waits) - now_ns) / 1e9, self._pump)

    def _run_lane(self, seat: Seat, now_ns: int) -> int | None:
        """Execute what a free lane has; return when to look again if it waits for more."""
        yield_ns = now_ns + INLINE_BUDGET_NS
        while self._table.has_work(seat.index):
            if self._pool.take(seat) is None:
                return None
            decision = self._table.decide(seat.index, now_ns, self._estimate.ample_ns)
            if not isinstance(decision, Execute):
                self._pool.put_back(seat)
                return decision.at_ns if isinstance(decision, WaitUntil) else None
            self._start(seat, decision)
            now_ns = time.monotonic_ns()
            if now_ns >= yield_ns:
                self._pump_soon()
                return None
        if self._pool.waits:
            self._pool.withdraw(seat)
        return None

    def _start(self, seat: Seat, decision: Execute[Step]) -> None:
        rows = decision.rows
        ready = sum(row.ready for row in rows)
        for row in rows:
            row.entry.queued = False
        if self._deadlines is not None:
            self._deadlines.remove_all([row.entry for row in rows])
        self._statistics.pending -= ready
        self._statistics.last_inference_ms = time.time_ns() // 1_000_000
        bound = self._assembler.bind(rows)
        if self._streams is not None:
            senders = [self._sender(row) for row in rows]
            work = partial(execute_decoupled, seat.instance, bound, bound.requests, senders)
        elif self._pool.inline.inline:
            self._finish(seat, decision, execute(seat.instance, bound, bound.requests))
            return
        else:
            work = partial(execute, seat.instance, bound, bound.requests)
        deliver = partial(self._finish_and_pump, seat, decision)
        self._pool.run(seat, work, deliver, decision.reason, size=len(rows), requests=ready)

    def _sender(self, row: Row[Step]) -> ExecutionSender:
        step = row.entry
        if not row.ready:
            return NOBODY
        if step.sender is None:
            assert self._streams is not None
            respond = partial(self._assembler.respond, row.sequence)
            step.sender = self._streams.sender(step, respond, self._pool.completions)
        return step.sender

    def _finish_and_pump(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        self._finish(seat, decision, done)
        if self._table.queued:
            # Not at once: a client that waits for this answer gets its next request in.
            self._pump_soon()

    def _finish(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        rows = decision.rows
        self._give_back(seat, decision, done)
        if self._deadlines is not None:
            self._estimate.observe(done.end_ns - done.start_ns)
        again = self._rescheduled(rows, done) if done.rescheduled else ()
        for index, row in enumerate(rows):
            if not row.ready or index in again:
                continue
            if self._streams is None:
                settle(self._statistics, row.entry, done.answers[index], done)
            else:
                row.entry.sender = None
        self._table.finish(rows, done.end_ns, again)
        self._note_idle()

    def _rescheduled(self, rows: list[Row[Step]], done: Execution) -> set[int]:
        """Return which rows are executed again: not those that failed or whose client is gone."""
        assert done.rescheduled is not None
        # What a backend does with a row that only fills a slot is nobody's.
        done.rescheduled = {index for index in done.rescheduled if rows[index].ready}
        if not self._table.iterative:
            refuse_rescheduled([row.entry for row in rows], done)
            return set()
        again = {one for one in done.rescheduled if goes_on(rows[one].entry, done, one)}
        for index in again:
            self._requeue(rows[index].entry)
        for index in done.rescheduled - again:
            end_unfinished(rows[index].entry)
        self._statistics.pending += len(again)
        return again

    def _requeue(self, step: Step) -> None:
        step.queued = True
        if self._deadlines is not None and step.request.deadline_ns:
            self._deadlines.add(step, step.request.deadline_ns)

    def _give_back(self, seat: Seat, decision: Execute[Step], done: Execution) -> None:
        """Note what came of a batch; rows that only fill a slot are part of its size alone."""
        rows = decision.rows
        batch = [row.entry for row in rows if row.ready]
        if self._streams is not None:
            failed = 0 if done.size else len(batch)
        else:
            failed = count_failed(
                answer for row, answer in zip(rows, done.answers, strict=True) if row.ready
            )
        self._pool.finish(
            seat, batch, done, decision.reason, size=len(rows), rows=len(batch), failed=failed
        )

    def _note_idle(self) -> None:
        if not self.inflight:
            self._idle.set()

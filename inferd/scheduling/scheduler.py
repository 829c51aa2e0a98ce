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
from inferd.errors import BackendError, InferdError, ShuttingDown
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.batcher import Batcher, Dispatch, WaitUntil
from inferd.scheduling.execution import Answer, Execution, execute
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.statistics import ModelStatistics
from inferd.scheduling.threads import Completions, InstanceThread

INLINE_BUDGET_NS: Final = 1_000_000
"""Inline executions yield to the event loop after this long, however long the queue is."""


class Pending:
    """A request on its way through the scheduler, and the future of its answer."""

    __slots__ = ("discarded", "enqueued_ns", "future", "queued", "request", "rows", "shape_key")

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
        self.discarded = False
        self.queued = True


class Worker:
    """An instance and its thread."""

    __slots__ = ("instance", "thread")

    def __init__(self, instance: Instance, thread: InstanceThread[Execution]) -> None:
        self.instance = instance
        self.thread = thread


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
        self._assembler = assembler
        self._statistics = statistics
        self._inline = InlinePolicy()
        self._completions: Completions[Execution] = Completions(self._loop)
        self._workers = [
            Worker(instance, InstanceThread(f"{name}_{index}", self._completions))
            for index, instance in enumerate(instances)
        ]
        self._free = list(reversed(self._workers))
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._accepting = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing."""
        return len(self._batcher) + len(self._workers) - len(self._free)

    @property
    def runs_inline(self) -> bool:
        """Whether the model is fast enough to run on the event loop."""
        return self._inline.inline

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer a checked request.

        Cancelling the caller takes a queued request back; one that is executing runs to
        its end and its answer is dropped.

        Raises:
            ShuttingDown: The scheduler no longer accepts requests.
            InferdError: Whatever the execution came to.
        """
        pending = self.submit(request)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._cancel(pending)
            raise

    def submit(self, request: InferRequest) -> Pending:
        """Queue a checked request; its future gets the answer."""
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
        self._statistics.pending += 1
        self._idle.clear()
        self._batcher.add(pending)
        if self._free:
            self._pump_soon()
        return pending

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        self._accepting = False
        await self._idle.wait()

    async def close(self) -> None:
        """Drain, then free the instances; they are closed on a thread, since that may block."""
        await self.drain()
        for worker in self._workers:
            worker.thread.stop()
        self._completions.close()
        await asyncio.to_thread(self._close_instances)

    def _close_instances(self) -> None:
        for worker in self._workers:
            worker.instance.close()

    def _cancel(self, pending: Pending) -> None:
        if pending.queued and self._batcher.discard(pending):
            pending.queued = False
            self._statistics.pending -= 1
            self._record_failure(pending, "CANCELED", time.monotonic_ns())
            self._note_idle()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns = time.monotonic_ns()
        yield_ns = now_ns + INLINE_BUDGET_NS
        while self._free:
            decision = self._batcher.decide(now_ns)
            if isinstance(decision, Dispatch):
                self._start(self._free.pop(), decision.entries)
                now_ns = time.monotonic_ns()
                if now_ns < yield_ns:
                    continue
                self._pump_soon()
            if isinstance(decision, WaitUntil):
                delay_s = (decision.at_ns - now_ns) / 1e9
                self._timer = self._loop.call_later(delay_s, self._pump)
            break

    def _start(self, worker: Worker, batch: list[Pending]) -> None:
        statistics = self._statistics
        statistics.pending -= len(batch)
        statistics.last_inference_ms = time.time_ns() // 1_000_000
        requests = [pending.request for pending in batch]
        for pending in batch:
            pending.queued = False
        if self._inline.inline:
            self._finish(worker, batch, execute(worker.instance, self._assembler, requests))
            return
        worker.thread.run(
            partial(execute, worker.instance, self._assembler, requests),
            partial(self._finish_and_pump, worker, batch),
        )

    def _finish_and_pump(self, worker: Worker, batch: list[Pending], done: Execution) -> None:
        self._finish(worker, batch, done)
        if len(self._batcher):
            self._pump()

    def _finish(self, worker: Worker, batch: list[Pending], done: Execution) -> None:
        self._free.append(worker)
        infer_ns = done.executed_ns - done.gathered_ns
        self._inline.observe(infer_ns)
        if done.size:
            self._statistics.record_execution(
                done.size,
                done.gathered_ns - done.start_ns,
                infer_ns,
                done.end_ns - done.executed_ns,
            )
        for pending, answer in zip(batch, done.answers, strict=True):
            self._settle(pending, answer, done)
        self._note_idle()

    def _settle(self, pending: Pending, answer: Answer, done: Execution) -> None:
        future = pending.future
        if future.done():
            self._record_failure(pending, "CANCELED", done.end_ns)
        elif isinstance(answer, InferdError):
            reason = "BACKEND" if isinstance(answer, BackendError) else "OTHER"
            self._record_failure(pending, reason, done.end_ns)
            future.set_exception(answer)
        else:
            self._statistics.record_success(
                done.end_ns - (pending.request.received_ns or pending.enqueued_ns),
                done.start_ns - pending.enqueued_ns,
                done.gathered_ns - done.start_ns,
                done.executed_ns - done.gathered_ns,
                done.end_ns - done.executed_ns,
            )
            future.set_result(answer)

    def _record_failure(self, pending: Pending, reason: str, end_ns: int) -> None:
        started = pending.request.received_ns or pending.enqueued_ns
        self._statistics.record_failure(reason, end_ns - started)

    def _note_idle(self) -> None:
        if not self.inflight:
            self._idle.set()

"""
The instances of one model version: which are free, what each executes, and their end.

Both schedulers take a seat here before they execute and give it back afterwards, with what
came of the batch; which requests it is for is their business.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from inferd.backend import Instance
from inferd.scheduling.batcher import CloseReason
from inferd.scheduling.execution import Execution
from inferd.scheduling.history import BatchHistory, Queued
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.statistics import ModelStatistics
from inferd.scheduling.threads import Completions, InstanceThread


class Seat:
    """
    An instance and its thread.

    Attributes:
        index: Its place among the version's instances.
        instance: The backend's object.
        thread: Where it executes unless the model runs inline.
        busy: Whether it is taken.
    """

    __slots__ = ("busy", "index", "instance", "thread")

    def __init__(self, index: int, instance: Instance, thread: InstanceThread[Execution]) -> None:
        self.index = index
        self.instance = instance
        self.thread = thread
        self.busy = False


class InstancePool:
    """
    The instances of one model version.

    Args:
        instances: The instances; closed by :meth:`close`.
        statistics: Where executions are counted.
        name: Name prefix of their threads.
        inline: Decides whether executions run on the event loop; by their time if not given.

    Attributes:
        seats: One per instance.
        inline: Decides whether executions run on the event loop.
        completions: Brings what happened on other threads to the event loop.
        history: The version's batches.
        busy: How many instances execute.
        waits: Whether a free instance waits for resources; :meth:`withdraw` when what it
            is for is gone.
    """

    __slots__ = (
        "_free",
        "_statistics",
        "busy",
        "completions",
        "history",
        "inline",
        "seats",
        "waits",
    )

    def __init__(
        self,
        instances: Sequence[Instance],
        statistics: ModelStatistics,
        *,
        name: str,
        inline: InlinePolicy | None = None,
    ) -> None:
        self._statistics = statistics
        self.history = BatchHistory(statistics.batch_closes)
        self.completions = Completions(asyncio.get_running_loop())
        self.inline = InlinePolicy() if inline is None else inline
        self.seats = [
            Seat(index, instance, InstanceThread(f"{name}_{index}", self.completions))
            for index, instance in enumerate(instances)
        ]
        self._free = list(reversed(self.seats))
        self.busy = 0
        self.waits = False

    @property
    def has_free(self) -> bool:
        """Whether :meth:`take` would return a seat."""
        return bool(self._free)

    def take(self, seat: Seat | None = None) -> Seat | None:
        """
        Take a free seat, or the given one; ``None`` when there is none.

        Take one only for requests that are there: where instances share resources, it may
        have to wait for them, and keeps others waiting. Whoever takes one gives it back
        once, with :meth:`give_back` or :meth:`put_back`.
        """
        if seat is None:
            if not self._free:
                return None
            seat = self._free.pop()
        elif seat.busy:
            return None
        else:
            self._free.remove(seat)
        seat.busy = True
        self.busy += 1
        return seat

    def give_back(self, seat: Seat) -> None:
        """Note that a seat has executed and is free again."""
        seat.busy = False
        self.busy -= 1
        self._free.append(seat)

    def put_back(self, seat: Seat) -> None:
        """Note that a seat has not executed and is free again."""
        self.give_back(seat)

    def run(
        self,
        seat: Seat,
        work: Callable[[], Execution],
        deliver: Callable[[Execution], None],
        reason: CloseReason,
        *,
        size: int,
        requests: int,
    ) -> None:
        """
        Execute a batch on its seat's thread, and bring the execution to the loop.

        Args:
            seat: Where it executes.
            work: Executes it; must not raise.
            deliver: Gets the execution, on the loop.
            reason: Why the batch closed.
            size: Its rows.
            requests: Its requests.
        """
        self.history.begin(seat.index, reason, size, requests, time.monotonic_ns())
        seat.thread.run(work, deliver)

    def finish(
        self,
        seat: Seat,
        batch: Collection[Queued],
        done: Execution,
        reason: CloseReason,
        *,
        size: int,
        rows: int,
        failed: int,
    ) -> None:
        """
        Give a seat back, and count and remember what it executed.

        Args:
            seat: Where it executed.
            batch: The requests.
            done: The execution.
            reason: Why the batch closed.
            size: Its rows, also when the execution failed.
            rows: Those of its rows that are requests'.
            failed: How many requests were answered with an error.
        """
        self.give_back(seat)
        infer_ns = done.executed_ns - done.gathered_ns
        self.inline.observe(infer_ns)
        if done.size:
            self._statistics.record_execution(
                rows, done.gathered_ns - done.start_ns, infer_ns, done.end_ns - done.executed_ns
            )
        self.history.end(seat.index, reason, size, batch, failed, done)

    def withdraw(self, seat: Seat | None = None) -> None:
        """Have the given seat, or all of them, wait for resources no longer."""
        return None

    async def close(self) -> None:
        """Free the instances, none of which executes; on a thread, since that may block."""
        for seat in self.seats:
            seat.thread.stop()
        await asyncio.to_thread(self._close_instances)
        self.completions.close()

    def _close_instances(self) -> None:
        for seat in self.seats:
            # Its last result may be delivered while it still tells the loop about it.
            seat.thread.join()
            seat.instance.close()

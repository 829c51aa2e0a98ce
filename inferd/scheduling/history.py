"""
Remembers a version's last batches, and counts all of them by the reason they closed.

It reads no clock. A batch costs one record of plain numbers; nothing is formatted, and no
request or answer is kept, until somebody asks.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from inferd.errors import InferdError
from inferd.scheduling.snapshot import Batches, ExecutingBatch, PastBatch

RECENT: Final = 64
"""Batches remembered."""


class Queued(Protocol):
    """What is remembered of a request."""

    enqueued_ns: int


class Timed(Protocol):
    """What is remembered of an execution; times in nanoseconds, monotonic."""

    size: int
    """Rows executed; 0 when it failed."""
    start_ns: int
    gathered_ns: int
    executed_ns: int
    end_ns: int


_Record = tuple[int, str, int, int, list[int], int, int, int, int]
"""
Instance, reason, size, failed requests, when each request was queued, then the four times
of the execution. Plain, because a named one takes as long to make as all the rest.
"""

_Running = tuple[str, int, int, int]
"""Reason, size, requests, and since when it executes."""


class BatchHistory:
    """
    The batches of one model version since it was loaded.

    Args:
        closes: Reason -> how many executed batches closed for it; counted here.
        limit: How many batches are remembered.
    """

    __slots__ = ("_closes", "_recent", "_running", "_sizes")

    def __init__(self, closes: dict[str, int], limit: int = RECENT) -> None:
        self._closes = closes
        self._recent: deque[_Record] = deque(maxlen=limit)
        self._running: dict[int, _Running] = {}
        self._sizes: dict[int, int] = {}

    def begin(self, instance: int, reason: str, size: int, requests: int, now_ns: int) -> None:
        """
        Note that a batch executes until :meth:`end`.

        Not needed for an execution during which nobody can ask.
        """
        self._running[instance] = (reason, size, requests, now_ns)

    def end(
        self,
        instance: int,
        reason: str,
        size: int,
        batch: Iterable[Queued],
        failed: int,
        done: Timed,
    ) -> None:
        """
        Remember a batch that was executed.

        Args:
            instance: The instance's place among the version's instances.
            reason: Why it closed.
            size: Its rows, also when the execution failed.
            batch: Its requests.
            failed: How many of them were answered with an error.
            done: When each part of the execution was over.
        """
        if self._running:
            self._running.pop(instance, None)
        closes, sizes = self._closes, self._sizes
        closes[reason] = closes.get(reason, 0) + 1
        sizes[size] = sizes.get(size, 0) + 1
        enqueued_ns = [entry.enqueued_ns for entry in batch]
        executed_ns = done.executed_ns if done.size else done.end_ns
        times = done.start_ns, done.gathered_ns, executed_ns, done.end_ns
        self._recent.append((instance, reason, size, failed, enqueued_ns, *times))

    def snapshot(self, now_ns: int, wall_ns: int) -> Batches:
        """
        Return what is known.

        Args:
            now_ns: Now, on the clock of the executions.
            wall_ns: Now, since the epoch.
        """
        executing = [
            ExecutingBatch(instance, size, requests, reason, (now_ns - since_ns) // 1000)
            for instance, (reason, size, requests, since_ns) in sorted(self._running.items())
        ]
        recent = [_past(record, wall_ns - now_ns) for record in reversed(self._recent)]
        return Batches(executing, dict(self._closes), dict(sorted(self._sizes.items())), recent)


def count_failed(answers: Iterable[object]) -> int:
    """Return how many answers are errors."""
    return len([1 for answer in answers if isinstance(answer, InferdError)])


def _past(record: _Record, wall_offset_ns: int) -> PastBatch:
    instance, reason, size, failed, queued, start_ns, gathered_ns, executed_ns, end_ns = record
    return PastBatch(
        started_ms=(start_ns + wall_offset_ns) // 1_000_000,
        instance=instance,
        size=size,
        requests=len(queued),
        reason=reason,
        queue_us=[(start_ns - enqueued_ns) // 1000 for enqueued_ns in queued],
        compute_input_us=(gathered_ns - start_ns) // 1000,
        compute_infer_us=(executed_ns - gathered_ns) // 1000,
        compute_output_us=(end_ns - executed_ns) // 1000,
        failed=failed,
    )

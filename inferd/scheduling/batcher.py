"""
The batcher: decides which queued requests are executed next, and when.

It executes nothing, reads no clock and knows no event loop: ``decide(now_ns)`` returns
a typed value. A request leaves exactly once: in a :class:`Dispatch`, through ``discard``
or through ``expire``; ``test_every_entry_leaves_exactly_once`` holds it to that.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.queue import FifoQueue, Full, PriorityQueue, Waiting
from inferd.scheduling.snapshot import QueueLevel


class Entry(Waiting, Protocol):
    """What the batcher needs to know of a queued request."""

    rows: int
    """Rows of the request's batch dimension; 0 counts as 1."""
    shape_key: Hashable
    """Equal for requests whose tensors can be gathered into one."""


E = TypeVar("E", bound=Entry)

CloseReason = Literal["full", "preferred", "delay", "idle", "shape", "deadline", "order"]
"""
Why a batch took no more requests: it held what the model takes; it had a preferred size; its
oldest request had waited for the queue delay; an instance was idle and nothing else waited;
the next request has another shape; a request's deadline left no time to wait for others; the
next request of another sequence may not overtake one that waits.
"""


@dataclass(frozen=True, slots=True)
class Dispatch(Generic[E]):
    """Execute these entries as one batch, now."""

    entries: list[E]
    reason: CloseReason = "idle"


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to execute before ``at_ns``, unless another request arrives."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Idle:
    """The queue is empty."""


IDLE = Idle()


class Batcher(Generic[E]):
    """
    A queue that is emptied in batches.

    A batch closes when it is full, when the next request has another shape, when the
    oldest request has waited for the queue delay, or when a preferred size is reached. A
    preferred size is chosen over a larger batch, unless that is full or has waited for
    the queue delay.
    """

    __slots__ = ("_policy", "_queue", "add")

    add: Callable[[E], Full | None]
    """Queue an entry of at most ``max_rows`` rows, or return why it cannot be."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._queue: FifoQueue[E] | PriorityQueue[E] = (
            FifoQueue() if policy.priorities.is_plain else PriorityQueue(policy.priorities)
        )
        self.add = self._queue.add

    def __len__(self) -> int:
        return len(self._queue)

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        return self._queue.discard(entry)

    def expire(self, now_ns: int) -> Sequence[E]:
        """Remove and return the entries that are rejected because they waited too long."""
        return self._queue.expire(now_ns)

    def next_timeout_ns(self) -> int | None:
        """Return when ``expire`` must be called next, or ``None`` when nothing can time out."""
        return self._queue.next_timeout_ns()

    def levels(self, now_ns: int) -> list[QueueLevel]:
        """Return what waits, by priority level."""
        return self._queue.levels(now_ns)

    def decide(self, now_ns: int) -> Dispatch[E] | WaitUntil | Idle:
        """
        Return what to do at ``now_ns``; entries of a dispatch have left the queue.

        Call :meth:`expire` first: what is in the queue is taken to be in time.
        """
        queue, policy = self._queue, self._policy
        if not queue:
            return IDLE
        if not policy.combines:
            return Dispatch(queue.take(1), "full")
        count, preferred, closed = self._scan()
        waits = policy.max_queue_delay_ns > 0
        due_ns = queue.oldest_ns() + policy.max_queue_delay_ns if waits else now_ns
        if waits and now_ns >= due_ns:
            return Dispatch(queue.take(count), closed or "delay")
        if preferred and (preferred < count or closed != "full"):
            return Dispatch(queue.take(preferred), "preferred")
        if closed or not waits:
            return Dispatch(queue.take(count), closed or "idle")
        timeout_ns = queue.next_timeout_ns()
        return WaitUntil(due_ns if timeout_ns is None else min(due_ns, timeout_ns))

    def _scan(self) -> tuple[int, int, CloseReason | None]:
        """
        Return (entries that fit, entries up to the largest preferred size, why no more fit).

        A full batch is as good as a preferred one.
        """
        limit, preferred_rows = self._policy.max_rows, self._policy.preferred_rows
        rows = count = preferred = 0
        shape_key: Hashable = None
        for entry in self._queue:
            more = rows + (entry.rows or 1)
            if not count:
                shape_key = entry.shape_key
            elif more > limit:
                return count, preferred, "full"
            elif entry.shape_key != shape_key:
                return count, preferred, "shape"
            rows = more
            count += 1
            if rows in preferred_rows:
                preferred = count
        if rows >= limit:
            return count, count, "full"
        return count, preferred, None

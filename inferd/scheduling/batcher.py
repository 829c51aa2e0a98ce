"""
The batcher: decides which queued requests are executed next, and when.

It executes nothing, reads no clock and knows no event loop: ``decide(now_ns)`` returns
a typed value. A request leaves exactly once: in a :class:`Dispatch`, through ``discard``,
``expire`` or ``overdue``; ``test_every_entry_leaves_exactly_once`` holds it to that.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.queue import FifoQueue, Full, PriorityQueue, Waiting
from inferd.scheduling.snapshot import QueueLevel
from inferd.scheduling.timeouts import Timeouts


class Entry(Waiting, Protocol):
    """What the batcher needs to know of a queued request."""

    rows: int
    """Rows of the request's batch dimension; 0 counts as 1."""
    shape_key: Hashable
    """Equal for requests whose tensors can be gathered into one."""

    @property
    def deadline_ns(self) -> int:
        """When its answer is worth nothing any more, in nanoseconds; 0 is never."""


E = TypeVar("E", bound=Entry)

CloseReason = Literal["full", "preferred", "delay", "idle", "shape", "deadline", "order"]
"""
Why a batch took no more requests: it held what the model takes; it had a preferred size; its
oldest request had waited for the queue delay; an instance was idle and nothing else waited;
the next request has another shape; a request's deadline left no time to wait for others; the
next request of another sequence may not overtake one that waits.
"""


@dataclass(slots=True)
class Dispatch(Generic[E]):
    """Execute these entries as one batch, now. Not frozen: that triples what making one costs."""

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
    the queue delay. A request's deadline ends the waiting.
    """

    __slots__ = ("_deadlines", "_policy", "_take", "add", "queue")

    add: Callable[[E], Full | None]
    """Queue an entry of at most ``max_rows`` rows, or return why it cannot be."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self.queue: FifoQueue[E] | PriorityQueue[E] = (
            FifoQueue() if policy.priorities.is_plain else PriorityQueue(policy.priorities)
        )
        self.add = self.queue.add
        self._take = self.queue.take
        self._deadlines: Timeouts[E] | None = None

    def __len__(self) -> int:
        return len(self.queue)

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        if self._deadlines is not None:
            self._deadlines.remove(entry)
        return self.queue.discard(entry)

    def heed_deadlines(self) -> None:
        """
        Look at the deadlines of entries from now on.

        To be called before the first entry with a deadline is added. Until then nothing
        is spent on deadlines.
        """
        if self._deadlines is None:
            self._deadlines = Timeouts()
            self.add = self._add_timed
            self._take = self._take_timed

    def expire(self, now_ns: int) -> Sequence[E]:
        """Remove and return the entries that are rejected because they waited too long."""
        expired = self.queue.expire(now_ns)
        if expired and self._deadlines is not None:
            self._deadlines.remove_all(expired)
        return expired

    def overdue(self, answered_ns: int) -> Sequence[E]:
        """
        Remove and return the entries whose deadline comes first, the earliest first.

        Args:
            answered_ns: When they would be answered if they were executed now; a
                deadline at that very time is missed.
        """
        if self._deadlines is None:
            return ()
        overdue = self._deadlines.take_due(answered_ns)
        for entry in overdue:
            self.queue.discard(entry)
        return overdue

    def next_deadline_ns(self) -> int | None:
        """Return the earliest deadline, or ``None`` when no entry has one."""
        return None if self._deadlines is None else self._deadlines.next_ns()

    def next_timeout_ns(self) -> int | None:
        """Return when ``expire`` must be called next, or ``None`` when nothing can time out."""
        return self.queue.next_timeout_ns()

    def levels(self, now_ns: int) -> list[QueueLevel]:
        """Return what waits, by priority level."""
        return self.queue.levels(now_ns)

    def decide(self, now_ns: int, ample_ns: int = 0) -> Dispatch[E] | WaitUntil | Idle:
        """
        Return what to do at ``now_ns``; entries of a dispatch have left the queue.

        Call :meth:`expire` and :meth:`overdue` first: what is in the queue is taken to be
        in time.

        Args:
            now_ns: The time.
            ample_ns: An execution begun so long before a deadline meets it.
        """
        queue, policy = self.queue, self._policy
        if not queue:
            return IDLE
        if not policy.combines:
            return Dispatch(self._take(1), "full")
        count, preferred, closed = self._scan()
        waits = policy.max_queue_delay_ns > 0
        due_ns = queue.oldest_ns() + policy.max_queue_delay_ns if waits else now_ns
        if waits and now_ns >= due_ns:
            return Dispatch(self._take(count), closed or "delay")
        if preferred and (preferred < count or closed != "full"):
            return Dispatch(self._take(preferred), "preferred")
        if closed or not waits:
            return Dispatch(self._take(count), closed or "idle")
        # Everything that is queued would be in this batch.
        deadline_ns = self.next_deadline_ns()
        if deadline_ns is not None:
            if now_ns >= deadline_ns - ample_ns:
                return Dispatch(self._take(count), "deadline")
            due_ns = min(due_ns, deadline_ns - ample_ns)
        timeout_ns = queue.next_timeout_ns()
        return WaitUntil(due_ns if timeout_ns is None else min(due_ns, timeout_ns))

    def _add_timed(self, entry: E) -> Full | None:
        assert self._deadlines is not None
        full = self.queue.add(entry)
        if full is None and entry.deadline_ns:
            self._deadlines.add(entry, entry.deadline_ns)
        return full

    def _take_timed(self, count: int) -> list[E]:
        assert self._deadlines is not None
        taken = self.queue.take(count)
        self._deadlines.remove_all(taken)
        return taken

    def _scan(self) -> tuple[int, int, CloseReason | None]:
        """
        Return (entries that fit, entries up to the largest preferred size, why no more fit).

        A full batch is as good as a preferred one.
        """
        limit, preferred_rows = self._policy.max_rows, self._policy.preferred_rows
        rows = count = preferred = 0
        shape_key: Hashable = None
        for entry in self.queue:
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

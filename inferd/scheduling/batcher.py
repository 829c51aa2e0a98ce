"""
The batcher: decides which queued requests are executed next, and when.

It executes nothing, reads no clock and knows no event loop: ``decide(now_ns)`` returns
a typed value. A request leaves exactly once: in a :class:`Dispatch` or through
``discard``; ``test_every_entry_leaves_exactly_once`` holds it to that.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from inferd.scheduling.policy import BatchPolicy


class Entry(Protocol):
    """What the batcher needs to know of a queued request."""

    rows: int
    """Rows of the request's batch dimension; 0 counts as 1."""
    shape_key: Hashable
    """Equal for requests whose tensors can be gathered into one."""
    enqueued_ns: int
    """When it was added, in nanoseconds."""
    discarded: bool
    """Set by the batcher when the entry was taken back."""


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Dispatch(Generic[E]):
    """Execute these entries as one batch, now."""

    entries: list[E]


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
    A FIFO queue that is emptied in batches.

    A batch closes when it is full, when the next request has another shape, when the
    oldest request has waited for the queue delay, or when a preferred size is reached.
    """

    __slots__ = ("_length", "_policy", "_queue")

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._queue: deque[E] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, entry: E) -> None:
        """Queue an entry; it has at most ``max_rows`` rows."""
        self._queue.append(entry)
        self._length += 1

    def discard(self, entry: E) -> bool:
        """Take a queued entry back; ``False`` when it was taken back before."""
        if entry.discarded:
            return False
        entry.discarded = True
        self._length -= 1
        return True

    def decide(self, now_ns: int) -> Dispatch[E] | WaitUntil | Idle:
        """Return what to do at ``now_ns``; entries of a dispatch have left the queue."""
        self._drop_discarded()
        if not self._queue:
            return IDLE
        if not self._policy.combines:
            return self._dispatch(1)
        count, preferred, closed = self._scan()
        due_ns = self._queue[0].enqueued_ns + self._policy.max_queue_delay_ns
        if closed or now_ns >= due_ns:
            return self._dispatch(count)
        if preferred:
            return self._dispatch(preferred)
        return WaitUntil(due_ns)

    def _drop_discarded(self) -> None:
        queue = self._queue
        while queue and queue[0].discarded:
            queue.popleft()

    def _scan(self) -> tuple[int, int, bool]:
        """Return (entries that fit, entries up to the largest preferred size, closed)."""
        limit, preferred_rows = self._policy.max_rows, self._policy.preferred_rows
        shape_key = self._queue[0].shape_key
        rows = count = preferred = 0
        for entry in self._queue:
            if entry.discarded:
                continue
            more = rows + (entry.rows or 1)
            if more > limit or entry.shape_key != shape_key:
                return count, preferred, True
            rows = more
            count += 1
            if rows in preferred_rows:
                preferred = count
        return count, preferred, rows == limit

    def _dispatch(self, count: int) -> Dispatch[E]:
        entries: list[E] = []
        while len(entries) < count:
            entry = self._queue.popleft()
            if not entry.discarded:
                entries.append(entry)
        self._length -= count
        return Dispatch(entries)

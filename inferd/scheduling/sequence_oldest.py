"""
The oldest strategy: an instance has many sequences, and batches their oldest requests.

A batch holds at most one request of a sequence; which row it gets says nothing.
"""

from bisect import insort
from dataclasses import dataclass
from typing import Generic

from inferd.scheduling.batcher import IDLE, CloseReason, Idle, WaitUntil
from inferd.scheduling.sequence_rows import E, Execute, LiveSequence, earliest_deadline_ns


@dataclass(frozen=True, slots=True)
class OldestPolicy:
    """
    How requests of different sequences may be put together.

    Attributes:
        candidates: Sequences an instance has at most.
        max_rows: Rows one execution takes at most.
        max_queue_delay_ns: How long the oldest request may wait for others.
        preferred_rows: Batch sizes worth executing before the delay is over.
        preserve_ordering: Whether a request may not overtake an older one of another
            sequence.
    """

    candidates: int
    max_rows: int = 1
    max_queue_delay_ns: int = 0
    preferred_rows: frozenset[int] = frozenset()
    preserve_ordering: bool = False


class OldestLane(Generic[E]):
    """
    The sequences of one instance, those with a request ordered by its age.

    Args:
        policy: How requests may be put together.
    """

    __slots__ = ("_policy", "_ready", "_taken")

    def __init__(self, policy: OldestPolicy) -> None:
        self._policy = policy
        self._ready: list[LiveSequence[E]] = []
        self._taken = 0

    @property
    def room(self) -> int:
        """How many more sequences it takes."""
        return self._policy.candidates - self._taken

    @property
    def has_work(self) -> bool:
        """Whether a sequence has a request to execute."""
        return bool(self._ready)

    @property
    def used(self) -> int:
        """How many sequences it has."""
        return self._taken

    def enter(self, sequence: LiveSequence[E]) -> None:
        """Count a sequence in."""
        self._taken += 1

    def leave(self, sequence: LiveSequence[E]) -> None:
        """Count a sequence out."""
        self._taken -= 1

    def wake(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence has a request to execute."""
        insort(self._ready, sequence, key=lambda one: one.head_ns)

    def sleep(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence's oldest request changes or is gone."""
        if sequence in self._ready:
            self._ready.remove(sequence)

    def decide(self, now_ns: int, ample_ns: int = 0) -> Execute[E] | WaitUntil | Idle:
        """Return what to do while the instance is free."""
        if not self._ready:
            return IDLE
        count, preferred, closed = self._scan()
        due_ns = self._ready[0].head_ns + self._policy.max_queue_delay_ns
        if closed or now_ns >= due_ns:
            return self._execute(count, closed or self._due)
        if preferred:
            return self._execute(preferred, "preferred")
        # Everything that is ready would be in this batch.
        deadline_ns = earliest_deadline_ns(self._ready)
        if deadline_ns is not None:
            if now_ns >= deadline_ns - ample_ns:
                return self._execute(count, "deadline")
            due_ns = min(due_ns, deadline_ns - ample_ns)
        return WaitUntil(due_ns)

    @property
    def _due(self) -> CloseReason:
        return "delay" if self._policy.max_queue_delay_ns else "idle"

    def _scan(self) -> tuple[int, int, CloseReason | None]:
        """Return (requests that fit, those up to the largest preferred size, why no more fit)."""
        policy, key = self._policy, self._ready[0].head_key
        count = preferred = 0
        barred_ns: int | None = None
        for sequence in self._ready:
            overtakes = barred_ns is not None and barred_ns < sequence.head_ns
            if count == policy.max_rows:
                break
            if overtakes or sequence.head_key != key:
                return count, preferred, "order" if overtakes else "shape"
            count += 1
            if count in policy.preferred_rows:
                preferred = count
            if policy.preserve_ordering and len(sequence.queue) > 1:
                follows_ns = sequence.queue[1].enqueued_ns
                barred_ns = follows_ns if barred_ns is None else min(barred_ns, follows_ns)
        return count, preferred, "full" if count == policy.max_rows else None

    def _execute(self, count: int, reason: CloseReason) -> Execute[E]:
        taken, self._ready = self._ready[:count], self._ready[count:]
        return Execute([sequence.take() for sequence in taken], reason)

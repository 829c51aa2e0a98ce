"""
The direct strategy: a sequence owns one row of its instance's batches.

A batch holds the next request of every slot that has one; the slots between them are
filled, so that a model which keeps state by row always sees a sequence in the same row.
"""

import math
from typing import Generic

from inferd.scheduling.batcher import IDLE, CloseReason, Idle, WaitUntil
from inferd.scheduling.sequence_rows import E, Execute, LiveSequence, earliest_deadline_ns


class DirectLane(Generic[E]):
    """
    The slots of one instance.

    Args:
        slots: Sequences it takes; rows of its batches at most.
        max_queue_delay_ns: How long a request may wait for ``minimum_slot_utilization``.
        minimum_slot_utilization: The part of the slots that must have a request for a
            batch to be executed before the delay is over; 0 never waits.
    """

    __slots__ = ("_delay_ns", "_free", "_ready", "_required", "_slots")

    def __init__(
        self, slots: int, max_queue_delay_ns: int = 0, minimum_slot_utilization: float = 0.0
    ) -> None:
        self._slots = slots
        self._free = list(range(slots))
        self._ready: dict[int, LiveSequence[E]] = {}
        self._delay_ns = max_queue_delay_ns
        # The config's value is a 32-bit float: 0.1 of 10 slots is one slot, not two.
        self._required = math.ceil(minimum_slot_utilization * slots - 1e-5)

    @property
    def room(self) -> int:
        """How many more sequences it takes."""
        return len(self._free)

    @property
    def has_work(self) -> bool:
        """Whether a sequence has a request to execute."""
        return bool(self._ready)

    @property
    def used(self) -> int:
        """How many sequences have a slot."""
        return self._slots - len(self._free)

    def enter(self, sequence: LiveSequence[E]) -> None:
        """Give a sequence the lowest free slot, which keeps batches short."""
        sequence.slot = min(self._free)
        self._free.remove(sequence.slot)

    def leave(self, sequence: LiveSequence[E]) -> None:
        """Free a sequence's slot."""
        self._free.append(sequence.slot)

    def wake(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence has a request to execute."""
        self._ready[sequence.slot] = sequence

    def sleep(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence's oldest request changes or is gone."""
        self._ready.pop(sequence.slot, None)

    def decide(self, now_ns: int, ample_ns: int = 0) -> Execute[E] | WaitUntil | Idle:
        """Return what to do while the instance is free."""
        if not self._ready:
            return IDLE
        oldest = min(self._ready.values(), key=lambda one: one.head_ns)
        due_ns = oldest.head_ns + self._delay_ns
        if len(self._ready) < self._required and now_ns < due_ns:
            deadline_ns = earliest_deadline_ns(self._ready.values())
            if deadline_ns is None:
                return WaitUntil(due_ns)
            if now_ns < deadline_ns - ample_ns:
                return WaitUntil(min(due_ns, deadline_ns - ample_ns))
            return self._execute(oldest, "deadline")
        if len(self._ready) < self._required:
            return self._execute(oldest, "delay")
        return self._execute(oldest, "preferred" if self._required > 1 else "idle")

    def _execute(self, oldest: LiveSequence[E], reason: CloseReason) -> Execute[E]:
        """Take every slot that fits the oldest request; the others wait for the next batch."""
        key = oldest.head_key
        fitting = {slot: one for slot, one in self._ready.items() if one.head_key == key}
        if len(fitting) < len(self._ready):
            reason = "shape"
        elif len(fitting) == self._slots:
            reason = "full"
        rows = {slot: one.take() for slot, one in fitting.items()}
        for slot in rows:
            del self._ready[slot]
        filler = rows[oldest.slot].filler()
        return Execute([rows.get(slot, filler) for slot in range(max(rows) + 1)], reason)

"""
A live sequence, the rows its requests become, and what a strategy decides about them.

Sequences are led by ``sequences`` and batched by ``sequence_slots`` and
``sequence_oldest``.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy.typing as npt

from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import CloseReason, Idle, WaitUntil

Key = int | str
Array = npt.NDArray[Any]


class Entry(Protocol):
    """What the table needs to know of a queued request."""

    request: InferRequest
    """The request; it is not changed."""
    shape_key: Hashable
    """Equal for requests whose tensors can be gathered into one."""
    enqueued_ns: int
    """When it was added, in nanoseconds."""
    discarded: bool
    """Set by the table when the entry left without being executed."""
    once: bool
    """Whether it is a sequence of its own, without an id from its client."""
    again: bool
    """Set by the table when the entry was executed before and is to be executed again."""


E = TypeVar("E", bound=Entry)


class LiveSequence(Generic[E]):
    """
    A sequence between its START and its END.

    Attributes:
        key: The correlation id.
        lane: The lane it is pinned to; ``None`` while it waits for a place.
        slot: Its row, where the strategy has slots.
        queue: Its requests that wait, oldest first.
        last_ns: When it was last heard of.
        running: Whether one of its requests executes.
        complete: Whether its last request is an END, so that only a START may follow.
        once: Whether it is a single request without an id of its own, executed until the
            backend is done with it.
        states: State input name -> the value for the next request.
        shape_key: Equal for sequences whose states can be gathered into one.
    """

    __slots__ = (
        "_start_owed",
        "complete",
        "key",
        "lane",
        "last_ns",
        "queue",
        "running",
        "shape_key",
        "slot",
        "states",
    )

    def __init__(self, key: Key, now_ns: int) -> None:
        self.key = key
        self.lane: Lane[E] | None = None
        self.slot = 0
        self.queue: deque[E] = deque()
        self.last_ns = now_ns
        self.running = False
        self.complete = False
        self.restart()

    def restart(self) -> None:
        """Forget what belongs to the part before the END."""
        self._start_owed = False
        self.states: dict[str, Array] = {}
        self.shape_key: Hashable = None

    @property
    def head_ns(self) -> int:
        """When the oldest waiting request was added."""
        return self.queue[0].enqueued_ns

    @property
    def head_key(self) -> Hashable:
        """Equal for sequences whose oldest waiting requests fit into one batch."""
        entry = self.queue[0]
        return entry.shape_key, None if self._starts(entry) else self.shape_key

    @property
    def owes_nothing(self) -> bool:
        """Whether only the server can make it go on; it is not idle then."""
        if self.lane is None:
            return self.complete
        return self.running or bool(self.queue)

    def take(self) -> "Row[E]":
        """Take the oldest waiting request for execution."""
        entry = self.queue.popleft()
        starts = self._starts(entry)
        if starts:
            self.restart()
        self.running = True
        return Row(self, entry, start=starts, end=entry.request.sequence_end and not entry.again)

    def drop_discarded(self) -> bool:
        """Drop requests that were taken back; ``True`` when one of them was an END."""
        while self.queue and self.queue[0].discarded:
            entry = self.queue.popleft()
            if self.ends_with(entry):
                return True
            # The first request that does execute is the model's START.
            self._start_owed = self._starts(entry)
        return False

    def ends_with(self, entry: E) -> bool:
        """Whether the sequence is over when the entry is."""
        return entry.once or entry.request.sequence_end

    def _starts(self, entry: E) -> bool:
        return (entry.request.sequence_start and not entry.again) or self._start_owed


@dataclass(slots=True)
class Row(Generic[E]):
    """
    One row of a batch; not changed once it is made.

    Attributes:
        sequence: Whose request it is.
        entry: The request.
        start: Whether the model is told that the sequence begins.
        end: Whether the model is told that the sequence ends.
        ready: ``False`` for a row that only fills an empty slot; it repeats the request
            of another row, and its answer is dropped.
    """

    sequence: LiveSequence[E]
    entry: E
    start: bool = False
    end: bool = False
    ready: bool = True

    @property
    def key(self) -> Key:
        """The correlation id."""
        return self.sequence.key

    def filler(self) -> "Row[E]":
        """Return a row for an empty slot."""
        return Row(self.sequence, self.entry, ready=False)


@dataclass(frozen=True, slots=True)
class Execute(Generic[E]):
    """Execute these rows as one batch, now."""

    rows: list[Row[E]]
    reason: CloseReason = "idle"


class Lane(Protocol[E]):
    """The strategy of one instance: who may enter, and what it executes next."""

    @property
    def room(self) -> int:
        """How many more sequences it takes."""

    @property
    def has_work(self) -> bool:
        """Whether a sequence has a request to execute."""

    @property
    def used(self) -> int:
        """How many sequences have a place."""

    def enter(self, sequence: LiveSequence[E]) -> None:
        """Give a sequence its place."""

    def leave(self, sequence: LiveSequence[E]) -> None:
        """Free a sequence's place; it is asleep."""

    def wake(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence has a request to execute."""

    def sleep(self, sequence: LiveSequence[E]) -> None:
        """Note that a sequence's oldest request changes or is gone; it may be asleep."""

    def decide(self, now_ns: int, ample_ns: int = 0) -> Execute[E] | WaitUntil | Idle:
        """
        Return what to do while the instance is free; taken rows put to sleep.

        Args:
            now_ns: The time.
            ample_ns: An execution begun so long before a deadline meets it.
        """


def earliest_deadline_ns(sequences: Iterable[LiveSequence[E]]) -> int | None:
    """Return the earliest deadline of the sequences' oldest requests; ``None`` without any."""
    deadlines = [sequence.queue[0].request.deadline_ns for sequence in sequences]
    return min(filter(None, deadlines), default=None)

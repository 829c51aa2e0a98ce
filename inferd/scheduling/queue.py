"""
The queues a batcher takes from: first come, first served, or by priority with limits.

They read no clock. An entry leaves a queue exactly once, by ``take``, ``discard`` or
``expire``, and nothing in the queue refers to it afterwards.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from inferd.scheduling.policy import PriorityPolicy, QueuePolicy
from inferd.scheduling.snapshot import QueueLevel
from inferd.scheduling.timeouts import Timeouts

_MIN_REMOVED: Final = 64


class Waiting(Protocol):
    """What a queue needs to know of a request. Entries are told apart by identity."""

    enqueued_ns: int
    """When it was added, in nanoseconds."""

    @property
    def priority(self) -> int:
        """Its priority level; 0 is the model's default."""

    @property
    def timeout_us(self) -> int:
        """Its own queue timeout in microseconds; 0 is none."""


@dataclass(frozen=True, slots=True)
class Full:
    """The entry was not added: its level has as many requests as its policy allows."""

    max_size: int


E = TypeVar("E", bound=Waiting)


class FifoQueue(dict[E, None]):
    """
    Any number of entries in the order they came.

    It is a dictionary so that the queue of most models costs no Python call to count or
    to look through.
    """

    __slots__ = ("_removed",)

    def __init__(self) -> None:
        super().__init__()
        self._removed = 0

    def add(self, entry: E) -> None:
        """Put an entry at the end."""
        self[entry] = None

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        if entry not in self:
            return False
        self._remove(entry)
        return True

    def take(self, count: int) -> list[E]:
        """Remove and return the first ``count`` entries, of which there are as many."""
        if count == len(self):
            taken = list(self)
            self.clear()
            return taken
        taken = list(islice(self, count))
        for entry in taken:
            self._remove(entry)
        return taken

    def oldest_ns(self) -> int:
        """Return when the entry that came first was added; the queue is not empty."""
        return next(iter(self)).enqueued_ns

    def expire(self, now_ns: int) -> Sequence[E]:
        """Return nothing: entries wait for as long as it takes."""
        return ()

    def next_timeout_ns(self) -> int | None:
        """Return ``None``: no entry has a timeout."""
        return None

    def levels(self, now_ns: int) -> list[QueueLevel]:
        """Return the one level there is, unless it is empty."""
        if not self:
            return []
        return [QueueLevel(1, len(self), 0, (now_ns - self.oldest_ns()) // 1000)]

    def _remove(self, entry: E) -> None:
        del self[entry]
        self._removed += 1
        # A dictionary keeps the places of removed keys, and the first entry is found behind them.
        if self._removed > len(self) + _MIN_REMOVED:
            kept = dict.fromkeys(self)
            self.clear()
            self.update(kept)
            self._removed = 0


class _Level(Generic[E]):
    """The entries of one priority level: those in time, and behind them the delayed ones."""

    __slots__ = ("delayed", "policy", "timely")

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.timely: OrderedDict[E, None] = OrderedDict()
        self.delayed: OrderedDict[E, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.timely) + len(self.delayed)

    def snapshot(self, number: int, now_ns: int) -> QueueLevel:
        """Return what it holds, which is not nothing."""
        oldest_ns = min(entry.enqueued_ns for line in (self.timely, self.delayed) for entry in line)
        return QueueLevel(number, len(self), len(self.delayed), (now_ns - oldest_ns) // 1000)


class PriorityQueue(Generic[E]):
    """
    Entries by priority level, 1 first; inside a level in the order they came.

    A level holds a limited number of entries when its policy says so. An entry that
    waits longer than its timeout leaves, or goes behind the others of its level.

    Args:
        policy: The levels and what holds for each.
    """

    __slots__ = ("_length", "_levels", "_numbers", "_policy", "_timeouts")

    def __init__(self, policy: PriorityPolicy) -> None:
        self._policy = policy
        # Only levels that hold entries exist: a config may declare any number of levels.
        self._levels: dict[int, _Level[E]] = {}
        self._numbers: list[int] = []
        self._timeouts: Timeouts[E] = Timeouts()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[E]:
        for number in self._numbers:
            level = self._levels[number]
            yield from level.timely
            yield from level.delayed

    def add(self, entry: E) -> Full | None:
        """Put an entry at the end of its level's entries in time, unless the level is full."""
        number = self._policy.level_of(entry.priority)
        level = self._levels.get(number)
        policy = self._policy.of(number) if level is None else level.policy
        if level is None:
            level = self._levels[number] = _Level(policy)
            insort(self._numbers, number)
        elif policy.max_size and len(level) >= policy.max_size:
            return Full(policy.max_size)
        level.timely[entry] = None
        self._length += 1
        timeout_ns = policy.timeout_for(entry.timeout_us)
        if timeout_ns:
            self._timeouts.add(entry, entry.enqueued_ns + timeout_ns)
        return None

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        number = self._policy.level_of(entry.priority)
        level = self._levels.get(number)
        if level is None or (entry not in level.timely and entry not in level.delayed):
            return False
        line = level.timely if entry in level.timely else level.delayed
        del line[entry]
        self._timeouts.remove(entry)
        self._length -= 1
        if not len(level):
            del self._levels[number]
            self._numbers.remove(number)
        return True

    def take(self, count: int) -> list[E]:
        """Remove and return the first ``count`` entries, of which there are as many."""
        taken = list(islice(self, count))
        for entry in taken:
            self.discard(entry)
        return taken

    def oldest_ns(self) -> int:
        """Return when the entry that came first was added; the queue is not empty."""
        return min(entry.enqueued_ns for entry in self)

    def expire(self, now_ns: int) -> Sequence[E]:
        """Move the entries whose timeout is over: remove and return them, or delay them."""
        expired: list[E] = []
        for entry in self._timeouts.take_due(now_ns):
            level = self._levels[self._policy.level_of(entry.priority)]
            if level.policy.delays:
                del level.timely[entry]
                level.delayed[entry] = None
            else:
                self.discard(entry)
                expired.append(entry)
        return expired

    def next_timeout_ns(self) -> int | None:
        """Return when the next timeout is over, or ``None`` when there is none."""
        return self._timeouts.next_ns()

    def levels(self, now_ns: int) -> list[QueueLevel]:
        """Return the levels that hold entries, the first served first."""
        levels = [(number, self._levels[number]) for number in self._numbers]
        return [level.snapshot(number, now_ns) for number, level in levels if len(level)]

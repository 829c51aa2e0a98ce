"""
The queues a batcher takes from: first come, first served, or by priority with limits.

They read no clock. An entry leaves a queue exactly once, by ``take``, ``discard`` or
``expire``, and nothing in the queue refers to it afterwards.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from inferd.scheduling.policy import PriorityPolicy, QueuePolicy
from inferd.scheduling.snapshot import QueueLevel
from inferd.scheduling.timeouts import Timeouts

_MIN_REMOVED: Final = 64

_MANY_LEVELS: Final = 64
"""A queue with more levels than this forgets those that became empty."""


class Waiting(Protocol):
    """What a queue needs to know of a request. Entries are told apart by identity."""

    enqueued_ns: int
    """When it was added, in nanoseconds; not before the one added before it."""

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


class Line(dict[E, None]):
    """
    Entries in the order they came.

    It is a dictionary so that counting and looking through them costs no Python call.
    """

    __slots__ = ("_removed",)

    def __init__(self) -> None:
        super().__init__()
        self._removed = 0

    def take(self, count: int) -> list[E]:
        """Remove and return the first ``count`` entries, or all when there are not as many."""
        if count >= len(self):
            taken = list(self)
            self.clear()
            self._removed = 0
            return taken
        taken = list(islice(self, count))
        for entry in taken:
            del self[entry]
        self._note_removed(count)
        return taken

    def remove(self, entry: E) -> None:
        """Take back an entry, which is there."""
        del self[entry]
        self._note_removed(1)

    def _note_removed(self, count: int) -> None:
        self._removed += count
        # A dictionary keeps the places of removed keys, and the first entry is found behind them.
        if self._removed > len(self) + _MIN_REMOVED:
            kept = dict.fromkeys(self)
            self.clear()
            self.update(kept)
            self._removed = 0


class FifoQueue(Line[E]):
    """Any number of entries in the order they came."""

    __slots__ = ()

    if TYPE_CHECKING:

        def add(self, entry: E) -> None:
            """Put an entry at the end."""

    else:
        # The dictionary's own puts the entry at the end, too, with the value None, and
        # costs half as much as a function that does.
        add = dict.setdefault

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        if entry not in self:
            return False
        self.remove(entry)
        return True

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


class _Level(Generic[E]):
    """The entries of one priority level: those in time, and behind them the delayed ones."""

    __slots__ = ("delayed", "has_timeouts", "max_size", "policy", "timely")

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.max_size = policy.max_size
        self.has_timeouts = policy.has_timeouts
        self.timely: Line[E] = Line()
        self.delayed: Line[E] = Line()

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

    __slots__ = ("_length", "_levels", "_lines", "_numbers", "_policy", "_timeouts")

    def __init__(self, policy: PriorityPolicy) -> None:
        self._policy = policy
        # Only levels in use exist: a config may declare any number of levels.
        self._levels: dict[int, _Level[E]] = {}
        self._numbers: list[int] = []
        # What entries are in, first served first: two per level.
        self._lines: list[Line[E]] = []
        self._timeouts: Timeouts[E] = Timeouts()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[E]:
        return chain.from_iterable(self._lines)

    def add(self, entry: E) -> Full | None:
        """Put an entry at the end of its level's entries in time, unless the level is full."""
        level = self._level(entry.priority)
        timely, max_size = level.timely, level.max_size
        if max_size and len(timely) + len(level.delayed) >= max_size:
            return Full(max_size)
        timely[entry] = None
        self._length += 1
        if level.has_timeouts:
            timeout_ns = level.policy.timeout_for(entry.timeout_us)
            if timeout_ns:
                self._timeouts.add(entry, entry.enqueued_ns + timeout_ns)
        return None

    def discard(self, entry: E) -> bool:
        """Take an entry back; ``False`` when it is not queued."""
        level = self._level(entry.priority)
        line = level.timely if entry in level.timely else level.delayed
        if entry not in line:
            return False
        line.remove(entry)
        self._timeouts.remove(entry)
        self._length -= 1
        return True

    def take(self, count: int) -> list[E]:
        """Remove and return the first ``count`` entries, of which there are as many."""
        taken: list[E] = []
        lines = filter(None, self._lines)
        while len(taken) < count:
            taken += next(lines).take(count - len(taken))
        self._length -= count
        if self._length:
            self._timeouts.remove_all(taken)
        else:
            self._timeouts.clear()
        if len(self._numbers) > _MANY_LEVELS:
            self._forget_empty_levels()
        return taken

    def oldest_ns(self) -> int:
        """
        Return when the entry that came first was added; the queue is not empty.

        Entries in time are in the order they came, delayed ones in that of their timeouts.
        """
        oldest = [
            next(iter(level.timely)).enqueued_ns for level in self._levels.values() if level.timely
        ]
        for level in self._levels.values():
            oldest += [entry.enqueued_ns for entry in level.delayed]
        return min(oldest)

    def expire(self, now_ns: int) -> Sequence[E]:
        """Move the entries whose timeout is over: remove and return them, or delay them."""
        expired: list[E] = []
        for entry in self._timeouts.take_due(now_ns):
            level = self._level(entry.priority)
            level.timely.remove(entry)
            if level.policy.delays:
                level.delayed[entry] = None
            else:
                self._length -= 1
                expired.append(entry)
        return expired

    def next_timeout_ns(self) -> int | None:
        """Return when the next timeout is over, or ``None`` when there is none."""
        return self._timeouts.next_ns()

    def levels(self, now_ns: int) -> list[QueueLevel]:
        """Return the levels that hold entries, the first served first."""
        levels = [(number, self._levels[number]) for number in self._numbers]
        return [level.snapshot(number, now_ns) for number, level in levels if len(level)]

    def _level(self, priority: int) -> _Level[E]:
        """Return the level of a priority."""
        number = priority if 1 <= priority <= self._policy.levels else self._policy.default_level
        level = self._levels.get(number)
        return self._make_level(number) if level is None else level

    def _make_level(self, number: int) -> _Level[E]:
        level = self._levels[number] = _Level(self._policy.of(number))
        index = bisect(self._numbers, number)
        self._numbers.insert(index, number)
        self._lines[2 * index : 2 * index] = (level.timely, level.delayed)
        return level

    def _forget_empty_levels(self) -> None:
        self._levels = {number: level for number, level in self._levels.items() if len(level)}
        self._numbers = sorted(self._levels)
        self._lines = [
            line
            for number in self._numbers
            for line in (self._levels[number].timely, self._levels[number].delayed)
        ]

"""
Which entry's time runs out next, without a clock: a heap whose items can be taken out again.

An item that was taken out stays in the heap without its entry until it comes to the top
or such items are the majority, so that adding and removing cost O(log n) on average.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, TypeVar

E = TypeVar("E")

_MIN_COMPACTED: Final = 64


@dataclass(slots=True)
class _Item(Generic[E]):
    at_ns: int
    number: int
    entry: E | None

    def __lt__(self, other: "_Item[E]") -> bool:
        return (self.at_ns, self.number) < (other.at_ns, other.number)


class Timeouts(Generic[E]):
    """The entries that have a time limit, by when it is over and then by when they were added."""

    __slots__ = ("_heap", "_items", "_numbers")

    def __init__(self) -> None:
        self._heap: list[_Item[E]] = []
        self._items: dict[E, _Item[E]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, entry: E, at_ns: int) -> None:
        """Note that an entry's time is over at ``at_ns``."""
        item = self._items[entry] = _Item(at_ns, next(self._numbers), entry)
        heapq.heappush(self._heap, item)

    def remove(self, entry: E) -> None:
        """Forget an entry, if it has a time limit; nothing refers to it afterwards."""
        item = self._items.pop(entry, None)
        if item is None:
            return
        item.entry = None
        if len(self._heap) >= _MIN_COMPACTED and len(self._heap) > 2 * len(self._items):
            self._heap = list(self._items.values())
            heapq.heapify(self._heap)

    def next_ns(self) -> int | None:
        """Return when the next time is over, or ``None`` when there is none."""
        heap = self._heap
        while heap and heap[0].entry is None:
            heapq.heappop(heap)
        return heap[0].at_ns if heap else None

    def take_due(self, now_ns: int) -> Iterator[E]:
        """Yield and forget the entries whose time is over at ``now_ns``, in order."""
        while (at_ns := self.next_ns()) is not None and at_ns <= now_ns:
            entry = heapq.heappop(self._heap).entry
            assert entry is not None
            del self._items[entry]
            yield entry

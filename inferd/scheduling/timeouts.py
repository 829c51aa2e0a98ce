"""
Which entry's time runs out next, without a clock: a heap whose items can be taken out again.

An item that was taken out stays in the heap without its entry until it comes to the top
or such items are the majority, so that adding and removing cost O(log n) on average.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any, Final, Generic, TypeVar

E = TypeVar("E")

_MIN_COMPACTED: Final = 64

_Item = list[Any]
"""When its time is over, a number in the order of arrival, and the entry or ``None``.

A list because lists are compared in C, item by item; numbers differ, so entries never are.
"""


class Timeouts(Generic[E]):
    """The entries that have a time limit, by when it is over and then by when they were added."""

    __slots__ = ("_heap", "_items", "_number")

    def __init__(self) -> None:
        self._heap: list[_Item] = []
        self._items: dict[E, _Item] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, entry: E, at_ns: int) -> None:
        """Note that an entry's time is over at ``at_ns``."""
        self._number = number = self._number + 1
        item = self._items[entry] = [at_ns, number, entry]
        heappush(self._heap, item)

    def remove(self, entry: E) -> None:
        """Forget an entry, if it has a time limit; nothing refers to it afterwards."""
        self.remove_all((entry,))

    def remove_all(self, entries: Iterable[E]) -> None:
        """Forget several entries as :meth:`remove` does one."""
        items = self._items
        for entry in entries:
            item = items.pop(entry, None)
            if item is not None:
                item[2] = None
        length = len(self._heap)
        if not items:
            self._heap.clear()
        elif length >= _MIN_COMPACTED and length > 2 * len(items):
            self._heap = list(items.values())
            heapify(self._heap)

    def clear(self) -> None:
        """Forget every entry."""
        self._items.clear()
        self._heap.clear()

    def next_ns(self) -> int | None:
        """Return when the next time is over, or ``None`` when there is none."""
        heap = self._heap
        while heap:
            item = heap[0]
            if item[2] is not None:
                at_ns: int = item[0]
                return at_ns
            heappop(heap)
        return None

    def take_due(self, now_ns: int) -> list[E]:
        """Return and forget the entries whose time is over at ``now_ns``, in order."""
        due: list[E] = []
        while (at_ns := self.next_ns()) is not None and at_ns <= now_ns:
            entry: E = heappop(self._heap)[2]
            del self._items[entry]
            due.append(entry)
        return due

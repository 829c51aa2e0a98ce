"""
The response cache: values by key, bounded by bytes, the least recently used leave first.

It copies nothing, reads no clock and knows no requests: who puts a value in says how
many bytes it keeps alive. One cache serves every model of the process.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

V = TypeVar("V")

ENTRY_BYTES: Final = 512
"""What an entry costs beside its value: the key, the bookkeeping and their allocations."""


class _Entry(Generic[V]):
    __slots__ = ("owner", "size", "value")

    def __init__(self, value: V, size: int, owner: int) -> None:
        self.value = value
        self.size = size
        self.owner = owner


class ResponseCache(Generic[V]):
    """
    Keeps values until their bytes are needed for newer ones.

    ``size`` never exceeds ``capacity``; ``test_a_cache_is_a_bounded_dictionary`` holds it
    to that.

    Args:
        capacity: Bytes that all entries together may take, :data:`ENTRY_BYTES` each included.

    Attributes:
        capacity: As given.
        size: Bytes its entries take now.
    """

    __slots__ = ("_entries", "_owners", "capacity", "size")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._owners = 0
        self._entries: OrderedDict[bytes, _Entry[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def register(self) -> int:
        """Return the number of a new owner of entries; none is given twice."""
        self._owners += 1
        return self._owners

    def get(self, key: bytes) -> V | None:
        """Return a value, which is the most recently used from now on, or ``None``."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def fits(self, size: int) -> bool:
        """Whether a value of ``size`` bytes can be kept at all."""
        return size + ENTRY_BYTES <= self.capacity

    def put(self, key: bytes, value: V, size: int, owner: int) -> bool:
        """
        Keep a value as the most recently used, instead of one of the same key.

        Args:
            key: A digest; at most 64 bytes.
            value: What :meth:`get` returns.
            size: Bytes the value keeps alive.
            owner: Whose it is; see :meth:`drop`.

        Returns:
            ``False`` when the value is too large and was not kept.
        """
        if not self.fits(size):
            return False
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size
        entry = _Entry(value, size + ENTRY_BYTES, owner)
        while self.size + entry.size > self.capacity:
            self.size -= self._entries.popitem(last=False)[1].size
        self._entries[key] = entry
        self.size += entry.size
        return True

    def drop(self, owner: int) -> None:
        """Forget everything that belongs to an owner."""
        for key in [key for key, entry in self._entries.items() if entry.owner == owner]:
            self.size -= self._entries.pop(key).size

"""
How many bytes of requests and queued answers the process holds, and whether more fit.

One ledger for every service, so it is below all of them; it belongs to no protocol, and is
pure. Large messages are reserved whole before their bytes are taken: what has begun can
always be finished, and nobody's half message keeps another half message waiting. Of small
ones, whoever receives many tells the ledger now and then, and holds its client back while the
ledger is full.
"""

from typing import Final

from inferd.errors import ServerFull

LARGE_BYTES: Final = 65_536
"""A message longer than this is large: to reserve it costs nothing beside reading it."""

STREAMED_BYTES: Final = 4_096
"""A request of a stream that is longer is counted by itself until it is answered."""


class ByteLedger:
    """
    Counts bytes.

    Args:
        limit: How many there may be.

    Attributes:
        limit: How many there may be.
        held: How many there are; small messages and answers may take it past the limit.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    @property
    def is_tight(self) -> bool:
        """Whether more than half of it is used; who can wait should."""
        return 2 * self.held > self.limit

    def reserve(self, size: int) -> bool:
        """Count a message of ``size`` bytes that is about to be read, if there is room for it."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def add(self, change: int) -> bool:
        """Count bytes that are there anyway, or with a minus are gone; say whether it is full."""
        self.held += change
        return self.held >= self.limit

    def refusal(self, size: int) -> ServerFull:
        """Return the error for a message that was refused."""
        return ServerFull(
            f"no room for a request of {size} bytes: {self.held} of {self.limit} bytes are held "
            "for others. Use --max-in-flight-bytes to increase the limit."
        )


class Claim:
    """
    Bytes that somebody has, and gives back once.

    Args:
        ledger: Where they are counted.
        size: How many of those that are counted there already are taken over.
    """

    __slots__ = ("_ledger", "_size")

    def __init__(self, ledger: ByteLedger, size: int = 0) -> None:
        self._ledger = ledger
        self._size = size

    @property
    def is_tight(self) -> bool:
        """Whether the ledger is."""
        return self._ledger.is_tight

    def grow(self, size: int) -> None:
        """
        Reserve more.

        Raises:
            ServerFull: There is no room.
        """
        if not self.grows(size):
            raise self._ledger.refusal(size)

    def grows(self, size: int) -> bool:
        """Reserve more if there is room; say whether there was."""
        if not self._ledger.reserve(size):
            return False
        self._size += size
        return True

    def shrink(self, size: int) -> None:
        """Give some back."""
        self._ledger.add(-size)
        self._size -= size

    def absorb(self, size: int) -> None:
        """Take more over that is counted already."""
        self._size += size

    def release(self, _: object = None) -> None:
        """Give them back; may be the callback of a future."""
        self._ledger.add(-self._size)
        self._size = 0

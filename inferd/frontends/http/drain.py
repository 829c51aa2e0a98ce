"""
The HTTP server's shutdown as its requests see it: whether it has begun, and who is left.
"""

import asyncio


class Drain:
    """
    Counts the requests in flight.

    Attributes:
        begun: Whether new requests are refused.
    """

    __slots__ = ("_empty", "_in_flight", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._in_flight = 0
        self._empty = asyncio.Event()

    def enter(self) -> None:
        """Count a request that begins."""
        self._in_flight += 1

    def leave(self) -> None:
        """Count a request that ended."""
        self._in_flight -= 1
        if self.begun and not self._in_flight:
            self._empty.set()

    async def finish(self, grace_seconds: float) -> bool:
        """Refuse new requests; return whether the others ended within the grace."""
        self.begun = True
        if self._in_flight:
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._empty.wait()
            except TimeoutError:
                return False
        return True

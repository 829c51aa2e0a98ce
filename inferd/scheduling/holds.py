"""Keeps something alive for as long as it is in use: a count, and a wait for its end."""

import asyncio


class Holds:
    """
    Who holds a model version; freeing it waits for them.

    Everything happens on the event loop.
    """

    __slots__ = ("_count", "_waiters")

    def __init__(self) -> None:
        self._count = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def count(self) -> int:
        """How many hold it now."""
        return self._count

    def acquire(self) -> None:
        """Hold it once more."""
        self._count += 1

    def release(self) -> None:
        """Hold it once less; the last release wakes who waits."""
        self._count -= 1
        if not self._count:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    async def released(self) -> None:
        """Wait until nobody holds it."""
        while self._count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

"""
How many calls a client may give up: some in a row, and then so many per second.

Opening and resetting calls costs a client nothing and the server a task each. Pure; the
HTTP/2 kernel has the same rule built in, with the same numbers.
"""

from typing import Final

BURST: Final = 2000
"""Calls a client may give up in a row."""

PER_SECOND: Final = 200
"""How fast it may go on doing so."""


class ResetBudget:
    """
    What is left of one connection's budget.

    Args:
        burst: Resets it holds at most, and at first.
        per_second: How fast it is refilled.
    """

    __slots__ = ("_burst", "_left", "_now_ns", "_per_second")

    def __init__(self, burst: int = BURST, per_second: int = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._now_ns = 0

    def spend(self, count: int, now_ns: int) -> bool:
        """
        Take resets from the budget; return whether there were enough.

        Args:
            count: How many.
            now_ns: The time, monotonic.
        """
        refill = (now_ns - self._now_ns) * self._per_second / 1e9
        self._left = min(self._left + refill, self._burst) - count
        self._now_ns = now_ns
        return self._left >= 0

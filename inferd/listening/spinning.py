"""
Decides when the event loop looks for input again instead of sleeping until there is some.

A processor that sleeps takes long to wake up, on virtual machines longer than a small model
takes to execute. A client that answers back within microseconds is therefore served sooner,
and for less processor time, by a server that did not sleep. It knows no clock.
"""

from typing import Final

MOST_SKIPPED: Final = 63
"""After so many answers a client that paused is given another chance, at the latest."""


class SpinPolicy:
    """
    The choice for one event loop.

    Args:
        window_ns: For how long input is looked for after an answer.

    Attributes:
        heard: Set to true whenever there is input.
        spinning: Whether the loop looks for input now.
    """

    __slots__ = ("_misses", "_skip", "_until_ns", "_window_ns", "heard", "spinning")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._until_ns = 0
        self._misses = 0
        self._skip = 0
        self.heard = False
        self.spinning = False

    def answered(self, now_ns: int) -> bool:
        """Note that an answer was sent; return whether to begin to look for input."""
        if self.spinning:
            self._until_ns = now_ns + self._window_ns
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._until_ns = now_ns + self._window_ns
        self.heard = False
        self.spinning = True
        return True

    def goes_on(self, now_ns: int) -> bool:
        """
        Return whether to look on.

        When it ends without any input, more and more answers are skipped until the next
        attempt: 1, 3, 7 and so on.
        """
        if now_ns < self._until_ns:
            return True
        self.spinning = False
        if self.heard:
            self._misses = 0
        else:
            self._misses += 1
            self._skip = min((1 << self._misses) - 1, MOST_SKIPPED)
        return False

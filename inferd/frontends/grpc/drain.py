"""
The frontend's shutdown as the calls see it: whether it has begun, and who is told.

A stream may stay open for as long as its client likes, so it asks to be told.
"""

from collections.abc import Callable


class Drain:
    """
    A one-way switch.

    Attributes:
        begun: Whether new calls are refused.
    """

    def __init__(self) -> None:
        self.begun = False
        self._listeners: set[Callable[[], object]] = set()

    def begin(self) -> None:
        """Refuse new calls and tell the listeners."""
        self.begun = True
        for listener in tuple(self._listeners):
            listener()

    def add(self, listener: Callable[[], object]) -> None:
        """Have ``listener`` called when the drain begins."""
        self._listeners.add(listener)

    def discard(self, listener: Callable[[], object]) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

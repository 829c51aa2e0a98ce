"""Keeps an event loop awake for some microseconds after an answer; see :class:`SpinPolicy`."""

import asyncio
import time
from collections.abc import Callable

from inferd.listening.spinning import SpinPolicy


class Spinner:
    """
    The event loop's; connections tell it what they do.

    Args:
        window_us: For how long the loop looks for input after an answer, in microseconds;
            0 has it sleep at once.
        clock_ns: The time, monotonic.
    """

    __slots__ = ("_clock_ns", "_policy")

    def __init__(self, window_us: int, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._policy = SpinPolicy(window_us * 1000) if window_us else None
        self._clock_ns = clock_ns

    def heard(self) -> None:
        """Note input of a client."""
        if self._policy is not None:
            self._policy.heard = True

    def answered(self) -> None:
        """Note that a client was sent something, and may soon send more."""
        policy = self._policy
        if policy is not None and policy.answered(self._clock_ns()):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._spin, loop, policy)

    def _spin(self, loop: asyncio.AbstractEventLoop, policy: SpinPolicy) -> None:
        if policy.goes_on(self._clock_ns()):
            # The loop looks for input, without waiting for it, before it calls this again.
            loop.call_soon(self._spin, loop, policy)

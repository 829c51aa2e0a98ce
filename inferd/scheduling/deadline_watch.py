"""
Watches the deadlines of requests that wait, with one timer for all of them.

The asyncio side of :class:`~inferd.scheduling.timeouts.Timeouts`, for schedulers whose
requests do not wait in a batcher.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from inferd.scheduling.timeouts import Timeouts

E = TypeVar("E")


class DeadlineWatch(Generic[E]):
    """
    Says when deadlines pass.

    Args:
        passed: Called when the earliest deadline has passed; it takes what is due with
            :meth:`take_due`.
    """

    __slots__ = ("_loop", "_passed", "_timeouts", "_timer", "_timer_ns")

    def __init__(self, passed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._passed = passed
        self._timeouts: Timeouts[E] = Timeouts()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0

    def add(self, entry: E, deadline_ns: int) -> None:
        """Watch an entry that waits."""
        self._timeouts.add(entry, deadline_ns)
        self._start_timer()

    def remove_all(self, entries: Iterable[E]) -> None:
        """Watch entries no longer; the timer stays and finds nothing to do."""
        self._timeouts.remove_all(entries)

    def take_due(self, now_ns: int) -> list[E]:
        """Return the entries whose deadline has passed, and watch them no longer."""
        return self._timeouts.take_due(now_ns)

    def close(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        at_ns = self._timeouts.next_ns()
        if at_ns is None or (self._timer is not None and self._timer_ns <= at_ns):
            return
        self.close()
        self._timer_ns = at_ns
        delay_s = (at_ns - time.monotonic_ns()) / 1e9
        self._timer = self._loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._passed()
        self._start_timer()

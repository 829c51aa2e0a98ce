"""
The clock of a connection: acts on what :mod:`~inferd.frontends.grpc.keepalive` decides.

One timer per connection, which traffic never touches: when it is due it looks at what was
seen since, and sleeps again.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from inferd.frontends.grpc.keepalive import (
    ConnectionAge,
    Decision,
    Keepalive,
    KeepaliveSettings,
    Traffic,
)

log = logging.getLogger(__name__)

_LEAST_SECONDS: Final = 0.001
"""The timer's resolution; a loop may wake up a little early."""


class Watched(Protocol):
    """What the watch needs of a connection."""

    def traffic(self) -> Traffic:
        """Return what was seen on it."""

    def ping(self) -> None:
        """Ask the peer for a sign of life."""

    def announce_end(self) -> None:
        """Tell the peer to open its next calls elsewhere; those it opens still are served."""

    def refuse_calls(self) -> None:
        """Serve no further calls, and close when those that are open have ended."""

    @property
    def abort(self) -> Callable[[], None]:
        """Closes at once."""


class ConnectionWatch:
    """
    Watches one connection until it is stopped.

    Args:
        connection: The connection.
        settings: What the operator chose.
    """

    __slots__ = ("_age", "_connection", "_keepalive", "_loop", "_timer")

    def __init__(self, connection: Watched, settings: KeepaliveSettings) -> None:
        self._connection = connection
        self._keepalive = Keepalive(settings)
        self._age: ConnectionAge | None = None
        now_ns = time.monotonic_ns()
        if settings.max_age_ms:
            self._age = ConnectionAge(settings, now_ns, random.uniform(-1, 1))
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._act()

    def stop(self) -> None:
        """Forget the connection; it is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _act(self) -> None:
        """Do what is due, and sleep until something else is."""
        now_ns = time.monotonic_ns()
        decision = self._keepalive.decide(now_ns, self._connection.traffic())
        if not self._do(decision):
            return
        wake_ns = decision.wake_ns
        while self._age is not None and (aged := self._age.decide(now_ns)) is not None:
            if not self._do(aged):
                return
            if aged.act == "wait":
                wake_ns = min(wake_ns, aged.wake_ns)
                break
        delay = max((wake_ns - now_ns) / 1e9, _LEAST_SECONDS)
        self._timer = self._loop.call_later(delay, self._act)

    def _do(self, decision: Decision) -> bool:
        """Do it; return whether the connection lives on."""
        connection = self._connection
        if decision.act == "ping":
            connection.ping()
        elif decision.act == "announce":
            connection.announce_end()
        elif decision.act == "refuse":
            connection.refuse_calls()
        elif decision.act == "drop":
            log.debug("gRPC connection dropped: its client is silent, or its time is over")
            connection.abort()
            return False
        return True

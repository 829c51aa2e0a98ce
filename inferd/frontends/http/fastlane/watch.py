"""
How long a connection may stay as it is: decides when a client took too long.

Nothing is stamped per request. A connection is looked at now and then; what it does, and a
mark that changes with every progress of that, are compared with the last look. So a limit
strikes between its time and one look later. Pure.
"""

from typing import Final, Literal, NamedTuple

from inferd.frontends.http.limits import Limits

_LOOKS: Final = 8
"""So many looks are within the shortest limit."""

_LONGEST_SECONDS: Final = 10.0
"""The most time between two looks."""

Stage = Literal["idle", "head", "body", "sending", "busy"]
"""What a connection waits for: a request, the rest of its head or body, a client that does
not read its answer, or nothing the client has to do."""


class Sight(NamedTuple):
    """
    What a look at a connection shows.

    Attributes:
        stage: What it waits for.
        mark: A number that changes with every progress of that.
    """

    stage: Stage
    mark: int


BUSY: Final = Sight("busy", 0)


class Watch:
    """
    The watch over one connection.

    Args:
        limits: How long it may stay as it is.
    """

    __slots__ = ("_last", "_limits", "_since_ns")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last = BUSY
        self._since_ns = 0

    def is_over(self, sight: Sight, now_ns: int) -> bool:
        """Return whether the connection was seen like this for too long."""
        if sight != self._last:
            self._last, self._since_ns = sight, now_ns
            return False
        limit_ns = self._limit_seconds(sight.stage) * 1e9
        return limit_ns > 0 and now_ns - self._since_ns >= limit_ns

    def _limit_seconds(self, stage: Stage) -> float:
        limits = self._limits
        if stage == "idle":
            return limits.idle_seconds
        if stage == "head":
            return limits.head_seconds
        return 0.0 if stage == "busy" else limits.body_seconds


def interval_seconds(limits: Limits) -> float | None:
    """Return the time between two looks, or ``None`` when nothing is limited."""
    set_ = [
        limit
        for limit in (limits.head_seconds, limits.body_seconds, limits.idle_seconds)
        if limit > 0
    ]
    return min(min(set_) / _LOOKS, _LONGEST_SECONDS) if set_ else None
